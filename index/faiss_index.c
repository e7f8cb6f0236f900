#include "index/faiss_index.h"

#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/log.h"
#include "index/faiss_shim.h"

/* Rows given to FAISS at once: between two slices a build can be cancelled. */
enum { BUILD_SLICE = 8192 };

struct graph {
    FaissIndex *index;
    size_t n;
};

/* The message is the library's thread-local: it is copied into the log before anything else is called. */
static enum assay_code failed(const char *what, const char *why, struct err *err)
{
    log_error("faiss", "call=%s reason=\"%s\"", what, why != NULL ? why : "");
    return err_set(err, ASSAY_INTERNAL, NULL, "the vector index failed (%s)", what);
}

static enum assay_code add_slices(FaissIndex *index, const float *vectors, size_t n, size_t dim,
                                  const atomic_bool *cancel, struct err *err)
{
    for (size_t at = 0; at < n; at += BUILD_SLICE) {
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

enum assay_code graph_build(float *vectors, size_t n, size_t dim, int threads, const atomic_bool *cancel,
                            struct graph **out, struct err *err)
{
    char description[32], why[FAISS_SHIM_WHY] = "";
    snprintf(description, sizeof(description), "HNSW%d,Flat", GRAPH_M);
    struct graph *g = mem_calloc(1, sizeof(*g));
    g->n = n;
    /* The number of OpenMP threads belongs to the calling thread: setting it here leaves searches alone. */
    omp_set_num_threads(threads);
    enum assay_code code = ASSAY_OK;
    if (faiss_index_factory(&g->index, (int)dim, description, METRIC_INNER_PRODUCT) != 0) {
        code = failed("factory", faiss_get_last_error(), err);
        goto cleanup;
    }
    if (faiss_shim_set_construction(g->index, GRAPH_EF_CONSTRUCTION, why) != 0) {
        code = failed("efConstruction", why, err);
        goto cleanup;
    }
    code = add_slices(g->index, vectors, n, dim, cancel, err);
    if (code == ASSAY_OK && faiss_shim_borrow(g->index, vectors, n, why) != 0) {
        code = failed("borrow", why, err);
    }
cleanup:
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

enum assay_code graph_search(const struct graph *g, const float *query, size_t k, int ef, const uint64_t *allowed,
                             int64_t *rows, float *scores, size_t *found, struct err *err)
{
    char why[FAISS_SHIM_WHY] = "";
    const uint8_t *bitmap = (const uint8_t *)allowed;
    if (faiss_shim_search(g->index, query, k, ef, bitmap, g->n, scores, rows, why) != 0) {
        return failed("search", why, err);
    }
    *found = 0;
    for (size_t i = 0; i < k; i++) {
        if (rows[i] >= 0) {
            rows[*found] = rows[i];
            scores[(*found)++] = scores[i];
        }
    }
    return ASSAY_OK;
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
    *out = mem_calloc(1, sizeof(**out));
    (*out)->index = index;
    (*out)->n = n;
    return ASSAY_OK;
}

size_t graph_bytes(const struct graph *g)
{
    return g == NULL ? 0 : g->n * (2 * GRAPH_M * sizeof(int32_t) + 2 * sizeof(int64_t));
}
