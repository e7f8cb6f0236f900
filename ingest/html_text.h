/*
 * The text of a snippet of HTML, as found within Markdown. Private to ingest/.
 */
#ifndef ASSAY_INGEST_HTML_TEXT_H
#define ASSAY_INGEST_HTML_TEXT_H

#include "base/str.h"

/* Appends the text between the tags, references decoded, scripts and comments dropped, block tags and br as newlines.
 */
void html_text(struct str html, struct buf *out);

#endif
