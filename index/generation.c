#include "index/generation.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "index/collection.h"

enum {
    FIRST = 512,
    QUARTERS_UNTIL = 8192,
    BUSY_ROWS = 2 * QUARTERS_UNTIL, /* from here on learning and moving take seconds of a core */
    PUT_OFF_US = 60000000           /* and wait for a pause in what comes in, this long at most */
};

/* ---- when ---- */

/* The first step of the schedule beyond `added`. */
static uint64_t next_step(uint64_t added)
{
    uint64_t step = FIRST;
    while (step <= added) {
        step += step < QUARTERS_UNTIL ? step / 4 : step;
    }
    return step;
}

static bool counts(const struct vindex_collection *c, const struct vindex_change *ch)
{
    return ch->kind == VINDEX_ADD && (ch->seq <= 0 || ch->seq > c->seq);
}

size_t generation_split(const struct vindex_collection *c, const struct vindex_change *changes, size_t n, bool *learn)
{
    uint64_t added = c->gen.added, step = next_step(added);
    *learn = false;
    if (c->spec.kind != EMBEDDER_BUILTIN) {
        return n;
    }
    for (size_t i = 0; i < n; i++) {
        added += counts(c, &changes[i]) ? 1 : 0;
        /* Changes of one number are one change of the log. */
        if (added >= step && (i + 1 == n || changes[i + 1].seq != changes[i].seq)) {
            *learn = true;
            return i + 1;
        }
    }
    return n;
}

void generation_count(struct vindex_collection *c, const struct vindex_change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        c->gen.added += counts(c, &changes[i]) ? 1 : 0;
    }
}

/* ---- jobs ---- */

/* What a job makes: an artefact, or every input once more with other vectors. */
struct task {
    size_t dim;
    struct lsa *lsa;      /* learned; or given to embed by (NULL: hashed features) */
    struct segment **out; /* NULL where no row was live */
    struct seg_origin **origins;
};

static void learn(struct build_job *job)
{
    struct task *t = job->ctx;
    struct err err = {0};
    job->code = lsa_train(job->in, (const uint64_t *const *)job->keep, job->n, t->dim, &job->cancel, &t->lsa, &err);
    if (job->code != ASSAY_OK && !atomic_load(&job->cancel)) {
        log_err(LOG_WARN, "the embedder learned nothing", &err);
    }
    err_clear(&err);
}

/* The writer's, before the segment is shared. */
static void embed(struct segment *s, const struct lsa *l, struct embedder *e, struct words *w, size_t dim)
{
    float *vectors = segment_redim(s, l != NULL ? lsa_rank(l) : dim);
    if (l != NULL) {
        lsa_embed_rows(l, &s->terms, s->n, s->dim, vectors);
        return;
    }
    for (size_t row = 0; row < s->n; row++) {
        embed_chunk(e, w, segment_string(s, row, SEG_TITLE), segment_string(s, row, SEG_HEADING),
                    segment_string(s, row, SEG_TEXT), s->dim, vectors + row * s->dim);
    }
}

/* A copy of the kept rows with other vectors, sealed when its original is. */
static enum assay_code remake(struct build_job *job, size_t i, struct embedder *e, struct words *w, struct err *err)
{
    struct task *t = job->ctx;
    const uint64_t *keep = job->keep[i];
    t->out[i] = segment_merge(&job->in[i], &keep, 1, &t->origins[i]);
    if (t->out[i] == NULL) {
        return ASSAY_OK;
    }
    embed(t->out[i], t->lsa, e, w, t->dim);
    if (job->in[i]->graph == NULL) {
        if (t->out[i]->n >= CODED_ROWS) {
            segment_code(t->out[i]);
        }
        return ASSAY_OK;
    }
    /* From nothing: the links of the original's graph belong to the other vectors. */
    return segment_seal(t->out[i], NULL, 0, NULL, &job->params, &job->cancel, err);
}

static void remake_all(struct build_job *job)
{
    struct err err = {0};
    struct embedder *e = embedder_new();
    struct words *w = words_new();
    for (size_t i = 0; i < job->n && job->code == ASSAY_OK; i++) {
        job->code = atomic_load(&job->cancel)
                        ? err_set(&err, ASSAY_UNAVAILABLE, NULL, "the move to other vectors was cancelled")
                        : remake(job, i, e, w, &err);
    }
    if (job->code != ASSAY_OK && !atomic_load(&job->cancel)) {
        log_err(LOG_ERROR, "the collection keeps its embedder", &err);
    }
    embedder_free(e);
    words_free(w);
    err_clear(&err);
}

