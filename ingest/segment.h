/*
 * Where a text may be cut, and what the pieces weigh: tokens, words, lines and sentences. Private to ingest/. Pure.
 *
 * Every text here is valid UTF-8.
 */
#ifndef ASSAY_INGEST_SEGMENT_H
#define ASSAY_INGEST_SEGMENT_H

#include <stdbool.h>

#include "base/str.h"

/* A reader of runs: letters and digits, punctuation, ideographs, blanks. */
enum run_class { RUN_BLANK, RUN_WORD, RUN_PUNCT, RUN_IDEOGRAPH };
struct run {
    enum run_class class;
    size_t from, to; /* byte offsets */
    size_t code_points;
};
/* Reads the run that begins at `at`; false at the end. A run has at most SEGMENT_RUN_MAX code points. */
enum { SEGMENT_RUN_MAX = 96 };
bool segment_run(struct str text, size_t at, struct run *out);
/* What a run weighs; see ingest_token_count. */
size_t segment_run_tokens(const struct run *run);

/* The end of a piece of text[from, to) that weighs at most `limit` tokens: the last sentence end (with by_line: line
 * end) past a half of the limit, else the last line end, else the last blank, else the last run; at least one run is
 * taken, or one code point of it when even that weighs more. Returns `to` when all of it fits. */
size_t segment_cut(struct str text, size_t from, size_t to, size_t limit, bool by_line);

/* Where a repetition of the end of text[from, to) begins, so that it weighs at most `limit` tokens: the first sentence
 * start that qualifies, else the first line start, else the first word start; by_line: a line start or nothing. Returns
 * `to` when nothing qualifies; never `from`. */
size_t segment_tail(struct str text, size_t from, size_t to, size_t limit, bool by_line);

#endif
