/*
 * Canonical text of a version: the blocks, normalised and joined, with each block's span. Pure.
 *
 * Normalisation: Unicode NFC; CRLF, CR and the Unicode line separators to LF; runs of blanks to one blank (code blocks
 * keep theirs); soft hyphens, zero-width, bidirectional-override, tag and control characters (but \n and \t) dropped,
 * since a reader cannot see them and a model can (the joiners U+200C and U+200D stay: Persian, Indic scripts and emoji
 * mean something by them); blocks trimmed and joined by "\n\n" (neighbouring list items, table rows and a term with
 * what it defines by "\n"). Idempotent.
 */
#ifndef ASSAY_INGEST_CANONICAL_H
#define ASSAY_INGEST_CANONICAL_H

#include "ingest/extract.h"

struct canonical_block {
    enum block_kind kind;
    int level, page, depth;
    size_t from, to; /* into text */
};
struct canonical {
    struct str text;
    struct canonical_block *blocks;
    size_t n_blocks;
};
/* Blocks that are empty after normalisation vanish. ASSAY_TOO_LARGE ("document-too-large") past CANONICAL_MAX bytes. */
enum { CANONICAL_MAX = 32 << 20 };
enum assay_code canonicalise(struct arena *a, const struct extracted *in, struct canonical *out,
                             struct err *err) MUST_USE;
/* NFC plus the white-space rules above for one short string (titles, keys of metadata). */
struct str canonical_line(struct arena *a, struct str s);

#endif
