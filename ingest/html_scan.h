/*
 * HTML as a stream of events: text, start tags with their attributes, end tags. Private to ingest/.
 *
 * The scanner follows the tokenizer of the WHATWG standard where it matters to text (comments, quoted attributes, raw
 * text elements, stray '<'), never fails, reads every byte once and allocates nothing. It builds no tree: what elements
 * mean to each other is up to extract_html.c, which keeps a stack of bounded depth.
 */
#ifndef ASSAY_INGEST_HTML_SCAN_H
#define ASSAY_INGEST_HTML_SCAN_H

#include "base/str.h"

enum { HTML_NAME_MAX = 15 }; /* a longer element name is cut off: none that we know has more */

enum html_event { HTML_END, HTML_TEXT, HTML_OPEN, HTML_CLOSE };

/* Only the attributes that say something about text are kept; the first of a name counts. Values are not decoded. */
struct html_attrs {
    struct str id, class, style, role;
    bool hidden, aria_hidden, href, open;
};

struct html_token {
    enum html_event event;
    char name[HTML_NAME_MAX + 1]; /* of a tag: ASCII lower case */
    struct str text;   /* of HTML_TEXT: to be decoded, unless `raw`; of an open raw text element: its content */
    bool raw;          /* text without character references */
    bool self_closing; /* written <x/> */
    struct html_attrs attrs;
};

struct html_scan {
    struct str in;
    size_t at;
};

/* The next event. After HTML_OPEN of a raw text element (script, style, textarea, title, xmp, iframe, noembed,
 * noframes) the token's text is the element's whole content and the scanner stands behind its end tag. */
void html_next(struct html_scan *s, struct html_token *out);
bool html_is_raw_text(const char *name);

#endif
