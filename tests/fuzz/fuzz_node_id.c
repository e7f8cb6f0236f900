/*
 * Parses lineage node ids; whatever is accepted must be written back as it was (but for a version tail) and have a key.
 */
#include <stdlib.h>

#include "base/node_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct node_id id;
    if (!node_id_parse(text, &id))
        return 0;
    if ((unsigned)id.kind >= NODE_KIND_COUNT || id.key.len == 0)
        abort();
    struct buf out = {0};
    node_id_format(&out, id.kind, id.collection, id.key);
    if (id.version.ptr) {
        buf_putc(&out, '#');
        buf_put(&out, id.version.ptr, id.version.len);
    }
    if (!str_eq(buf_str(&out), text))
        abort();
    buf_free(&out);
    return 0;
}
