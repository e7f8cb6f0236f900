/*
 * What keeps a hostile Markdown document from costing more than its size: see docs/ingest.md. Private to ingest/.
 */
#ifndef ASSAY_INGEST_MARKDOWN_GUARD_H
#define ASSAY_INGEST_MARKDOWN_GUARD_H

#include "base/str.h"

/* cmark takes up to 200 bytes of memory for a byte of Markdown, and time proportional to
 * - the depth of nested lists, for every blank line: at most GUARD_NESTING markers are kept at the start of a line, and
 *   GUARD_BLANK_LINES blank lines in a row;
 * - the square of the brackets in a paragraph: after GUARD_BRACKETS of them an empty line parts it.
 * Documents within these limits are copied to `out` unchanged. */
enum { MARKDOWN_MAX = 4 << 20, GUARD_NESTING = 64, GUARD_BLANK_LINES = 16, GUARD_BRACKETS = 1024 };
void markdown_guard(struct str in, struct buf *out);

#endif
