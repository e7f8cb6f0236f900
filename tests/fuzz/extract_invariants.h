/*
 * What holds of every extraction: it refuses the bytes, or gives blocks of valid UTF-8, none of them empty, that make a
 * canonical text and chunk properly.
 */
#ifndef ASSAY_TESTS_FUZZ_EXTRACT_INVARIANTS_H
#define ASSAY_TESTS_FUZZ_EXTRACT_INVARIANTS_H

#include "ingest/extract.h"
#include "tests/unit/chunk_invariants.h"

static inline void check_extracted(struct arena *a, enum assay_code code, const struct extracted *ex)
{
    if (code != ASSAY_OK) {
        MUST_HOLD(code == ASSAY_UNPROCESSABLE || code == ASSAY_TOO_LARGE);
        return;
    }
    MUST_HOLD(str_utf8_valid(ex->title));
    for (size_t i = 0; i < ex->n_blocks; i++)
        MUST_HOLD(ex->blocks[i].text.len > 0 && str_utf8_valid(ex->blocks[i].text));
    struct chunk_params p = {.target_tokens = 40, .max_tokens = 60, .overlap_tokens = 8, .split_level = 6};
    struct canonical doc;
    struct chunk_span *spans;
    size_t n;
    MUST_HOLD(canonicalise(a, ex, &doc, NULL) == ASSAY_OK);
    check_canonical(a, &doc);
    MUST_HOLD(chunk_spans(a, &p, &doc, &spans, &n, NULL) == ASSAY_OK);
    check_spans(&doc, &p, spans, n);
}

#endif
