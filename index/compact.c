/*
 * How segments grow up. Every apply adds a small flat segment. FLAT_FAN of one size class become one at once, on the
 * writer's thread (a copy of a few thousand rows at most). Past head_max flat rows the builder seals them: copying rows
 * is cheap and linking them is not, so the largest sealed segment is extended by them, its links kept, unless it is so
 * much larger that the copy would cost more; then they become a segment of their own. Sealed segments beside the
 * largest go into it when they have grown to be a share of it, or together when SEALED_FAN are of one class. A
 * collection at rest is brought to as few segments as that allows. A segment with many retired rows is rewritten
 * without them. What was retired while a job ran stays in its result as a tombstone: the writer carries every row's
 * present state over.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "index/collection.h"

void held_add(struct vindex_collection *c, struct segment *seg, const struct seg_vis *vis)
{
    if (c->n == c->cap) {
        c->cap = c->cap * 2 + 8;
        c->segs = mem_realloc(c->segs, c->cap * sizeof(*c->segs));
    }
    c->segs[c->n++] = (struct held){.vs = {.seg = seg, .vis = *vis}};
    c->dirty = true;
}

void held_drop(struct vindex_collection *c, const bool *gone)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (gone[i]) {
            vis_unref(&c->segs[i].vs.vis);
            segment_unref(c->segs[i].vs.seg);
            c->dirty = true;
        } else {
            c->segs[kept++] = c->segs[i];
        }
    }
    c->n = kept;
}

static size_t live_rows(const struct held *h)
{
    return h->vs.vis.rows->n - h->vs.vis.rows->by_state[CHUNK_RETIRED];
}

/* Size class: rows to the next power of `base`. */
static unsigned size_class(size_t rows, size_t base)
{
    unsigned n = 0;
    for (; rows > base; rows /= base) {
        n++;
    }
    return n;
}

/* Puts `out` (may be NULL) in place of the picked segments; origins refer to them in order. */
static void replace(struct vindex_collection *c, const bool *picked, struct segment *out,
                    const struct seg_origin *origins)
{
    if (out != NULL) {
        struct seg_vis *in = mem_calloc(c->n, sizeof(*in)), vis;
        size_t n = 0;
        for (size_t i = 0; i < c->n; i++) {
            if (picked[i]) {
                in[n++] = c->segs[i].vs.vis;
            }
        }
        vis_merge(&vis, out, in, n, origins, c->sources);
        free(in);
        bool *gone = mem_calloc(c->n + 1, sizeof(*gone));
        memcpy(gone, picked, c->n * sizeof(*gone));
        held_add(c, out, &vis);
        held_drop(c, gone);
        free(gone);
    } else {
        held_drop(c, picked);
    }
}

/* ---- flat segments, at once ---- */

static bool is_flat(const struct held *h)
{
    return h->vs.seg->graph == NULL && !h->building;
}

static void merge_flat(struct vindex_collection *c, const bool *picked, size_t n)
{
    struct segment **in = mem_calloc(n, sizeof(*in));
    const uint64_t **keep = mem_calloc(n, sizeof(*keep));
    for (size_t i = 0, k = 0; i < c->n; i++) {
        if (picked[i]) {
            in[k] = c->segs[i].vs.seg;
            keep[k++] = c->segs[i].vs.vis.rows->live;
        }
    }
    struct seg_origin *origins = NULL;
    struct segment *out = segment_merge(in, keep, n, &origins);
    if (out != NULL && out->n >= CODED_ROWS) {
        segment_code(out);
    }
    replace(c, picked, out, origins);
    free(origins);
    free(keep);
    free(in);
}

static bool compact_flat(struct vindex_collection *c)
{
    bool any = false;
    for (unsigned class = 0; class < 32 && c->n > 0; class ++) {
        bool *picked = mem_calloc(c->n, sizeof(*picked));
        size_t n = 0, rows = 0;
        for (size_t i = 0; i < c->n; i++) {
            picked[i] = is_flat(&c->segs[i]) && size_class(c->segs[i].vs.seg->n, FLAT_FAN) == class;
            n += picked[i] ? 1 : 0;
            rows += picked[i] ? live_rows(&c->segs[i]) : 0;
        }
        if (n >= FLAT_FAN && rows <= 2 * c->v->cfg.head_max) {
            merge_flat(c, picked, n);
            any = true;
        }
        free(picked);
    }
    return any;
}

/* ---- the background job ---- */

