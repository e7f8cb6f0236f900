/*
 * Vectors of queries, from the collections' endpoints. What is asked for while a call of the same collection is under
 * way waits and goes out together with the next one, so that many searches cost few calls and none waits for company.
 * A small cache serves repeated queries.
 */
#ifndef ASSAY_SERVER_QUERY_EMBED_H
#define ASSAY_SERVER_QUERY_EMBED_H

#include "base/call.h"
#include "base/err.h"
#include "base/str.h"

struct collection;
struct server;

struct query_embedder;
struct query_embedder *query_embedder_new(struct server *s, size_t cache_bytes);
void query_embedder_free(struct query_embedder *q); /* nobody may be waiting. NULL is ignored */

struct query_text {
    struct collection *collection; /* of kind openai */
    struct str text;
    float *out;           /* room for the collection's dimension */
    enum assay_code code; /* set: ASSAY_OK, or why there is no vector */
};
/* Gives every item its vector or its code: ASSAY_UNAVAILABLE (no answer within the embedder's timeout_ms or the call's
 * deadline), ASSAY_UPSTREAM (a refusal, or an answer that cannot be used). A text that the endpoint refuses spoils no
 * other. Blocks: worker threads only. */
void query_embed(struct query_embedder *q, const struct call *call, struct query_text *items, size_t n);
/* The same from the cache alone; never waits for an endpoint. */
bool query_embed_cached(struct query_embedder *q, struct query_text *item);

#endif
