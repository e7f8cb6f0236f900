/*
 * The neighbours of a hit. The rows of one version may lie in several segments, so all are asked; within one they are
 * found by the document's number.
 */
#include "index/search.h"

struct place {
    const struct view_seg *at;
    size_t row;
};

static const struct seg_row *row_of(const struct place *p)
{
    return &p->at->seg->rows[p->row];
}

/* Before (negative) or after: by where the text begins, then by chunk id, so that the order is total. */
static int compare(const struct seg_row *a, const struct seg_row *b)
{
    if (a->from != b->from) {
        return a->from < b->from ? -1 : 1;
    }
    return memcmp(a->chunk.b, b->chunk.b, DIGEST_LEN);
}

/* Up to `cap` places of one side, nearest to the hit first. */
struct side {
    struct place places[VINDEX_CONTEXT_MAX];
    size_t n, cap;
    int sign; /* -1: before the hit */
};

/* Is `a` farther from the hit than `b`? */
static bool farther(const struct side *side, const struct place *a, const struct place *b)
{
    return compare(row_of(a), row_of(b)) * side->sign > 0;
}

static bool wanted(const struct search *s, const struct side *side, const struct place *p)
{
    const struct view_seg *vs = p->at;
    if (side->n == side->cap && !farther(side, &side->places[side->n - 1], p)) {
        return false;
    }
    return vs->seg->quality[p->row] >= s->q->min_quality &&
           vis_may_see(&vs->vis, vs->seg, p->row, s->view->sources, &s->who);
}

static void keep(struct side *side, const struct place *p)
{
    size_t i = side->n < side->cap ? side->n++ : side->cap - 1;
    for (; i > 0 && farther(side, &side->places[i - 1], p); i--) {
        side->places[i] = side->places[i - 1];
    }
    side->places[i] = *p;
}

static void look_through(const struct search *s, const struct view_seg *vs, int64_t document, const struct seg_row *hit,
                         struct side sides[2])
{
    size_t from, to;
    segment_document(vs->seg, document, &from, &to);
    for (size_t i = from; i < to; i++) {
        struct place p = {vs, vs->seg->by_doc[i]};
        int order = compare(row_of(&p), hit);
        struct side *side = order > 0 ? &sides[1] : &sides[0];
        if (order != 0 && digest_eq(&row_of(&p)->version, &hit->version) && wanted(s, side, &p)) {
            keep(side, &p);
        }
    }
}

static struct vindex_neighbour *neighbours(const struct search *s, const struct side *side)
{
    struct vindex_neighbour *out = ARENA_ARRAY(s->arena, struct vindex_neighbour, side->n + 1);
    for (size_t i = 0; i < side->n; i++) {
        const struct place *p = &side->places[side->sign < 0 ? side->n - 1 - i : i];
        const struct seg_row *row = row_of(p);
        out[i] = (struct vindex_neighbour){
            .chunk = row->chunk,
            .heading = segment_string(p->at->seg, p->row, SEG_HEADING),
            .text = segment_string(p->at->seg, p->row, SEG_TEXT),
            .from = (size_t)row->from,
            .to = (size_t)row->to,
            .page = row->page,
            .state = (enum chunk_state)p->at->vis.rows->state[p->row],
            .fresh_until_us = p->at->vis.age->deadline[p->row],
        };
    }
    return out;
}

void context_find(const struct search *s, const struct fused *f, struct vindex_hit *h)
{
    if (s->q->context == 0) {
        return;
    }
    const struct view_seg *home = &s->view->segs[f->seg];
    struct side sides[2] = {{.cap = s->q->context, .sign = -1}, {.cap = s->q->context, .sign = 1}};
    for (size_t i = 0; i < s->view->n; i++) {
        look_through(s, &s->view->segs[i], home->seg->document[f->row], &home->seg->rows[f->row], sides);
    }
    h->before = neighbours(s, &sides[0]);
    h->n_before = sides[0].n;
    h->after = neighbours(s, &sides[1]);
    h->n_after = sides[1].n;
}
