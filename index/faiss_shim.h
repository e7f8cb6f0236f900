/*
 * What FAISS 1.11's C API lacks, with C linkage: an HNSW graph without a second copy of its vectors, one that begins
 * with another's links, its arrays, and graphs to and from memory. Private to faiss_index.c. Each returns 0, or -1 with
 * the reason in `why`; no exception leaves it.
 */
#ifndef ASSAY_INDEX_FAISS_SHIM_H
#define ASSAY_INDEX_FAISS_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include <faiss/c_api/Index_c.h>

#include "index/beam.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FAISS_SHIM_WHY = 256 };

/* Makes an HNSW index by inner product over the vectors at `x` (n * d floats, borrowed: they must outlive it). It
 * begins with the links of `base` (NULL: none), whose rows are the first of x; faiss_Index_add makes the next rows part
 * of it. */
int faiss_shim_new(float *x, size_t n, size_t d, int m, int ef_construction, const FaissIndex *base, FaissIndex **out,
                   char why[FAISS_SHIM_WHY]);
/* Puts the rows into another order: row i becomes what order[i] was, and the vectors are now those at `x` (borrowed).
 */
int faiss_shim_reorder(FaissIndex *hnsw, const int64_t *order, float *x, char why[FAISS_SHIM_WHY]);
/* The graph's arrays, valid while it lives and does not change. */
int faiss_shim_view(const FaissIndex *hnsw, struct beam_graph *out, char why[FAISS_SHIM_WHY]);
/* Hands the graph's bytes, without the vectors, to `put` piece by piece. */
int faiss_shim_write(const FaissIndex *hnsw, void (*put)(void *ctx, const void *p, size_t n), void *ctx,
                     char why[FAISS_SHIM_WHY]);
/* Makes a graph from such bytes over the vectors at `x` (borrowed). */
int faiss_shim_read(const void *bytes, size_t len, float *x, size_t n, size_t d, FaissIndex **out,
                    char why[FAISS_SHIM_WHY]);

#ifdef __cplusplus
}
#endif

#endif
