/*
 * Extraction: bytes of a media type -> title and blocks, boilerplate dropped, structure kept. Pure.
 *
 * HTML is read by a streaming scanner of our own (html_scan.h): building a tree costs a hostile page's author nothing
 * and us gigabytes (see docs/ingest.md). Scripts, styles, nav, header/footer, aside, form controls, hidden elements and
 * link farms are dropped; main or article content is preferred when marked; tables row by row, cells parted by " | ";
 * pre kept verbatim; br as newline. Markdown (cmark-gfm with tables). Office (libarchive + libxml2: docx
 * word/document.xml with styles and docProps/core.xml; odt content.xml, meta.xml): documents with a DTD refused, entity
 * expansion and network off, inflated size bounded.
 */
#ifndef ASSAY_INGEST_EXTRACT_H
#define ASSAY_INGEST_EXTRACT_H

#include "base/arena.h"
#include "base/err.h"
#include "ingest/media.h"

enum block_kind {
    BLOCK_HEADING,
    BLOCK_PARAGRAPH,
    BLOCK_LIST_ITEM,
    BLOCK_TERM, /* a term of a definition list: names what the blocks after it (depth >= its own) are about */
    BLOCK_CODE,
    BLOCK_TABLE_ROW
};

enum {
    EXTRACT_BLOCKS_MAX = 1 << 20
}; /* past it ASSAY_TOO_LARGE: a block costs more memory than the bytes it came from */

struct block {
    enum block_kind kind;
    int level;       /* of a heading: 1-6; 0 otherwise */
    int page;        /* 1-based, 0 when the format has none */
    int depth;       /* definition lists around it: 1 for a term of an outer list and what it defines; 0 outside any */
    struct str text; /* raw, not normalised yet; never empty */
};

struct extracted {
    struct str title; /* "" when the document names none */
    struct block *blocks;
    size_t n_blocks;
};

/* One function per format, one file each: extract_text.c, extract_markdown.c, extract_html.c, extract_office.c.
 * Text input that is not valid UTF-8 is refused (ASSAY_UNPROCESSABLE, "not-utf8"); HTML in a declared other charset is
 * not guessed at. Deep nesting is walked without recursion or with a bounded depth. */
enum assay_code extract(struct arena *a, enum media_type media, struct str bytes, struct extracted *out,
                        struct err *err) MUST_USE;
enum assay_code extract_text(struct arena *a, struct str bytes, struct extracted *out, struct err *err) MUST_USE;
enum assay_code extract_pdf_text(struct arena *a, struct str text, struct extracted *out, struct err *err) MUST_USE;
enum assay_code extract_markdown(struct arena *a, struct str bytes, struct extracted *out, struct err *err) MUST_USE;
enum assay_code extract_html(struct arena *a, struct str bytes, struct extracted *out, struct err *err) MUST_USE;
enum assay_code extract_office(struct arena *a, enum media_type media, struct str bytes, struct extracted *out,
                               struct err *err) MUST_USE;

#endif
