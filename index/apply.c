/*
 * The writer's side: a run of changes becomes the next view.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "index/collection.h"
#include "index/kernel.h"
#include "index/static_model.h"

/* A chunk of the run that is to be added: its last ADD, and what later changes of the run made of it. */
struct added {
    const struct vindex_change *change;
    size_t order; /* place in the run */
    enum chunk_state state;
};

/* A run of changes being applied. */
struct batch {
    struct vindex_collection *c;
    const struct vindex_change *changes;
    size_t n;
    struct added *adds; /* ascending chunk numbers */
    size_t n_adds;
    float *vectors;                       /* n_adds * dim, unit length */
    const struct vindex_change **touches; /* the last of each document, ascending documents */
    size_t n_touches;
};

/* A change already in the index is skipped: following the log again from an older place does no harm. */
static bool is_old(const struct batch *b, const struct vindex_change *ch)
{
    return ch->seq > 0 && ch->seq <= b->c->seq;
}

static int added_cmp(const void *pa, const void *pb)
{
    const struct added *a = pa, *b = pb;
    if (a->change->chunk != b->change->chunk) {
        return a->change->chunk < b->change->chunk ? -1 : 1;
    }
    return (a->order > b->order) - (a->order < b->order);
}

static struct added *find_added(const struct batch *b, int64_t chunk)
{
    size_t lo = 0, hi = b->n_adds;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (b->adds[mid].change->chunk < chunk) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < b->n_adds && b->adds[lo].change->chunk == chunk ? &b->adds[lo] : NULL;
}

/* Collects the ADDs, the last of each chunk, and the state each ends in. */
static void collect_adds(struct batch *b)
{
    b->adds = mem_calloc(b->n + 1, sizeof(*b->adds));
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->changes[i].kind == VINDEX_ADD && !is_old(b, &b->changes[i])) {
            b->adds[n++] = (struct added){&b->changes[i], i, b->changes[i].state};
        }
    }
    qsort(b->adds, n, sizeof(*b->adds), added_cmp);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 == n || b->adds[i].change->chunk != b->adds[i + 1].change->chunk) {
            b->adds[b->n_adds++] = b->adds[i];
        }
    }
    for (size_t i = 0; i < b->n; i++) {
        const struct vindex_change *ch = &b->changes[i];
        if (ch->kind == VINDEX_STATE && !is_old(b, ch)) {
            struct added *a = find_added(b, ch->chunk);
            if (a != NULL && a->order < i && a->state != CHUNK_RETIRED) { /* retired is for good */
                a->state = ch->state;
            }
        }
    }
}

struct touch {
    const struct vindex_change *change;
    size_t order;
};

static int touch_cmp(const void *pa, const void *pb)
{
    const struct touch *a = pa, *b = pb;
    if (a->change->document != b->change->document) {
        return a->change->document < b->change->document ? -1 : 1;
    }
    return (a->order > b->order) - (a->order < b->order);
}

static void collect_touches(struct batch *b)
{
    struct touch *all = mem_calloc(b->n + 1, sizeof(*all));
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->changes[i].kind == VINDEX_TOUCH && !is_old(b, &b->changes[i])) {
            all[n++] = (struct touch){&b->changes[i], i};
        }
    }
    qsort(all, n, sizeof(*all), touch_cmp);
    b->touches = mem_calloc(n + 1, sizeof(*b->touches));
    for (size_t i = 0; i < n; i++) {
        if (i + 1 == n || all[i].change->document != all[i + 1].change->document) {
            b->touches[b->n_touches++] = all[i].change;
        }
    }
    free(all);
}

static const struct vindex_change *find_touch(const struct batch *b, int64_t document)
{
    size_t lo = 0, hi = b->n_touches;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (b->touches[mid]->document < document) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < b->n_touches && b->touches[lo]->document == document ? b->touches[lo] : NULL;
}

