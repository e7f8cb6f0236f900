/*
 * The vector leg and its planner. An exact scan costs one dot product for each eligible row, rows that lie together
 * less than rows met here and there. A beam over the graph costs some dozens of dot products for each place in it,
 * whatever the number of rows; with a filter it walks over eligible rows alone and looks through the others, which
 * costs links to read instead. So a segment is scanned when few rows are eligible, and otherwise asked through its
 * graph.
 */
#include "index/kernel.h"
#include "index/search.h"

enum {
    SCAN_PER_PLACE = 20, /* up to this many eligible rows for each place in the beam a scan is as fast as the graph */
    SCAN_SHARE = 64,     /* fewer eligible than one row in this many: too few to walk from one to the next */
    NARROW_SHARE = 8,    /* fewer eligible than one row in this many: the beam is widened */
    AHEAD = 8            /* rows whose vectors are fetched while others are scored */
};

static void offer(struct search *s, uint32_t seg_no, size_t row, const float *query)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    struct top *leg = &s->legs[LEG_VECTOR];
    float score = kernel_dot(query, seg->vectors + row * s->dim, s->dim);
    if (score >= top_floor(leg)) {
        top_offer(leg, &(struct candidate){score, seg_no, (uint32_t)row, &seg->rows[row].chunk});
    }
}

struct scanned {
    uint32_t rows[AHEAD];
    size_t n;
};

static void score_scanned(struct search *s, uint32_t seg_no, const float *query, struct scanned *b)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    struct top *leg = &s->legs[LEG_VECTOR];
    const float *vectors[KERNEL_ROWS];
    float scores[KERNEL_ROWS];
    size_t i = 0;
    for (; i + KERNEL_ROWS <= b->n; i += KERNEL_ROWS) {
        for (size_t r = 0; r < KERNEL_ROWS; r++) {
            vectors[r] = seg->vectors + (size_t)b->rows[i + r] * s->dim;
        }
        kernel_dot4(query, vectors, s->dim, scores);
        for (size_t r = 0; r < KERNEL_ROWS; r++) {
            if (scores[r] >= top_floor(leg)) {
                uint32_t row = b->rows[i + r];
                top_offer(leg, &(struct candidate){scores[r], seg_no, row, &seg->rows[row].chunk});
            }
        }
    }
    for (; i < b->n; i++) {
        offer(s, seg_no, b->rows[i], query);
    }
    b->n = 0;
}

static void scan(struct search *s, uint32_t seg_no, const float *query)
{
    enum { CACHE_LINE = 64 };
    const struct segment *seg = s->view->segs[seg_no].seg;
    struct scanned two[2] = {{.n = 0}, {.n = 0}};
    unsigned now = 0;
    BITS_EACH(s->eligible[seg_no].bits, seg->n, row)
    {
        const char *v = (const char *)(seg->vectors + row * s->dim);
        for (size_t i = 0; i < s->dim * sizeof(float); i += CACHE_LINE) {
            __builtin_prefetch(v + i);
        }
        two[now].rows[two[now].n++] = (uint32_t)row;
        if (two[now].n == AHEAD) {
            now = 1 - now;
            score_scanned(s, seg_no, query, &two[now]);
        }
    }
    score_scanned(s, seg_no, query, &two[1 - now]);
    score_scanned(s, seg_no, query, &two[now]);
}

static size_t beam_of(const struct search *s, const struct segment *seg, size_t eligible)
{
    size_t k = s->legs[LEG_VECTOR].cap;
    size_t beam = (size_t)s->ef > k + k / 4 ? (size_t)s->ef : k + k / 4;
    return eligible < seg->n / NARROW_SHARE ? 2 * beam : beam;
}

static bool should_scan(const struct search *s, const struct segment *seg, size_t n)
{
    return s->q->exact || seg->graph == NULL || n <= SCAN_PER_PLACE * beam_of(s, seg, n) || n < seg->n / SCAN_SHARE;
}

static void ask_graph(struct search *s, uint32_t seg_no, const float *query)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    const struct eligible *e = &s->eligible[seg_no];
    size_t k = s->legs[LEG_VECTOR].cap, want = k < e->n ? k : e->n;
    struct arena_mark mark = arena_mark(s->arena);
    int64_t *rows = arena_alloc(s->arena, (k + 1) * sizeof(*rows));
    float *scores = arena_alloc(s->arena, (k + 1) * sizeof(*scores));
    size_t found = graph_search(seg->graph, query, k, beam_of(s, seg, e->n), e->n < seg->n ? e->bits : NULL, s->arena,
                                rows, scores);
    if (found < want) {
        scan(s, seg_no, query);
    } else {
        s->graph_used = true;
        for (size_t i = 0; i < found; i++) {
            /* The graph is trusted with speed, not with truth. */
            if ((uint64_t)rows[i] < seg->n && bits_get(e->bits, (size_t)rows[i])) {
                top_offer(&s->legs[LEG_VECTOR],
                          &(struct candidate){scores[i], seg_no, (uint32_t)rows[i], &seg->rows[rows[i]].chunk});
            }
        }
    }
    arena_rollback(s->arena, mark);
}

void nearest_leg(struct search *s, const float *query)
{
    for (uint32_t i = 0; i < s->view->n; i++) {
        if (s->eligible[i].n == 0) {
            continue;
        }
        if (should_scan(s, s->view->segs[i].seg, s->eligible[i].n)) {
            scan(s, i, query);
        } else {
            ask_graph(s, i, query);
        }
    }
    top_sort(&s->legs[LEG_VECTOR]);
}
