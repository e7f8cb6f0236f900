/*
 * What a search asks for, as read from the body of POST /search or the query string of GET /search. Pure: no I/O, no
 * clock; everything read is arena-owned.
 */
#ifndef ASSAY_HANDLERS_SEARCH_REQUEST_H
#define ASSAY_HANDLERS_SEARCH_REQUEST_H

#include "base/json_read.h"
#include "index/vindex.h"

struct search_request {
    bool in_body; /* how to point at a field: "/k" or "?k" */
    bool has_query, has_mode, has_principal, has_vector;
    struct str query, collection, at;
    json_t *vector_json; /* as the tree has it; see vector */
    const float *vector; /* `dim` finite numbers, not all zero; NULL: none was given */
    size_t dim;
    int64_t k;
    int mode;                          /* enum vindex_mode; vector when only a vector was given */
    json_t *filter;                    /* object or NULL */
    json_t *fusion;                    /* object or NULL: ranking_parse reads it over the collection's policy */
    int64_t max_per_document, context; /* 0: no limit; none */
    int64_t generation;                /* of the index; 0: the one that is served */
    double min_quality;
    struct str_list principal;
    bool exact, include_quarantined, explain, rerank, highlight;
};

extern const char *const search_mode_names[]; /* by enum vindex_mode, NULL-terminated */

/* Reads the body. The array of `vector` never becomes a JSON tree: json_vector_cut reads it first. ASSAY_INVALID with
 * the pointer of every problem otherwise. */
enum assay_code search_request_read(struct arena *a, struct str body, struct search_request *out,
                                    struct err *err) MUST_USE;
/* The same from query parameters: q, k, collection, mode, filter (JSON text), at, min_quality, principal, exact,
 * include_quarantined, explain, fusion (JSON text), max_per_document, context, rerank, highlight. A vector does not fit
 * into a URL and is not taken. */
enum assay_code search_request_read_params(struct arena *a, const struct json_param *params, size_t n,
                                           struct search_request *out, struct err *err) MUST_USE;

/* "/name" or "?name" (in which the query is called q), for err_add_field. */
const char *search_request_pointer(const struct search_request *r, const char *name);

#endif
