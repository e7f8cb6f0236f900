/*
 * A growing list of blocks over one text buffer: what every extractor writes into. Private to ingest/.
 *
 * The text of the block under construction is appended to `text`; blocks_end closes it. Not thread-safe.
 */
#ifndef ASSAY_INGEST_BLOCKS_H
#define ASSAY_INGEST_BLOCKS_H

#include "ingest/extract.h"

struct block_rec {
    enum block_kind kind;
    int level, page, depth;
    size_t from, to;    /* into text */
    size_t chars, link; /* bytes that are not blank, and how many of them stand in links (HTML) */
    unsigned mark;      /* where it stands (HTML): bits of the extractor */
    unsigned drop;      /* why it is dropped (HTML): bits of the extractor; 0: kept */
};

struct blocks {
    struct buf text;
    struct block_rec *recs;
    size_t n, cap;
    size_t open;   /* where the block under construction begins in text */
    bool overflow; /* more than EXTRACT_BLOCKS_MAX were offered */
};

/* All zero is a valid empty list. blocks_free resets to it. */
void blocks_free(struct blocks *b);
/* Closes the block under construction and returns it for further marking; NULL when it holds nothing but white space
 * (then its text is taken back) or the list is full. */
struct block_rec *blocks_end(struct blocks *b, enum block_kind kind, int level);
/* True when the block under construction has no byte other than white space yet. */
bool blocks_open_is_blank(const struct blocks *b);
/* Copies the blocks whose `drop` is 0 into the arena. ASSAY_TOO_LARGE ("document-too-large") when the list overflowed.
 */
enum assay_code blocks_finish(struct arena *a, const struct blocks *b, struct str title, struct extracted *out,
                              struct err *err) MUST_USE;

#endif