/* Every vector passes the gate before anything is changed. */
static enum assay_code prepare_vectors(struct batch *b, struct err *err)
{
    size_t dim = (size_t)b->c->spec.dim, kept = 0;
    for (size_t i = 0; i < b->n_adds; i++) {
        if (b->adds[i].state != CHUNK_RETIRED) { /* what is retired at once need not be there at all */
            b->adds[kept++] = b->adds[i];
        }
    }
    b->vectors = mem_alloc((kept * dim + 1) * sizeof(float));
    for (size_t i = 0; i < kept; i++) {
        const struct vindex_change *ch = b->adds[i].change;
        float *out = b->vectors + i * dim;
        if (b->c->spec.kind == EMBEDDER_BUILTIN && b->c->gen.lsa != NULL) {
            memset(out, 0, dim * sizeof(*out)); /* made from the terms of the new segment */
        } else if (ch->embedding != NULL) {
            TRY(kernel_normalise(ch->embedding, dim, out, err));
        } else if (b->c->spec.kind == EMBEDDER_BUILTIN) {
            embed_chunk(b->c->embedder, b->c->words, ch->title, ch->heading, ch->text, dim, out);
        } else if (b->c->spec.kind == EMBEDDER_STATIC) {
            static_model_embed_chunk(b->c->spec.model, ch->title, ch->heading, ch->text, out);
        } else {
            return err_set(err, ASSAY_INVALID, NULL, "a chunk came without the vector that its collection needs");
        }
    }
    return ASSAY_OK;
}

/* ---- changing what is there ---- */

static void apply_source(struct vindex_collection *c, const struct vindex_change *ch)
{
    bool changed = false;
    struct source s = {ch->source, ch->source_active, ch->max_age_us, ch->source_name};
    c->sources = sources_with(c->sources, &s, &changed);
    for (size_t i = 0; i < c->n && changed; i++) {
        struct view_seg *vs = &c->segs[i].vs;
        bool concerned = false;
        for (size_t row = 0; row < vs->seg->n && !concerned; row++) {
            concerned = vs->seg->source[row] == ch->source;
        }
        if (concerned) {
            vis_set_sources(&vs->vis, vs->seg, c->sources);
        }
    }
}

/* The row of a chunk that is not retired. */
static struct view_seg *find_live(struct vindex_collection *c, int64_t chunk, size_t *row)
{
    for (size_t i = 0; i < c->n; i++) {
        struct view_seg *vs = &c->segs[i].vs;
        if (segment_find(vs->seg, chunk, row) && vs->vis.rows->state[*row] != CHUNK_RETIRED) {
            return vs;
        }
    }
    return NULL;
}

/* A chunk that is not there was retired before and has been dropped, or is added by this very run. */
static void apply_state(struct vindex_collection *c, const struct vindex_change *ch)
{
    size_t row = 0;
    struct view_seg *vs = find_live(c, ch->chunk, &row);
    if (vs != NULL && vs->vis.rows->state[row] != ch->state) {
        vis_set_state(&vs->vis, vs->seg, row, ch->state, c->sources);
    }
}

static void apply_touches(struct batch *b)
{
    for (size_t i = 0; i < b->c->n; i++) {
        struct view_seg *vs = &b->c->segs[i].vs;
        for (size_t t = 0; t < b->n_touches; t++) {
            const struct vindex_change *ch = b->touches[t];
            size_t from = 0, to = 0;
            segment_document(vs->seg, ch->document, &from, &to);
            for (size_t k = from; k < to; k++) {
                size_t row = vs->seg->by_doc[k];
                vis_set_acl(&vs->vis, vs->seg, row, ch->has_acl, ch->acl);
                vis_set_age(&vs->vis, vs->seg, row, ch->modified_at_us, b->c->sources);
            }
        }
    }
}

/* What is added now replaces what was there under the same number. */
static void retire_replaced(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        size_t row = 0;
        if (b->changes[i].kind != VINDEX_ADD || is_old(b, &b->changes[i])) {
            continue;
        }
        struct view_seg *vs = find_live(b->c, b->changes[i].chunk, &row);
        if (vs != NULL) {
            vis_set_state(&vs->vis, vs->seg, row, CHUNK_RETIRED, b->c->sources);
        }
    }
}

