/*
 * An HNSW graph over unit vectors by inner product: a thin wrapper around FAISS. Every return code is checked and the
 * library's message goes to the log; callers get a code. Searching is thread-safe, everything else is not.
 */
#ifndef ASSAY_INDEX_FAISS_INDEX_H
#define ASSAY_INDEX_FAISS_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* M = 32 links a node (64 on the ground level) and a beam of 100 while building: recall tops out near 0.99. */
enum { GRAPH_M = 32, GRAPH_EF_CONSTRUCTION = 100 };

struct graph;
/* Builds over n * dim floats that must stay in place until graph_free (they are borrowed, not copied), with `threads`
 * OpenMP threads. Stops with ASSAY_UNAVAILABLE when *cancel becomes true. */
enum assay_code graph_build(float *vectors, size_t n, size_t dim, int threads, const atomic_bool *cancel,
                            struct graph **out, struct err *err) MUST_USE;
void graph_free(struct graph *g); /* NULL is ignored */

/* The k best rows, unordered, by a beam of `ef`. `allowed`: a bitmap of rows, NULL for all. Returns how many were found
 * (fewer than k when the beam starved), or ASSAY_INTERNAL. */
enum assay_code graph_search(const struct graph *g, const float *query, size_t k, int ef, const uint64_t *allowed,
                             int64_t *rows, float *scores, size_t *found, struct err *err) MUST_USE;

/* The graph's links, without vectors, to and from bytes (FAISS' own format). */
enum assay_code graph_write(const struct graph *g, struct buf *out, struct err *err) MUST_USE;
enum assay_code graph_read(struct str bytes, float *vectors, size_t n, size_t dim, struct graph **out,
                           struct err *err) MUST_USE;
size_t graph_bytes(const struct graph *g); /* an estimate of the links' memory */

#endif
