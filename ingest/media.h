/*
 * Media types that Assay reads. Pure.
 */
#ifndef ASSAY_INGEST_MEDIA_H
#define ASSAY_INGEST_MEDIA_H

#include "base/str.h"

enum media_type { MEDIA_UNKNOWN, MEDIA_TEXT, MEDIA_MARKDOWN, MEDIA_HTML, MEDIA_PDF, MEDIA_DOCX, MEDIA_ODT };

/* From a declared type ("text/html; charset=utf-8"); parameters are ignored. MEDIA_UNKNOWN when it is none of ours. */
enum media_type media_from_name(struct str name);
/* When nothing was declared: by magic bytes, then by the ending of uri or key; text that is valid UTF-8 is MEDIA_TEXT.
 */
enum media_type media_sniff(struct str bytes, struct str uri);
/* The canonical name, "text/plain", "application/pdf", ... */
const char *media_name(enum media_type m);

#endif
