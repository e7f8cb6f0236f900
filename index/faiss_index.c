#include "index/faiss_index.h"

#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "index/faiss_shim.h"

/* Rows given to FAISS at once: between two slices a build can be cancelled. */
enum { BUILD_SLICE = 8192 };

struct graph {
    FaissIndex *index;
    struct beam_graph view;
};

/* The message is the library's thread-local: it is copied into the log before anything else is called. */
static enum assay_code failed(const char *what, const char *why, struct err *err)
{
    log_error("faiss", "call=%s reason=\"%s\"", what, why != NULL ? why : "");
    return err_set(err, ASSAY_INTERNAL, NULL, "the vector index failed (%s)", what);
}

static enum assay_code add_slices(FaissIndex *index, const float *vectors, size_t from, size_t n, size_t dim,
                                  const atomic_bool *cancel, struct err *err)
{
    for (size_t at = from; at < n; at += BUILD_SLICE) {
        if (atomic_load_explicit(cancel, memory_order_relaxed)) {
            return err_set(err, ASSAY_UNAVAILABLE, NULL, "the build was cancelled");
        }
        size_t rows = n - at < BUILD_SLICE ? n - at : BUILD_SLICE;
        if (faiss_Index_add(index, (idx_t)rows, vectors + at * dim) != 0) {
            return failed("add", faiss_get_last_error(), err);
        }
    }
    return ASSAY_OK;
}

/* The vectors in the order in which the graph gets to know them. */
static float *in_order(const float *vectors, size_t n, size_t dim, const int64_t *order)
{
    float *out = mem_alloc((n * dim + 1) * sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        memcpy(out + (size_t)order[i] * dim, vectors + i * dim, dim * sizeof(*out));
    }
    return out;
}

enum assay_code graph_build(float *vectors, size_t n, size_t dim, const struct graph_base *base,
                            const struct graph_params *params, const atomic_bool *cancel, struct graph **out,
                            struct err *err)
{
    char why[FAISS_SHIM_WHY] = "";
    struct graph *g = mem_calloc(1, sizeof(*g));
    const int64_t *order = base != NULL ? base->order : NULL;
    float *ordered = order != NULL ? in_order(vectors, n, dim, order) : vectors;
    /* The number of OpenMP threads belongs to the calling thread: setting it here leaves searches alone. */
    omp_set_num_threads(params->threads);
    enum assay_code code = ASSAY_OK;
    if (faiss_shim_new(ordered, n, dim, params->m, params->ef_construction, base != NULL ? base->graph->index : NULL,
                       &g->index, why) != 0) {
        code = failed("new", why, err);
        goto cleanup;
    }
    code = add_slices(g->index, ordered, base != NULL ? base->graph->view.n : 0, n, dim, cancel, err);
    if (code == ASSAY_OK && order != NULL && faiss_shim_reorder(g->index, order, vectors, why) != 0) {
        code = failed("reorder", why, err);
    }
    if (code == ASSAY_OK && faiss_shim_view(g->index, &g->view, why) != 0) {
        code = failed("view", why, err);
    }
cleanup:
    if (ordered != vectors) {
        free(ordered);
    }
    if (code != ASSAY_OK) {
        graph_free(g);
        return code;
    }
    *out = g;
    return ASSAY_OK;
}

void graph_free(struct graph *g)
{
    if (g == NULL) {
        return;
    }
    if (g->index != NULL) {
        faiss_Index_free(g->index);
    }
    free(g);
}

void graph_use_codes(struct graph *g, const uint8_t *codes, const struct code8_row *rows)
{
    g->view.codes = codes;
    g->view.rows = rows;
}

size_t graph_search(const struct graph *g, const float *query, size_t k, size_t ef, const uint64_t *allowed,
                    struct arena *a, int64_t *rows, float *scores)
{
    return beam_search(&g->view, query, k, ef, allowed, a, rows, scores);
}

static void put_bytes(void *ctx, const void *p, size_t n)
{
    buf_put(ctx, p, n);
}

enum assay_code graph_write(const struct graph *g, struct buf *out, struct err *err)
{
    char why[FAISS_SHIM_WHY] = "";
    return faiss_shim_write(g->index, put_bytes, out, why) != 0 ? failed("write", why, err) : ASSAY_OK;
}

enum assay_code graph_read(struct str bytes, float *vectors, size_t n, size_t dim, struct graph **out, struct err *err)
{
    char why[FAISS_SHIM_WHY] = "";
    FaissIndex *index = NULL;
    if (faiss_shim_read(bytes.ptr, bytes.len, vectors, n, dim, &index, why) != 0) {
        return failed("read", why, err);
    }
    struct graph *g = mem_calloc(1, sizeof(*g));
    g->index = index;
    if (faiss_shim_view(index, &g->view, why) != 0) {
        graph_free(g);
        return failed("view", why, err);
    }
    *out = g;
    return ASSAY_OK;
}

int graph_m(const struct graph *g)
{
    return (int)g->view.upper;
}

size_t graph_bytes(const struct graph *g)
{
    return g == NULL ? 0 : g->view.offsets[g->view.n] * sizeof(int32_t) + g->view.n * 2 * sizeof(int64_t);
}
