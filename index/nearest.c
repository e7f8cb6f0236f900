/*
 * The vector leg and its planner. An exact scan costs one dot product for each eligible row, rows that lie together
 * less than rows met here and there. A beam over the graph costs some dozens of dot products for each place in it,
 * whatever the number of rows; with a filter it walks over eligible rows alone and looks through the others, which
 * costs links to read instead. So a segment is scanned when few rows are eligible, and otherwise asked through its
 * graph.
 */
#include "index/search.h"

enum {
    SCAN_PER_PLACE = 24,      /* up to this many rows for each place in the beam a scan is as fast as the graph, */
    SCAN_PER_PLACE_SOME = 64, /* and so many eligible ones where others must be looked through */
    SCAN_SHARE = 32           /* fewer eligible than one row in this many: too few to walk from one to the next */
};

static size_t beam_of(const struct search *s)
{
    size_t k = s->legs[LEG_VECTOR].cap;
    return (size_t)s->ef > k + k / 4 ? (size_t)s->ef : k + k / 4;
}

static bool should_scan(const struct search *s, const struct segment *seg, size_t n)
{
    size_t few = (n < seg->n ? SCAN_PER_PLACE_SOME : SCAN_PER_PLACE) * beam_of(s);
    return s->q->exact || seg->graph == NULL || n <= few || n < seg->n / SCAN_SHARE;
}

static void ask_graph(struct search *s, uint32_t seg_no, const float *query)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    const struct eligible *e = &s->eligible[seg_no];
    size_t k = s->legs[LEG_VECTOR].cap, want = k < e->n ? k : e->n;
    struct arena_mark mark = arena_mark(s->arena);
    int64_t *rows = arena_alloc(s->arena, (k + 1) * sizeof(*rows));
    float *scores = arena_alloc(s->arena, (k + 1) * sizeof(*scores));
    size_t found =
        graph_search(seg->graph, query, k, beam_of(s), e->n < seg->n ? e->bits : NULL, s->arena, rows, scores);
    if (found < want) {
        scan_segment(s, seg_no, query);
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
            scan_segment(s, i, query);
        } else {
            ask_graph(s, i, query);
        }
    }
    top_sort(&s->legs[LEG_VECTOR]);
}
