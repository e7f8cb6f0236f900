/*
 * Character references of HTML: numbers by the rules of WHATWG HTML, "Numeric character reference end state", and the
 * 253 names of HTML 4, which libxml2 knows. The other names of the living standard are almost all mathematical
 * operators that real pages write as characters; they stay as they stand. Private to ingest/.
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
