/*
 * Putting a search's hits into the order that the collection's reranker gives them.
 */
#ifndef ASSAY_SERVER_RERANK_H
#define ASSAY_SERVER_RERANK_H

#include "base/call.h"
#include "index/vindex.h"

struct collection;
struct server;

/* Sorts r->hits by the reranker's scores (ties by chunk id) and sets each score. places[i], of r->n, receives the
 * place, from 1, that hit i had before. On an error nothing has moved: the caller serves the order it has. Blocks until
 * the reranker's timeout_ms or the call's deadline at most; worker threads only. */
enum assay_code rerank_hits(struct server *s, const struct call *call, const struct collection *c, struct str query,
                            struct vindex_result *r, int *places, struct err *err) MUST_USE;

#endif
