/*
 * Cuts a query into parts. What must hold: parts are in the order of the text, apart, never empty, and what lies
 * between them is nothing but quotes and asterisks.
 */
#include <stdlib.h>
#include <string.h>

#include "index/query_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char marks[] = "\"*\xE2\x80\x9C\x9D\x9E\xC2\xAB\xBB";
    struct arena *a = arena_new(0);
    struct str text = {(const char *)data, size};
    struct query_part *parts = NULL;
    size_t n = query_text_parse(a, text, &parts), at = 0;
    for (size_t i = 0; i <= n; i++) {
        size_t from = i < n ? (size_t)(parts[i].text.ptr - text.ptr) : size;
        if (from < at || from > size || (i < n && (parts[i].text.len == 0 || parts[i].text.len > size - from))) {
            abort();
        }
        for (; at < from; at++) {
            if (memchr(marks, data[at], sizeof(marks) - 1) == NULL) {
                abort();
            }
        }
        at = i < n ? from + parts[i].text.len : at;
    }
    arena_free(a);
    return 0;
}