/* Whether a row that is retired in one picked segment was added again and lives in another. */
static bool replaced_elsewhere(const struct vindex_collection *c, const bool *picked, size_t base)
{
    const struct segment *seg = c->segs[base].vs.seg;
    const struct vis_rows *rows = c->segs[base].vs.vis.rows;
    for (size_t row = 0; row < rows->n; row++) {
        for (size_t i = 0; rows->state[row] == CHUNK_RETIRED && i < c->n; i++) {
            size_t at = 0;
            if (picked[i] && i != base && segment_find(c->segs[i].vs.seg, seg->chunk[row], &at) &&
                bits_get(c->segs[i].vs.vis.rows->live, at)) {
                return true;
            }
        }
    }
    return false;
}

/* The rows that a job takes of a segment: the live ones, or all when its graph is to be extended. */
static uint64_t *rows_to_keep(const struct vindex_collection *c, const bool *picked, size_t i, bool whole)
{
    const struct vis_rows *rows = c->segs[i].vs.vis.rows;
    size_t bytes = bits_words(rows->n) * sizeof(uint64_t);
    uint64_t *keep = mem_alloc(bytes);
    if (whole && !replaced_elsewhere(c, picked, i)) {
        bits_fill(keep, rows->n);
    } else {
        memcpy(keep, rows->live, bytes);
    }
    return keep;
}

/* The largest sealed segment; c->n: none. */
static size_t largest_sealed(const struct vindex_collection *c)
{
    size_t best = c->n;
    for (size_t i = 0; i < c->n; i++) {
        if (c->segs[i].vs.seg->graph != NULL && (best == c->n || c->segs[i].vs.seg->n > c->segs[best].vs.seg->n)) {
            best = i;
        }
    }
    return best;
}

static bool many_retired(const struct held *h)
{
    return h->vs.vis.rows->by_state[CHUNK_RETIRED] > h->vs.vis.rows->n / TOMBSTONES_PART;
}

static void order_job(struct vindex_collection *c, const bool *picked, bool merge)
{
    struct build_job *job = mem_calloc(1, sizeof(*job));
    job->in = mem_calloc(c->n, sizeof(*job->in));
    job->keep = mem_calloc(c->n, sizeof(*job->keep));
    job->merge = merge;
    job->params = collection_graph_params(c);
    job->dir = c->dir;
    job->cold = collection_cold(c);
    job->write_bytes = c->v->cfg.write_bytes;
    job->file.number = c->next_file++;
    atomic_init(&job->cancel, false);
    atomic_init(&job->done, false);
    size_t base = c->n;
    for (size_t i = 0; i < c->n; i++) {
        const struct segment *seg = c->segs[i].vs.seg;
        if (picked[i] && seg->graph != NULL && (base == c->n || seg->n > c->segs[base].vs.seg->n)) {
            base = i;
        }
    }
    for (size_t i = 0; i < c->n; i++) {
        if (!picked[i]) {
            continue;
        }
        job->in[job->n] = c->segs[i].vs.seg;
        segment_ref(c->segs[i].vs.seg);
        job->keep[job->n++] = rows_to_keep(c, picked, i, i == base && !many_retired(&c->segs[i]));
        c->segs[i].building = true;
    }
    c->job = job;
    builder_submit(c->v->builder, job);
}

static bool idle(const struct vindex_collection *c)
{
    return clock_mono_us() - c->applied_us > IDLE_US;
}

/* A bulk that nobody waits for by searching has the cores to itself: linking rows costs more than all else about them,
 * and what is linked in one piece costs no more for having waited. */
static size_t flat_max(const struct vindex_collection *c)
{
    bool watched = clock_mono_us() - atomic_load_explicit(&c->searched_us, memory_order_relaxed) < IDLE_US;
    return watched ? c->v->cfg.head_max : UNWATCHED * c->v->cfg.head_max;
}

/* Whether the largest sealed segment is to take in `rows` others. */
static bool worth_extending(const struct vindex_collection *c, size_t base, size_t rows)
{
    size_t part = idle(c) ? EXTEND_IDLE : EXTEND_PART;
    return base < c->n && rows > 0 && c->segs[base].vs.seg->n / part <= rows;
}

