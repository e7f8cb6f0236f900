#include "base/clock.h"
#include "index/filter_tree.h"
#include "index/search.h"

static void and_with(uint64_t *out, const uint64_t *w, size_t n)
{
    for (size_t i = 0; i < bits_words(n); i++) {
        out[i] &= w[i];
    }
}

/* Rows that are served at `now` when the view's own set is of a later moment. */
static void active_at(uint64_t *out, const struct segment *seg, const struct seg_vis *vis,
                      const struct sources *sources, int64_t now_us)
{
    memset(out, 0, bits_words(seg->n) * sizeof(*out));
    for (size_t row = 0; row < seg->n; row++) {
        if (vis->rows->state[row] == CHUNK_ACTIVE && vis->age->deadline[row] > now_us) {
            const struct source *source = sources_find(sources, seg->source[row]);
            bits_put(out, row, source != NULL && source->active);
        }
    }
}

/* Takes out what went stale since the view's sets were derived: only blocks that hold such rows are looked at. */
static void drop_stale(uint64_t *out, const struct segment *seg, const struct seg_vis *vis, int64_t now_us)
{
    size_t per_block = VIS_BLOCK / 64;
    for (size_t b = 0; b * VIS_BLOCK < seg->n; b++) {
        if (vis->rows->block_min[b] > now_us) {
            continue;
        }
        for (size_t w = b * per_block; w < (b + 1) * per_block && w < bits_words(seg->n); w++) {
            for (uint64_t left = out[w]; left != 0; left &= left - 1) {
                size_t row = w * 64 + (size_t)__builtin_ctzll(left);
                if (vis->age->deadline[row] <= now_us) {
                    out[w] &= ~(UINT64_C(1) << (row & 63));
                }
            }
        }
    }
}

static void keep_allowed(struct search *s, uint64_t *out, const struct segment *seg, const struct vis_acl *acl)
{
    size_t bytes = bits_words(seg->n) * sizeof(uint64_t);
    struct arena_mark mark = arena_mark(s->arena);
    uint64_t *allowed = arena_alloc(s->arena, bytes);
    memcpy(allowed, acl->everyone, bytes);
    for (size_t i = 0; i < s->who.n_keys; i++) {
        vis_acl_add(acl, &s->who.keys[i], allowed);
    }
    and_with(out, allowed, seg->n);
    arena_rollback(s->arena, mark);
}

static void keep_quality(uint64_t *out, const struct segment *seg, double min)
{
    BITS_EACH(out, seg->n, row)
    {
        if (!(seg->quality[row] >= min)) {
            bits_put(out, row, false);
        }
    }
}

static struct eligible compile(struct search *s, const struct view_seg *vs)
{
    const struct segment *seg = vs->seg;
    const struct vis_rows *rows = vs->vis.rows;
    const uint64_t *base = s->who.steward ? rows->servable : rows->active;
    bool earlier = !s->who.steward && s->who.now_us < rows->expired_upto;
    bool stale = !s->who.steward && s->who.now_us >= rows->next_deadline;
    bool access = vs->vis.acl->n_public < seg->n;
    bool quality = s->q->min_quality > 0;
    if (!earlier && !stale && !access && !quality && s->q->filter == NULL) {
        size_t n =
            s->who.steward ? rows->by_state[CHUNK_ACTIVE] + rows->by_state[CHUNK_QUARANTINED] : rows->active_count;
        return (struct eligible){base, n};
    }
    size_t bytes = bits_words(seg->n) * sizeof(uint64_t);
    uint64_t *out = arena_alloc(s->arena, bytes);
    memcpy(out, base, bytes);
    if (earlier) {
        active_at(out, seg, &vs->vis, s->view->sources, s->who.now_us);
    } else if (stale) {
        drop_stale(out, seg, &vs->vis, s->who.now_us);
    }
    if (access) {
        keep_allowed(s, out, seg, vs->vis.acl);
    }
    if (quality) {
        keep_quality(out, seg, s->q->min_quality);
    }
    if (s->q->filter != NULL) {
        struct arena_mark mark = arena_mark(s->arena);
        uint64_t *matching = arena_alloc(s->arena, bytes);
        filter_eval(s->q->filter, seg, &vs->vis, s->view->sources, s->arena, matching);
        and_with(out, matching, seg->n);
        arena_rollback(s->arena, mark);
    }
    return (struct eligible){out, bits_count(out, seg->n)};
}

void eligible_compile(struct search *s)
{
    s->eligible = ARENA_ARRAY(s->arena, struct eligible, s->view->n + 1);
    for (size_t i = 0; i < s->view->n; i++) {
        s->eligible[i] = compile(s, &s->view->segs[i]);
        s->n_eligible += s->eligible[i].n;
    }
}
