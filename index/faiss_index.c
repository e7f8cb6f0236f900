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
enum { BUILD_SLICE = 2048 };

struct graph {
    FaissIndex *index; /* owns the arrays of `view`; NULL: they are borrowed */
    struct beam_graph view;
};

/* The message is the library's thread-local: it is copied into the log before anything else is called. */
static enum assay_code failed(const char *what, const char *why, struct err *err)
{
    log_error("faiss", "call=%s reason=\"%s\"", what, why != NULL ? why : "");
    return err_set(err, ASSAY_INTERNAL, NULL, "the vector index failed (%s)", what);
}

/* The rows in the places from..to, one after another. */
static void gather(const float *vectors, const uint32_t *rows, size_t from, size_t to, size_t dim, float *out)
{
    for (size_t i = from; i < to; i++) {
        memcpy(out + (i - from) * dim, vectors + (size_t)rows[i] * dim, dim * sizeof(*out));
    }
}

/* Puts the rows in the places from `from` on into the graph; rows[] says which they are (NULL: the same). */
static enum assay_code add_slices(FaissIndex *index, const float *vectors, const uint32_t *rows, size_t from, size_t n,
                                  size_t dim, const atomic_bool *cancel, struct err *err)
{
    enum assay_code code = ASSAY_OK;
    float *slice = rows != NULL ? mem_alloc(BUILD_SLICE * dim * sizeof(*slice)) : NULL;
    for (size_t at = from; at < n && code == ASSAY_OK; at += BUILD_SLICE) {
        size_t count = n - at < BUILD_SLICE ? n - at : BUILD_SLICE;
        if (atomic_load_explicit(cancel, memory_order_relaxed)) {
            code = err_set(err, ASSAY_UNAVAILABLE, NULL, "the build was cancelled");
            break;
        }
        if (rows != NULL) {
            gather(vectors, rows, at, at + count, dim, slice);
        }
        if (faiss_Index_add(index, (idx_t)count, rows != NULL ? slice : vectors + at * dim) != 0) {
            code = failed("add", faiss_get_last_error(), err);
        }
    }
    free(slice);
    return code;
}

/* The row in each place; NULL when every row is in its own. */
static uint32_t *rows_in_places(const int64_t *order, size_t n)
{
    uint32_t *rows = order != NULL ? mem_alloc(n * sizeof(*rows)) : NULL;
    for (size_t i = 0; i < n && rows != NULL; i++) {
        rows[order[i]] = (uint32_t)i;
    }
    return rows;
}

enum assay_code graph_build(const struct graph_rows *over, const struct graph_base *base,
                            const struct graph_params *params, const atomic_bool *cancel, struct graph **out,
                            struct err *err)
{
    char why[FAISS_SHIM_WHY] = "";
    struct graph *g = mem_calloc(1, sizeof(*g));
    const int64_t *order = base != NULL ? base->order : NULL;
    const struct beam_graph *from = base != NULL ? &base->graph->view : NULL;
    uint32_t *rows = rows_in_places(order, over->n);
    /* The number of OpenMP threads belongs to the calling thread: setting it here leaves searches alone. */
    omp_set_num_threads(params->threads);
    enum assay_code code = ASSAY_OK;
    if (faiss_shim_new(over, params->m, params->ef_construction, from, order, &g->index, why) != 0) {
        code = failed("new", why, err);
    } else {
        code = add_slices(g->index, over->vectors, rows, from != NULL ? from->n : 0, over->n, over->dim, cancel, err);
    }
    if (code == ASSAY_OK && order != NULL && faiss_shim_reorder(g->index, order, why) != 0) {
        code = failed("reorder", why, err);
    }
    if (code == ASSAY_OK && faiss_shim_view(g->index, &g->view, why) != 0) {
        code = failed("view", why, err);
    }
    free(rows);
    if (code != ASSAY_OK) {
        graph_free(g);
        return code;
    }
    g->view.vectors = over->vectors;
    graph_use_codes(g, over->codes, over->code_rows);
    *out = g;
    return ASSAY_OK;
}

/* ---- a graph from a file ---- */

static size_t levels_above(const struct beam_graph *v, size_t row)
{
    return (v->offsets[row + 1] - v->offsets[row] - v->ground) / v->upper;
}

/* Every row has room for its lists and nothing else. */
static bool rows_valid(const struct beam_graph *v, size_t n_links)
{
    if (v->offsets[0] != 0 || v->offsets[v->n] != n_links) {
        return false;
    }
    for (size_t i = 0; i < v->n; i++) {
        size_t from = v->offsets[i], to = v->offsets[i + 1];
        if (to > n_links || to < from || to - from < v->ground || (to - from - v->ground) % v->upper != 0 ||
            levels_above(v, i) > (size_t)v->max_level) {
            return false;
        }
    }
    return true;
}

/* Every link leads to a row, and above the ground to one that has that level. */
static bool links_valid(const struct beam_graph *v)
{
    for (size_t i = 0; i < v->n; i++) {
        const int32_t *links = v->links + v->offsets[i];
        bool bad = false;
        for (size_t k = 0; k < v->offsets[i + 1] - v->offsets[i]; k++) {
            bad |= links[k] < -1 || links[k] >= (int64_t)v->n;
        }
        for (size_t level = 1; level <= levels_above(v, i) && !bad; level++) {
            const int32_t *list = links + v->ground + (level - 1) * v->upper;
            for (size_t k = 0; k < v->upper && list[k] >= 0; k++) {
                bad |= levels_above(v, (size_t)list[k]) < level;
            }
        }
        if (bad) {
            return false;
        }
    }
    return true;
}

struct graph *graph_borrow(const struct beam_graph *v, size_t n_links)
{
    if (v->n == 0 || v->n > INT32_MAX || v->upper == 0 || v->upper > n_links || v->ground != 2 * v->upper ||
        v->max_level < 0 || v->entry < 0 || (size_t)v->entry >= v->n || !rows_valid(v, n_links) ||
        levels_above(v, (size_t)v->entry) != (size_t)v->max_level || !links_valid(v)) {
        return NULL;
    }
    struct graph *g = mem_calloc(1, sizeof(*g));
    g->view = *v;
    return g;
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

void graph_use_cold(struct graph *g, const struct cold *cold)
{
    g->view.cold = cold;
}

size_t graph_search(const struct graph *g, const float *query, size_t k, size_t ef, const uint64_t *allowed,
                    struct arena *a, int64_t *rows, float *scores)
{
    return beam_search(&g->view, query, k, ef, allowed, a, rows, scores);
}

const struct beam_graph *graph_view(const struct graph *g)
{
    return &g->view;
}

int graph_m(const struct graph *g)
{
    return (int)g->view.upper;
}

size_t graph_bytes(const struct graph *g)
{
    const struct beam_graph *v = g != NULL ? &g->view : NULL;
    return v == NULL || g->index == NULL ? 0 : v->offsets[v->n] * sizeof(*v->links) + v->n * 2 * sizeof(*v->offsets);
}
