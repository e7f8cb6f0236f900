/*
 * The state of reading one HTML page, and the judgement of what on it is content. Private to extract_html.c and
 * html_page.c.
 */
#ifndef ASSAY_INGEST_HTML_PAGE_H
#define ASSAY_INGEST_HTML_PAGE_H

#include "ingest/blocks.h"
#include "ingest/html_tags.h"

enum { HTML_DEPTH_MAX = 512 };

enum { FRAME_DROP = 1, FRAME_LINK = 2, FRAME_PRE = 4, FRAME_CELL = 8, FRAME_NOTE = 16 }; /* inherited */
enum { MARK_MAIN = 1, MARK_ARTICLE = 2 };                                                /* block_rec.mark */
/* block_rec.drop: reasons that are taken back, in this order from the last, when nothing else is left of a page. */
enum { SOFT_ELEMENT = 1, SOFT_FARM = 2, SOFT_CLASS = 4, SOFT_FORM = 8, SOFT_OUTSIDE = 16 };

/* One open element. */
struct html_frame {
    const struct html_tag_info *tag;
    char name[HTML_NAME_MAX + 1];
    unsigned flags, mark, soft;
    int list_depth;                         /* definition lists around */
    size_t cells;                           /* of a row: seen so far */
    size_t chars, link, links, first_block; /* the page's totals when it began */
};

struct html_page {
    struct blocks blocks;
    struct html_frame stack[HTML_DEPTH_MAX]; /* [0] is the root */
    size_t depth, too_deep;
    enum block_kind kind; /* of the block under construction, with its level, and what it will be marked with */
    int level, block_depth;
    unsigned block_mark, block_drop;
    size_t chars, link_chars, links; /* of the block under construction: bytes that are not blank */
    size_t total_chars, total_link, total_links;
    size_t cell_start; /* total_chars when the current table cell began */
    bool blank;        /* white space was read that has not been written */
    bool raised;       /* a sup element has just begun */
    bool glue;         /* the next block goes on with this one: an admonition's heading, "Note: ..." */
    bool xml;          /* XHTML: <x/> is empty */
    struct buf title, scratch;
};

/* Closes the open elements from index `to` (>= 1) up. */
void html_page_pop(struct html_page *p, size_t to);
/* Marks a block that is just a row of links. */
void html_page_judge_block(const struct html_page *p, struct block_rec *rec);
/* Marks what an element that is being closed holds, when that is a link farm or a form without prose. */
void html_page_judge_container(struct html_page *p, const struct html_frame *f);
/* The last word: main content where it is marked, headings of nothing gone, and never an empty page if there is text.
 */
void html_page_select(struct html_page *p);
/* The text of the first h1, else of the first heading, else "". */
struct str html_page_first_heading(const struct html_page *p);

#endif