/* A job over the segments that are not remade yet (or, to learn, over all). */
static struct build_job *make_job(struct vindex_collection *c, void (*work)(struct build_job *), struct lsa *lsa)
{
    struct build_job *job = mem_calloc(1, sizeof(*job));
    struct task *t = mem_calloc(1, sizeof(*t));
    job->in = mem_calloc(c->n + 1, sizeof(*job->in));
    job->keep = mem_calloc(c->n + 1, sizeof(*job->keep));
    job->params = collection_graph_params(c);
    job->work = work;
    job->ctx = t;
    atomic_init(&job->cancel, false);
    atomic_init(&job->done, false);
    *t = (struct task){.dim = (size_t)c->spec.dim, .lsa = lsa_ref(lsa)};
    t->out = mem_calloc(c->n + 1, sizeof(struct segment *));
    t->origins = mem_calloc(c->n + 1, sizeof(struct seg_origin *));
    for (size_t i = 0; i < c->n; i++) {
        struct held *h = &c->segs[i];
        if (work == remake_all && h->remade) {
            continue;
        }
        size_t bytes = bits_words(h->vs.seg->n) * sizeof(uint64_t);
        segment_ref(h->vs.seg);
        job->in[job->n] = h->vs.seg;
        job->keep[job->n] = mem_alloc(bytes + 1);
        memcpy(job->keep[job->n], h->vs.vis.rows->live, bytes);
        job->n++;
        h->building = work == remake_all || h->building;
    }
    return job;
}

static void free_job(struct build_job *job)
{
    if (job == NULL) {
        return;
    }
    struct task *t = job->ctx;
    for (size_t i = 0; i < job->n; i++) {
        segment_unref(t->out[i]);
        free(t->origins[i]);
    }
    free((void *)t->out);
    free((void *)t->origins);
    lsa_unref(t->lsa);
    free(t);
    build_job_free(job);
}

void generation_choose(struct vindex_collection *c)
{
    if (c->gen.wait == NULL) {
        c->gen.wait_us = clock_mono_us();
    }
    free_job(c->gen.wait);
    c->gen.wait = make_job(c, learn, NULL);
}

/* ---- moving over ---- */

/* What was made for a move that does not happen, or has happened, is let go. */
static void stop_moving(struct vindex_collection *c)
{
    struct generation *g = &c->gen;
    for (size_t i = 0; i < c->n && g->moving; i++) {
        struct held *h = &c->segs[i];
        segment_unref(h->remake);
        free(h->remake_origins);
        h->remake = NULL;
        h->remake_origins = NULL;
        h->remade = h->building = false;
    }
    lsa_unref(g->next);
    g->next = NULL;
    g->moving = false;
}

static void start_moving(struct vindex_collection *c, struct lsa *next)
{
    c->gen.next = next;
    c->gen.moving = true;
}

/* Takes over remade segments: they wait beside their originals. */
static void keep_remade(struct vindex_collection *c, struct build_job *job)
{
    struct task *t = job->ctx;
    for (size_t k = 0; k < job->n; k++) {
        for (size_t i = 0; i < c->n; i++) {
            struct held *h = &c->segs[i];
            if (h->vs.seg == job->in[k]) {
                h->remake = t->out[k];
                h->remake_origins = t->origins[k];
                h->remade = true;
                t->out[k] = NULL;
                t->origins[k] = NULL;
            }
        }
    }
}

static size_t rows_left(const struct vindex_collection *c)
{
    size_t rows = 0;
    for (size_t i = 0; i < c->n; i++) {
        rows += c->segs[i].remade ? 0 : c->segs[i].vs.seg->n;
    }
    return rows;
}

/* Puts the remade segment in the place of its original, every row in its present state. */
static void replace(struct vindex_collection *c, struct held *h)
{
    struct seg_vis vis;
    vis_merge(&vis, h->remake, &h->vs.vis, 1, h->remake_origins, c->sources);
    vis_unref(&h->vs.vis);
    segment_unref(h->vs.seg);
    h->vs = (struct view_seg){.seg = h->remake, .vis = vis};
    h->remake = NULL;
}

