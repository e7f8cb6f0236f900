/*
 * Character references of HTML (WHATWG HTML, "Named character references"): the whole table, and its decoder.
 * Private to ingest/.
 */
#ifndef ASSAY_INGEST_HTML_ENTITIES_H
#define ASSAY_INGEST_HTML_ENTITIES_H

#include "base/str.h"

/* Reads the reference at s (whose first byte is '&'). Returns the number of bytes read and puts the text, valid UTF-8
 * of at most 7 bytes, into out; returns 0 when it is no reference, so that the '&' stands for itself. Numbers that are
 * no code points give U+FFFD, as the standard says. */
size_t html_entity(struct str s, char out[8], size_t *out_len);

/* Appends `s` with its references decoded. */
void html_decode(struct str s, struct buf *out);

#endif
