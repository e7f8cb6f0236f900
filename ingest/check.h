/*
 * Checks: one validation each, with an outcome and its evidence. Pure.
 */
#ifndef ASSAY_INGEST_CHECK_H
#define ASSAY_INGEST_CHECK_H

#include "base/arena.h"
#include "base/str.h"
#include "ingest/pipeline.h"

enum check_outcome { CHECK_PASS, CHECK_WARN, CHECK_FAIL };
const char *check_outcome_name(enum check_outcome o); /* "pass" "warn" "fail" */

struct check_result {
    const char
        *check; /* static: "not_empty" "length" "utf8" "language" "symbols"; the store adds "duplicate", "source" */
    enum check_outcome outcome;
    struct str expected; /* what would have passed, for people: "3..2000 tokens" */
    struct str actual;   /* what was found: "1 token" */
    size_t from, to;     /* the offending span within the version's canonical text */
};

struct check_input {
    struct str text;
    size_t from; /* of text in the canonical text */
    size_t tokens;
    struct str language; /* of the document */
};

/* All configured checks over one chunk; results in a fixed order. A short text whose language cannot be told passes
 * with a warning when the document's language is known. */
void check_chunk(struct arena *a, const struct check_params *p, const struct check_input *in, struct check_result **out,
                 size_t *n_out);

/* Language of a text by CLD2: ISO 639-1 in static storage, or "und" when unreliable. */
const char *language_detect(struct str text);

#endif
