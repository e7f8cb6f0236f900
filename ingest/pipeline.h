/*
 * A pipeline: a declarative list of operators, in this order: extract, normalise, chunk, checks, embed. Its id is the
 * SHA-256 of its canonical JSON, so that a pipeline cannot change without its name changing. Pure.
 *
 * {"operators":[{"op":"extract"},{"op":"normalise","form":"NFC"},
 *   {"op":"chunk","target_tokens":220,"max_tokens":400,"overlap_tokens":30,"split_level":6},
 *   {"op":"checks","checks":[{"check":"not_empty"},{"check":"length","min_tokens":3,"max_tokens":2000},
 *     {"check":"utf8"},{"check":"language"},{"check":"symbols","min_alpha_ratio":0.25},{"check":"duplicate"}]},
 *   {"op":"embed"}]}
 */
#ifndef ASSAY_INGEST_PIPELINE_H
#define ASSAY_INGEST_PIPELINE_H

#include <jansson.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"

struct chunk_params {
    int64_t target_tokens, max_tokens, overlap_tokens, split_level;
};
struct check_params {
    bool not_empty, utf8, length, language_known, symbols; /* which are configured */
    bool duplicate;                                        /* made by the store, which knows the other chunks */
    int64_t min_tokens, max_tokens;                        /* of length */
    double min_alpha_ratio; /* of symbols: letters and digits over non-blank code points */
};
struct pipeline {
    struct digest id;
    struct str json; /* canonical */
    struct chunk_params chunk;
    struct check_params checks;
};

/* The built-in default. Never fails. */
void pipeline_default(struct arena *a, struct pipeline *out);
/* Reads and validates a declaration; unknown operators, checks and parameters are refused with their pointer. `pointer`
 * is the RFC 6901 pointer of `json` itself. Operators stand in the order above, each at most once; one that is left out
 * has its defaults, and is spelled out in the canonical form. A "checks" operator without "checks" has the default
 * ones; with a list it has those of the list only. */
enum assay_code pipeline_parse(struct arena *a, const json_t *json, const char *pointer, struct pipeline *out,
                               struct err *err) MUST_USE;

#endif
