/*
 * The body of POST /search/batch, cut into the bodies of its searches. Pure.
 */
#ifndef ASSAY_HANDLERS_SEARCH_BATCH_H
#define ASSAY_HANDLERS_SEARCH_BATCH_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { SEARCH_BATCH_MAX = 64 };

/* Reads {"queries":[...]} with 1 to SEARCH_BATCH_MAX items. Each item is the text of one value, pointing into `body`
 * (or the arena); whether it is a search is for search_request_read to say, so that a bad one spoils no other.
 * ASSAY_INVALID when the text around the items is no such object, or an item is missing. */
enum assay_code search_batch_read(struct arena *a, struct str body, struct str items[SEARCH_BATCH_MAX], size_t *n,
                                  struct err *err) MUST_USE;

#endif
