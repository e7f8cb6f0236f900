/*
 * Any bytes as markdown: extraction refuses them or gives blocks of valid UTF-8, none of them empty, that chunk
 * properly.
 */
#include "ingest/extract.h"
#include "tests/unit/chunk_invariants.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(4096);
    struct err err = {0};
    struct str text = {(const char *)data, size};
    struct extracted ex;
    enum assay_code code = extract_markdown(a, text, &ex, &err);
    if (code == ASSAY_OK) {
        MUST_HOLD(str_utf8_valid(ex.title));
        for (size_t i = 0; i < ex.n_blocks; i++)
            MUST_HOLD(ex.blocks[i].text.len > 0 && str_utf8_valid(ex.blocks[i].text));
        struct chunk_params p = {.target_tokens = 40, .max_tokens = 60, .overlap_tokens = 8, .split_level = 6};
        struct canonical doc;
        struct chunk_span *spans;
        size_t n;
        MUST_HOLD(canonicalise(a, &ex, &doc, NULL) == ASSAY_OK);
        check_canonical(a, &doc);
        MUST_HOLD(chunk_spans(a, &p, &doc, &spans, &n, NULL) == ASSAY_OK);
        check_spans(&doc, &p, spans, n);
    } else {
        MUST_HOLD(code == ASSAY_UNPROCESSABLE || code == ASSAY_TOO_LARGE);
    }
    err_clear(&err);
    arena_free(a);
    return 0;
}