static void add_segment(struct batch *b, size_t n)
{
    struct vindex_collection *c = b->c;
    const struct vindex_change **changes = mem_calloc(n + 1, sizeof(*changes));
    for (size_t i = 0; i < n; i++) {
        changes[i] = b->adds[i].change;
    }
    struct segment *seg = segment_build(c->words, changes, b->vectors, n, (size_t)c->spec.dim);
    if (c->spec.kind == EMBEDDER_BUILTIN && c->gen.lsa != NULL) {
        float *vectors = segment_redim(seg, lsa_rank(c->gen.lsa));
        lsa_embed_rows(c->gen.lsa, &seg->terms, n, seg->dim, vectors);
    }
    if (n >= CODED_ROWS) {
        segment_code(seg);
    }
    struct seg_vis vis;
    vis_init(&vis, seg);
    for (size_t i = 0; i < n; i++) {
        const struct vindex_change *ch = changes[i], *touch = find_touch(b, ch->document);
        if (touch == NULL || touch < ch) {
            touch = ch; /* both lie in one array: what comes later in the log counts */
        }
        vis_set_acl(&vis, seg, i, touch->has_acl, touch->acl);
        vis_set_state(&vis, seg, i, b->adds[i].state, c->sources);
        vis_set_age(&vis, seg, i, touch->modified_at_us, c->sources);
        if (sources_find(c->sources, ch->source) == NULL) {
            log_warn("chunk of an unknown source is not served", "collection=%d source=%d", (int)c->spec.id,
                     (int)ch->source);
        }
    }
    held_add(c, seg, &vis);
    free(changes);
}

static size_t count_kept(const struct batch *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->n_adds; i++) {
        kept += b->adds[i].state != CHUNK_RETIRED ? 1 : 0;
    }
    return kept;
}

static void apply_all(struct batch *b, size_t kept)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct vindex_change *ch = &b->changes[i];
        if (is_old(b, ch)) {
            continue;
        }
        if (ch->kind == VINDEX_SOURCE) {
            apply_source(b->c, ch);
        } else if (ch->kind == VINDEX_STATE) {
            apply_state(b->c, ch);
        }
    }
    retire_replaced(b);
    apply_touches(b);
    if (kept > 0) {
        add_segment(b, kept);
    }
}

/* Applies changes up to a number of the log; nothing is published. */
static enum assay_code apply_run(struct vindex_collection *c, const struct vindex_change *changes, size_t n,
                                 int64_t upto_seq, struct err *err)
{
    struct batch b = {.c = c, .changes = changes, .n = n};
    collect_adds(&b);
    collect_touches(&b);
    size_t kept = count_kept(&b);
    enum assay_code code = prepare_vectors(&b, err);
    if (code == ASSAY_OK) {
        generation_count(c, changes, n);
        apply_all(&b, kept);
        c->seq = upto_seq;
        c->dirty = true;
        c->applied_us = clock_mono_us();
    }
    free(b.adds);
    free(b.touches);
    free(b.vectors);
    return code;
}

enum assay_code vindex_apply(struct vindex_collection *c, const struct vindex_change *changes, size_t n,
                             int64_t upto_seq, const struct digest *commit, struct err *err)
{
    if (upto_seq < c->seq) {
        return err_set(err, ASSAY_INTERNAL, NULL, "the change log went back: the index has applied more than it holds");
    }
    for (bool more = true; more;) {
        bool learn = false;
        size_t part = generation_split(c, changes, n, &learn);
        more = part < n;
        int64_t upto = more && changes[part - 1].seq > c->seq ? changes[part - 1].seq : more ? c->seq : upto_seq;
        TRY(apply_run(c, changes, part, upto, err));
        if (learn) {
            generation_choose(c);
        }
        changes += part;
        n -= part;
    }
    c->commit = *commit;
    (void)collection_compact(c);
    collection_publish(c);
    return ASSAY_OK;
}

enum assay_code vindex_tick(struct vindex_collection *c, int64_t now_us, int64_t *next_deadline_us, struct err *err)
{
    (void)err;
    bool changed = collection_compact(c);
    *next_deadline_us = CLOCK_NEVER;
    for (size_t i = 0; i < c->n; i++) {
        struct view_seg *vs = &c->segs[i].vs;
        if (vs->vis.rows->next_deadline <= now_us) {
            vis_expire(&vs->vis, vs->seg, now_us);
            changed = true;
        }
        int64_t next = vs->vis.rows->next_deadline;
        *next_deadline_us = next < *next_deadline_us ? next : *next_deadline_us;
    }
    if (changed) {
        collection_publish(c);
    }
    return ASSAY_OK;
}
