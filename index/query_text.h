/*
 * What the text of a query asks for: plain words, "phrases in quotes" and prefix* words. The grammar is small and bends
 * to natural language: what does not clearly have one of these forms is plain text, and nothing is an error.
 *
 *   "..."    a quote that begins a word, up to the next one that ends a word
 *   word*    a run of two or more letters, digits and underscores between blanks or brackets, with one asterisk at its
 * end
 *
 * So a lone quote or asterisk, 24" and 2*3, count(*) and **bold** are text. Pure, any thread.
 */
#ifndef ASSAY_INDEX_QUERY_TEXT_H
#define ASSAY_INDEX_QUERY_TEXT_H

#include "base/arena.h"
#include "base/str.h"

enum query_part_kind { QUERY_PLAIN, QUERY_PHRASE, QUERY_PREFIX };
struct query_part {
    enum query_part_kind kind;
    struct str text; /* in the query: without quotes or asterisk */
};

/* Cuts the text into parts in its order; together they hold all of it but quotes and asterisks that mean something. */
size_t query_text_parse(struct arena *a, struct str text, struct query_part **out);

#endif
