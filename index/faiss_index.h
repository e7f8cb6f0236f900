/*
 * An HNSW graph over unit vectors by inner product: a thin wrapper around FAISS. Every return code is checked and the
 * library's message goes to the log; callers get a code. Searching is thread-safe, everything else is not.
 */
#ifndef ASSAY_INDEX_FAISS_INDEX_H
#define ASSAY_INDEX_FAISS_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "index/beam.h"

/* The defaults: 32 links a row (64 on the ground) and a beam of 100 while building; recall tops out near 0.99. */
enum { GRAPH_M = 32, GRAPH_EF_CONSTRUCTION = 100 };

struct graph_params {
    int m, ef_construction;
    int threads; /* of OpenMP */
};

struct graph;
/* Builds a graph. With a `base`,
 * which has the same m, its links are taken over and only the other rows are put in: order[i] is row i's place in the
 * order of base's rows followed by the others (NULL: the same order). Stops with ASSAY_UNAVAILABLE when *cancel becomes
 * true. */
struct graph_base {
    const struct graph *graph;
    const int64_t *order;
};
enum assay_code graph_build(const struct graph_rows *over, const struct graph_base *base,
                            const struct graph_params *params, const atomic_bool *cancel, struct graph **out,
                            struct err *err) MUST_USE;
void graph_free(struct graph *g); /* NULL is ignored */

/* Lets searches walk by 8-bit codes of the vectors (n * code8_stride(dim) bytes, n rows), which are borrowed. */
void graph_use_codes(struct graph *g, const uint8_t *codes, const struct code8_row *rows);

/* Lets searches read the vectors of the best from a file; with codes only. Borrowed. */
void graph_use_cold(struct graph *g, const struct cold *cold);

/* As beam_search: the k best rows by a beam of `ef` among `allowed` (NULL: all). */
size_t graph_search(const struct graph *g, const float *query, size_t k, size_t ef, const uint64_t *allowed,
                    struct arena *a, int64_t *rows, float *scores);

/* Its arrays, for files; valid while it lives. */
const struct beam_graph *graph_view(const struct graph *g);
/* A graph over arrays that stay in place until graph_free, with n_links links; NULL when a search might leave them. */
struct graph *graph_borrow(const struct beam_graph *view, size_t n_links);

int graph_m(const struct graph *g);
size_t graph_bytes(const struct graph *g); /* an estimate of what it owns; NULL and a borrowing one: 0 */

#endif
