/*
 * One search from its request to its reply, and the writing of the latter.
 */
#ifndef ASSAY_HANDLERS_SEARCH_REPLY_H
#define ASSAY_HANDLERS_SEARCH_REPLY_H

#include "base/json_write.h"
#include "handlers/search_request.h"
#include "server/catalog.h"
#include "store/store.h"

struct search {
    struct search_request in;
    struct collection *collection; /* held until the end */
    struct vindex_ranking ranking; /* the policy's, with what the request says otherwise */
    struct vindex_query query;
    struct vindex_result result; /* pinned while it is written */
    char receipt[UUID_TEXT + 1];
    bool has_at;
    struct digest at;
    bool degraded;
    int *places;              /* that hits had before they were reranked; NULL: they were not */
    size_t reranked;          /* how many candidates the reranker saw */
    const char *rerank_error; /* slug of why it did not order them; NULL: it did, or was not asked */
    int64_t started_ns, took_us;
};

/* Writes the object {"hits":[...],"receipt":...,...}. */
void search_reply_write(struct jsonw *w, const struct search *s);

#endif
