/*
 * What FAISS 1.11's C API lacks, with C linkage: an HNSW graph without a second copy of its vectors, one that begins
 * with another's links, and its arrays. Private to faiss_index.c. Each returns 0, or -1 with
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

struct graph_rows;
/* Makes an HNSW index by inner product over rows (borrowed: they must outlive it). Row i takes the
 * place order[i] while the graph is built (NULL: its own). It begins with the links of `base` (NULL: none), whose rows
 * have the first places; faiss_Index_add, given vectors in the order of places, makes the next ones part of it. */
int faiss_shim_new(const struct graph_rows *over, int m, int ef_construction, const struct beam_graph *base,
                   const int64_t *order, FaissIndex **out, char why[FAISS_SHIM_WHY]);
/* From places to rows: row i becomes what was in the place order[i]. Nothing can be added afterwards. */
int faiss_shim_reorder(FaissIndex *hnsw, const int64_t *order, char why[FAISS_SHIM_WHY]);
/* The graph's arrays, valid while it lives and does not change; `vectors` is left alone. */
int faiss_shim_view(const FaissIndex *hnsw, struct beam_graph *out, char why[FAISS_SHIM_WHY]);

#ifdef __cplusplus
}
#endif

#endif
