/*
 * Reads what claims to be a tokenizer.json, up to the first zero byte, and encodes what stands behind it. Every id is
 * below the tokenizer's size and there are never more than were asked for; the same text gives the same ids, and a
 * shorter list is the beginning of a longer one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "index/static_tokenizer.h"

enum { IDS = 256, FEW = 5, TEXT_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct static_tokenizer *t, struct str text)
{
    uint32_t ids[IDS], few[FEW];
    size_t n = static_tokenizer_encode(t, text, IDS, ids), n_few = static_tokenizer_encode(t, text, FEW, few);
    if (n > IDS || n_few != (n < FEW ? n : FEW) || memcmp(ids, few, n_few * sizeof(*few)) != 0) {
        abort();
    }
    for (size_t i = 0; i < n; i++) {
        if (ids[i] >= static_tokenizer_size(t)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct static_tokenizer *t = NULL;
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    size_t len = zero != NULL ? (size_t)(zero - data) : size, rest = zero != NULL ? size - len - 1 : 0;
    enum assay_code code = static_tokenizer_read((struct str){(const char *)data, len}, &t, &err);
    if (code == ASSAY_OK) {
        struct str text = {zero != NULL ? (const char *)zero + 1 : "", rest < TEXT_MAX ? rest : TEXT_MAX};
        encode(t, (struct str){text.ptr, str_utf8_cut(text)});
        encode(t, STR_LIT("The unaffable [CLS] caf\xc3\xa9, 12 \xe4\xb8\xad\xe6\x96\x87"));
    } else if (code != ASSAY_INVALID || err.detail[0] == '\0') {
        abort();
    }
    err_clear(&err);
    static_tokenizer_free(t);
    return 0;
}
