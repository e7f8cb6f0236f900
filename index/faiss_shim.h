/*
 * What FAISS 1.11's C API lacks, with C linkage: a beam per search, an HNSW graph without a second copy of its vectors,
 * and graphs to and from memory. Private to faiss_index.c. Each returns 0, or -1 with the reason in `why`; no exception
 * leaves it.
 */
#ifndef ASSAY_INDEX_FAISS_SHIM_H
#define ASSAY_INDEX_FAISS_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include <faiss/c_api/Index_c.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FAISS_SHIM_WHY = 256 };

/* Sets efConstruction. */
int faiss_shim_set_construction(FaissIndex *hnsw, int ef, char why[FAISS_SHIM_WHY]);
/* Lets the graph read the vectors at `x` (n * d floats, which must outlive it) and frees its own copy. */
int faiss_shim_borrow(FaissIndex *hnsw, float *x, size_t n, char why[FAISS_SHIM_WHY]);
/* As faiss_Index_search of one query, with a beam and an optional bitmap of `rows` bits that a label has to be in. */
int faiss_shim_search(const FaissIndex *hnsw, const float *query, size_t k, int ef, const uint8_t *bitmap, size_t rows,
                      float *scores, int64_t *labels, char why[FAISS_SHIM_WHY]);
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
