/*
 * Blocks of any kind and text, any chunk parameters: the canonical text and the chunks must keep their invariants.
 *
 * The input's first four bytes choose the parameters; then each block is two bytes (kind, level or depth) and text up
 * to the next 0x1e. Bytes that are not UTF-8 are replaced, as extraction refuses them.
 */
#include <string.h>

#include "tests/unit/chunk_invariants.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str valid_text(struct arena *a, const uint8_t *p, size_t n)
{
    char *out = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n;) {
        size_t len = str_utf8_len((const char *)p + i, n - i);
        if (len == 0) {
            out[i++] = '?';
            continue;
        }
        memcpy(out + i, p + i, len);
        i += len;
    }
    return (struct str){out, n};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    struct chunk_params p = {.target_tokens = 16 + data[0], .split_level = 1 + data[3] % 6};
    p.max_tokens = p.target_tokens + data[1];
    p.overlap_tokens = data[2] % (p.target_tokens / 2 + 1);
    struct arena *a = arena_new(4096);
    struct extracted ex = {.title = STR_LIT(""), .blocks = ARENA_ARRAY(a, struct block, size)};
    for (size_t at = 4; at + 2 < size;) {
        const uint8_t *end = memchr(data + at + 2, 0x1e, size - at - 2);
        size_t n = end ? (size_t)(end - data) - at - 2 : size - at - 2;
        struct block *b = &ex.blocks[ex.n_blocks];
        b->kind = (enum block_kind)(data[at] % (BLOCK_TABLE_ROW + 1));
        b->level = b->kind == BLOCK_HEADING ? 1 + data[at + 1] % 6 : 0;
        b->depth = b->kind == BLOCK_TERM ? 1 + data[at + 1] % 6 : data[at + 1] % 4;
        b->text = valid_text(a, data + at + 2, n);
        ex.n_blocks += n > 0;
        at += n + 3;
    }
    struct canonical doc;
    struct chunk_span *spans;
    size_t n_spans;
    MUST_HOLD(canonicalise(a, &ex, &doc, NULL) == ASSAY_OK);
    check_canonical(a, &doc);
    MUST_HOLD(chunk_spans(a, &p, &doc, &spans, &n_spans, NULL) == ASSAY_OK);
    check_spans(&doc, &p, spans, n_spans);
    arena_free(a);
    return 0;
}