/* All at once: what came in meanwhile is remade here. */
static void move_over(struct vindex_collection *c)
{
    struct generation *g = &c->gen;
    struct build_job *rest = make_job(c, remake_all, g->next);
    remake_all(rest);
    if (rest->code == ASSAY_OK) {
        keep_remade(c, rest);
        bool *gone = mem_calloc(c->n + 1, sizeof(*gone));
        for (size_t i = 0; i < c->n; i++) {
            gone[i] = c->segs[i].remake == NULL;
            if (!gone[i]) {
                replace(c, &c->segs[i]);
            }
            free(c->segs[i].remake_origins);
            c->segs[i].remake_origins = NULL;
        }
        held_drop(c, gone);
        free(gone);
        lsa_unref(g->previous);
        g->previous = g->lsa;
        g->has_previous = true;
        g->lsa = lsa_ref(g->next);
        g->switches++;
        c->dirty = true;
        log_info("embedder switched", "collection=%d generation=%llu segments=%zu", (int)c->spec.id,
                 (unsigned long long)g->switches, c->n);
    }
    free_job(rest);
    stop_moving(c);
}

/* A checkpoint that was put off, and the switch before anyone sees it. */
static void save(struct vindex_collection *c)
{
    struct err err = {0};
    if (generation_busy(c) || !c->gen.unsaved) {
        return;
    }
    c->gen.unsaved = false;
    if (vindex_checkpoint(c, &err) != ASSAY_OK) {
        log_err(LOG_ERROR, "checkpoint failed: a restart will read more of the change log", &err);
    }
    err_clear(&err);
}

static bool finish_job(struct vindex_collection *c)
{
    struct generation *g = &c->gen;
    struct build_job *job = g->job;
    struct task *t = job->ctx;
    bool switched = false;
    g->job = NULL;
    if (job->work == learn) {
        if (job->code == ASSAY_OK && g->wait == NULL) {
            start_moving(c, lsa_ref(t->lsa));
        }
    } else if (job->code != ASSAY_OK) {
        stop_moving(c);
    } else {
        keep_remade(c, job);
        if (rows_left(c) <= c->v->cfg.head_max) {
            move_over(c);
            g->unsaved = true;
            switched = true;
        }
    }
    free_job(job);
    return switched;
}

/* A large corpus that is still coming in is learned from when it is there, or now and then: while rows move to other
 * vectors, none that came in meanwhile gets a graph. */
static bool put_off(const struct vindex_collection *c)
{
    int64_t now_us = clock_mono_us();
    return c->gen.added >= BUSY_ROWS && now_us - c->applied_us < IDLE_US && now_us - c->gen.wait_us < PUT_OFF_US;
}

bool generation_step(struct vindex_collection *c)
{
    struct generation *g = &c->gen;
    bool switched = false;
    if (g->job != NULL && atomic_load(&g->job->done)) {
        switched = finish_job(c);
    }
    if (g->job == NULL && g->moving) {
        if (c->job == NULL) { /* no segment may go while it is being remade */
            g->job = make_job(c, remake_all, g->next);
            builder_submit(c->v->builder, g->job);
        }
    } else if (g->job == NULL && g->wait != NULL && !put_off(c)) {
        g->job = g->wait;
        g->wait = NULL;
        builder_submit(c->v->builder, g->job);
    }
    save(c);
    return switched;
}

bool generation_busy(const struct vindex_collection *c)
{
    return c->gen.job != NULL || c->gen.wait != NULL || c->gen.moving;
}

void generation_cancel(struct vindex_collection *c)
{
    struct generation *g = &c->gen;
    if (g->job != NULL) {
        atomic_store(&g->job->cancel, true);
        builder_wait(c->v->builder, g->job);
    }
    free_job(g->job);
    free_job(g->wait);
    g->job = g->wait = NULL;
    stop_moving(c);
}

void generation_clear(struct vindex_collection *c)
{
    lsa_unref(c->gen.lsa);
    lsa_unref(c->gen.previous);
    c->gen = (struct generation){0};
}

enum assay_code vindex_embedder_revert(struct vindex_collection *c, struct err *err)
{
    struct generation *g = &c->gen;
    if (!g->has_previous) {
        return err_set(err, ASSAY_CONFLICT, NULL, "there is no earlier generation of the embedder to go back to");
    }
    if (generation_busy(c)) {
        return err_set(err, ASSAY_CONFLICT, NULL, "the collection is moving to another generation of its embedder");
    }
    start_moving(c, lsa_ref(g->previous));
    (void)generation_step(c);
    return ASSAY_OK;
}
