/*
 * What HTML elements are to a reader, and which of them are boilerplate. Private to ingest/.
 */
#ifndef ASSAY_INGEST_HTML_TAGS_H
#define ASSAY_INGEST_HTML_TAGS_H

#include "ingest/html_scan.h"

/* Elements with rules of their own; the rest are TAG_OTHER. */
enum html_tag {
    TAG_OTHER,
    TAG_A,
    TAG_ARTICLE,
    TAG_BODY, /* html and body */
    TAG_BR,
    TAG_CELL, /* td and th */
    TAG_DD,
    TAG_DL,
    TAG_DT,
    TAG_FORM,
    TAG_HEAD,
    TAG_HEADER,
    TAG_HEADING, /* h1-h6 */
    TAG_LI,
    TAG_LIST, /* ul, ol, menu, dir */
    TAG_MAIN,
    TAG_META, /* what may stand in head */
    TAG_NAV,  /* nav, aside, footer, search */
    TAG_P,
    TAG_PRE,
    TAG_SECTION, /* tbody, thead, tfoot */
    TAG_SUP,
    TAG_TABLE,
    TAG_TITLE,
    TAG_TR
};

enum {
    HTML_VOID = 1,  /* has no content and no end tag */
    HTML_BLOCK = 2, /* parts text */
    HTML_DROP = 4,  /* its content is not for reading */
    HTML_SCOPE = 8, /* an end tag of something outside does not reach through it */
    HTML_LINKS = 16 /* may be a link farm */
};

struct html_tag_info {
    const char *name;
    enum html_tag tag;
    unsigned flags;
};

/* Never NULL: unknown elements are inline and harmless. */
const struct html_tag_info *html_tag_of(const char *name);

enum html_role {
    HTML_CONTENT,
    HTML_INVISIBLE,   /* hidden from every reader: by attribute or style */
    HTML_BOILERPLATE, /* navigation and the like, by role, class or id */
    HTML_ADMONITION,  /* a note, tip or warning: its heading names no section */
    HTML_MAIN_ROLE    /* role=main */
};
/* What the attributes say. Classes are judged by their words ("nav-bar", "navheader", "site-footer", "toc"), as
 * boilerplate removers do; no site's own names are known. Ids count only when they are such a word entirely, and never
 * on headings and sections, whose ids are made from what they talk about. */
enum html_role html_role_of(const struct html_tag_info *tag, const struct html_attrs *a);

#endif
