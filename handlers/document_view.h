/*
 * What handlers show of documents, and to whom: finding a document that the caller may see, and whether its text may be
 * shown. Nobody but a steward sees text that a search would not return.
 */
#ifndef ASSAY_HANDLERS_DOCUMENT_VIEW_H
#define ASSAY_HANDLERS_DOCUMENT_VIEW_H

#include "base/json_write.h"
#include "server/catalog.h"
#include "server/request.h"
#include "store/documents.h"

/* ?collection=, the only parameter of most reads. Absent means `default`. */
enum assay_code document_view_collection(struct request *req, struct collection **out, struct err *err) MUST_USE;
/* The document by its key. ASSAY_NOT_FOUND "unknown-document" when there is none or the caller may not know of it.
 * deleted_too: a steward also gets what was deleted (lineage outlives it). */
enum assay_code document_view_find(struct request *req, struct collection *c, struct str key, bool deleted_too,
                                   struct document_row *out, struct err *err) MUST_USE;
/* May the caller read all of the current version's text: nothing of it held back, fresh, its source active? */
bool document_view_text_allowed(const struct request *req, const struct document_row *d);
void document_view_write(struct jsonw *w, const struct collection *c, const struct document_row *d);

#endif
