/*
 * The vector leg and its planner. Cost of an exact scan: one dot product for each eligible row. Cost of the graph:
 * about as many as its beam times the links of a node, more when a filter hides most of what it meets. So a segment is
 * scanned when few rows are eligible, by number or by share, and otherwise asked through its graph, with the beam
 * widened by what is hidden.
 */
#include "index/kernel.h"
#include "index/search.h"

enum {
    SCAN_FLOATS = 1 << 20, /* up to this many multiplications a scan is at least as fast as the graph */
    SCAN_SHARE = 16,       /* fewer than one row in this many: the graph starves */
    HIDDEN_SHARE = 64      /* fewer hidden than one row in this many: too few to matter */
};

/* By how much a filter widens the beam: by the inverse of its share of rows, and twice that, since a filter is seldom
 * independent of the query (all that is nearest may be what it hides). At most 2 * SCAN_SHARE. */
static size_t beam_growth(size_t rows, size_t eligible)
{
    return (rows - eligible) * HIDDEN_SHARE < rows ? 1 : 2 * rows / eligible;
}

static void offer(struct search *s, uint32_t seg_no, size_t row, const float *query)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    struct top *leg = &s->legs[LEG_VECTOR];
    float score = kernel_dot(query, seg->vectors + row * s->dim, s->dim);
    if (score >= top_floor(leg)) {
        top_offer(leg, &(struct candidate){score, seg_no, (uint32_t)row, &seg->rows[row].chunk});
    }
}

static void scan(struct search *s, uint32_t seg_no, const float *query)
{
    BITS_EACH(s->eligible[seg_no].bits, s->view->segs[seg_no].seg->n, row)
    {
        offer(s, seg_no, row, query);
    }
}

static bool should_scan(const struct search *s, const struct segment *seg, size_t n)
{
    return s->q->exact || seg->graph == NULL || n * s->dim <= SCAN_FLOATS || n < seg->n / SCAN_SHARE ||
           n <= 2 * s->legs[LEG_VECTOR].cap;
}

static enum assay_code ask_graph(struct search *s, uint32_t seg_no, const float *query, struct err *err)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    const struct eligible *e = &s->eligible[seg_no];
    size_t k = s->legs[LEG_VECTOR].cap, found = 0;
    size_t beam = (size_t)s->ef > k + k / 4 ? (size_t)s->ef : k + k / 4;
    beam *= beam_growth(seg->n, e->n);
    struct arena_mark mark = arena_mark(s->arena);
    int64_t *rows = arena_alloc(s->arena, k * sizeof(*rows));
    float *scores = arena_alloc(s->arena, k * sizeof(*scores));
    enum assay_code code =
        graph_search(seg->graph, query, k, (int)beam, e->n < seg->n ? e->bits : NULL, rows, scores, &found, err);
    if (code == ASSAY_OK && found < (k < e->n ? k : e->n)) {
        scan(s, seg_no, query);
    } else if (code == ASSAY_OK) {
        s->graph_used = true;
        for (size_t i = 0; i < found; i++) {
            /* The graph is trusted with speed, not with truth. */
            if ((uint64_t)rows[i] < seg->n && bits_get(e->bits, (size_t)rows[i])) {
                offer(s, seg_no, (size_t)rows[i], query);
            }
        }
    }
    arena_rollback(s->arena, mark);
    return code;
}

enum assay_code nearest_leg(struct search *s, const float *query, struct err *err)
{
    for (uint32_t i = 0; i < s->view->n; i++) {
        if (s->eligible[i].n == 0) {
            continue;
        }
        if (should_scan(s, s->view->segs[i].seg, s->eligible[i].n)) {
            scan(s, i, query);
        } else {
            TRY(ask_graph(s, i, query, err));
        }
    }
    top_sort(&s->legs[LEG_VECTOR]);
    return ASSAY_OK;
}