static bool pick_flat(const struct vindex_collection *c, bool *picked)
{
    size_t rows = 0, slots = 0, base = largest_sealed(c);
    for (size_t i = 0; i < c->n; i++) {
        picked[i] = is_flat(&c->segs[i]);
        rows += picked[i] ? live_rows(&c->segs[i]) : 0;
        slots += picked[i] ? c->segs[i].vs.seg->n : 0;
    }
    bool due = rows >= flat_max(c) || (idle(c) && slots >= IDLE_ROWS && (rows >= IDLE_ROWS || rows < slots / 2));
    if (worth_extending(c, base, rows)) {
        picked[base] = true;
    }
    return due && rows > c->failed_rows;
}

/* Fills `picked` with the sealed segments of one size class (any: -1) but `not`; how many rows, and how many they are.
 */
static size_t sealed_of(const struct vindex_collection *c, int class, size_t not, bool *picked, size_t *rows)
{
    size_t n = 0;
    *rows = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct segment *seg = c->segs[i].vs.seg;
        picked[i] = i != not &&seg->graph != NULL && (class < 0 || (int)size_class(seg->n, SEALED_FAN) == class);
        n += picked[i] ? 1 : 0;
        *rows += picked[i] ? live_rows(&c->segs[i]) : 0;
    }
    return n;
}

static bool pick_sealed(const struct vindex_collection *c, bool *picked)
{
    size_t rows = 0, base = largest_sealed(c);
    for (size_t i = 0; i < c->n; i++) {
        if (many_retired(&c->segs[i]) && c->segs[i].vs.seg->graph != NULL) {
            memset(picked, 0, c->n * sizeof(*picked));
            picked[i] = true;
            return true;
        }
    }
    (void)sealed_of(c, -1, base, picked, &rows);
    if (worth_extending(c, base, rows)) {
        picked[base] = true;
        return true;
    }
    for (int class = 0; class < 32; class ++) {
        if (sealed_of(c, class, c->n, picked, &rows) >= SEALED_FAN) {
            return true;
        }
    }
    return false;
}

static void finish_job(struct vindex_collection *c)
{
    struct build_job *job = c->job;
    bool *picked = mem_calloc(c->n + 1, sizeof(*picked));
    for (size_t i = 0; i < c->n; i++) {
        picked[i] = c->segs[i].building;
        c->segs[i].building = false;
    }
    if (job->code == ASSAY_OK) {
        struct segment *out = job->out;
        job->out = NULL;
        replace(c, picked, out, job->origins);
        atomic_fetch_add(job->merge ? &c->merges : &c->builds, 1);
        c->failed_rows = 0;
        c->merge_failed = false;
        log_debug("segment built", "collection=%d inputs=%zu rows=%zu", (int)c->spec.id, job->n, out ? out->n : 0);
    } else if (job->merge) {
        c->merge_failed = true;
    } else {
        for (size_t i = 0; i < c->n; i++) {
            c->failed_rows += is_flat(&c->segs[i]) ? live_rows(&c->segs[i]) : 0;
        }
    }
    free(picked);
    build_job_free(job);
    c->job = NULL;
}

/* Segments with nothing but retired rows. */
static bool drop_empty(struct vindex_collection *c)
{
    bool any = false, *gone = mem_calloc(c->n + 1, sizeof(*gone));
    for (size_t i = 0; i < c->n; i++) {
        gone[i] = live_rows(&c->segs[i]) == 0 && !c->segs[i].building;
        any = any || gone[i];
    }
    held_drop(c, gone);
    free(gone);
    return any;
}

bool collection_compact(struct vindex_collection *c)
{
    bool changed = generation_step(c);
    if (c->job != NULL && atomic_load(&c->job->done)) {
        finish_job(c);
        changed = true;
    }
    changed = drop_empty(c) || changed;
    if (c->job == NULL && !c->gen.moving) {
        bool *picked = mem_calloc(c->n + 1, sizeof(*picked));
        if (pick_flat(c, picked)) {
            order_job(c, picked, false);
        } else if (!c->merge_failed && pick_sealed(c, picked)) {
            order_job(c, picked, true);
        }
        free(picked);
    }
    atomic_store(&c->learning, generation_busy(c));
    return compact_flat(c) || changed;
}

void collection_cancel_job(struct vindex_collection *c)
{
    if (c->job == NULL) {
        return;
    }
    atomic_store(&c->job->cancel, true);
    builder_wait(c->v->builder, c->job);
    build_job_free(c->job);
    c->job = NULL;
    for (size_t i = 0; i < c->n; i++) {
        c->segs[i].building = false;
    }
}
