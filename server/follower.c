#include "server/follower.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/filler.h"
#include "server/server.h"
#include "server/sweeper.h"
#include "store/changes.h"
#include "store/generations.h"

enum {
    BATCH_CHANGES = 2000,
    ASIDE_CHANGES = 500,   /* for an index that no search sees: it shall not keep the one that they see waiting */
    STARVED_CHANGES = 100, /* for one that waits for vectors: what lacks them is read again and again */
    READY_LAG = 1000,   /* changes that an index may be behind, whose vectors an endpoint gives, to count as ready; */
    READY_PART = 50,    /* but no more than one in so many */
    REPORT_EVERY_S = 1, /* progress of a generation, into the store */
    ARENA_FIRST = 1 << 20,
    NAP_MS_MAX = 1000,   /* vindex_tick wants to be called every second */
    BACKOFF_MS_MIN = 50, /* while PostgreSQL is away: doubled up to NAP_MS_MAX */
    POLL_STALL_S = 2,    /* a poll that takes longer counts as an outage */
    READ_STALL_S = 15,   /* the same for reading a batch */
    CATALOG_EVERY_S = 2  /* at most, and only when the heads name a collection that is not known */
};

struct follower {
    struct server *server;
    struct sweeper *sweeper;
    struct filler *filler;
    struct arena *arena;
    pthread_t thread;
    bool running;
    int wake_fd; /* eventfd */
    atomic_bool stopping, caught_up;
    atomic_bool answering;                     /* PostgreSQL did, last time */
    atomic_bool stuck;                         /* changes were read but the index could not take them */
    _Atomic int64_t stalled_us;                /* monotonic: past it the store call under way counts as an outage */
    _Atomic int64_t behind_us;                 /* monotonic: since when the head is ahead of the index; 0: it is not */
    int64_t checkpoint_due_us, catalog_due_us; /* monotonic */
    int backoff_ms;
};

/* ---- the store's health ---- */

static struct call store_call(struct follower *f, int stall_s)
{
    int64_t deadline_us = clock_mono_us() + stall_s * CLOCK_SECOND;
    atomic_store(&f->stalled_us, deadline_us);
    return (struct call){
        .arena = f->arena, .deadline_us = deadline_us, .request_id = "follower", .actor = "system:follower"};
}

/* Notes how a store call ended. The first failure makes searches say `degraded`, the first success ends it. */
static enum assay_code store_answered(struct follower *f, enum assay_code code, struct err *err)
{
    bool ok = code == ASSAY_OK;
    bool was = atomic_exchange(&f->answering, ok);
    atomic_store(&f->stalled_us, CLOCK_NEVER);
    if (ok && !was) {
        log_info("following the change log", "degraded=false");
        sweeper_notify(f->sweeper);
    } else if (!ok && was) {
        log_err(LOG_WARN, "change log out of reach: searches go on, degraded", err);
    }
    return code;
}

/* ---- applying ---- */

static void track(struct index_generation *g)
{
    struct vindex_stats stats;
    if (g->track.known)
        return;
    vindex_stats(g->index, &stats);
    g->track.applied = stats.seq;
    g->track.deadline_us = CLOCK_NEVER;
    g->track.known = true;
}

/* The database is older than the index: it was restored from a backup. What the index holds is not to be trusted. */
static enum assay_code start_over(struct follower *f, struct collection *c, int64_t head, struct err *err)
{
    struct index_generation *g = c->generation;
    log_warn("the change log went back: building the index anew", "collection=%.*s applied=%lld head=%lld",
             STR_FMT(c->name), (long long)g->track.applied, (long long)head);
    handover_drop(f->server->handover, c->id);
    TRY(vindex_collection_reset(g->index, err));
    g->track.applied = 0;
    return ASSAY_OK;
}

static bool served_here(const struct follower *f, size_t i, const struct collection *c)
{
    return catalog_at(f->server->catalog, i)->generation == c->generation;
}

static enum assay_code apply(struct follower *f, struct index_generation *g, const struct vindex_change *changes,
                             size_t n, int64_t upto, const struct digest *commit, struct err *err)
{
    TRY(vindex_apply(g->index, changes, n, upto, commit, err));
    g->track.applied = upto;
    metrics_add(f->server->metrics, METRIC_APPLIED_CHANGES, (int64_t)n);
    return ASSAY_OK;
}

/* What this server's ingest wrote, for the generation that searches see: it need not be read back, unless its vectors
 * are another embedder's. */
static bool apply_handed(struct follower *f, struct collection *c, enum assay_code *code, struct err *err)
{
    struct handed handed;
    if (!handover_take(f->server->handover, c->id, c->generation->track.applied, &handed))
        return false;
    bool usable = digest_eq(&handed.embedder, &c->embedder);
    if (usable)
        *code = apply(f, c->generation, handed.changes, handed.n, handed.upto, &handed.commit, err);
    arena_free(handed.arena);
    return usable;
}

/* Applies one batch at most, so that no collection keeps the others from their turn. */
static enum assay_code apply_batch(struct follower *f, struct collection *c, size_t limit, struct err *err)
{
    struct index_generation *g = c->generation;
    struct changes_read read;
    enum assay_code code = ASSAY_OK;
    if (limit == BATCH_CHANGES && apply_handed(f, c, &code, err))
        return code;
    struct change_vectors vectors = {.needed = c->spec.kind == EMBEDDER_CLIENT || c->spec.kind == EMBEDDER_OPENAI,
                                     .embedder = c->embedder,
                                     .dim = c->spec.dim};
    struct call call = store_call(f, READ_STALL_S);
    TRY(store_answered(
        f, store_changes_read(f->server->store, &call, c->id, g->track.applied, limit, &vectors, &read, err), err));
    atomic_store(&g->starved_after, read.starved ? read.upto : -1);
    if (read.starved)
        filler_notify(f->filler);
    if (read.upto == g->track.applied)
        return ASSAY_OK;
    return apply(f, g, read.changes, read.n, read.upto, &read.commit, err);
}

/* ---- generations ---- */

/* One that another server has moved meanwhile refuses: this one reads that with the next poll. */
static bool move(struct follower *f, const struct collection *c, enum generation_move m)
{
    struct err err = {0};
    struct generation_row row;
    struct call call = store_call(f, READ_STALL_S);
    enum assay_code code =
        store_generation_move(f->server->store, &call, c->id, c->generation->number, m, STR_LIT(""), &row, &err);
    if (code == ASSAY_CONFLICT)
        code = store_answered(f, ASSAY_OK, &err);
    else if (store_answered(f, code, &err) != ASSAY_OK)
        log_err(LOG_WARN, "generation not moved on", &err);
    err_clear(&err);
    if (code == ASSAY_OK)
        code = catalog_sync(f->server->catalog, &call, c->name, &err);
    err_clear(&err);
    return code == ASSAY_OK;
}

static void report(struct follower *f, const struct collection *c)
{
    struct index_generation *g = c->generation;
    struct err err = {0};
    int64_t now = clock_mono_us();
    if (g->track.applied <= g->track.reported || now < g->track.report_due_us)
        return;
    struct call call = store_call(f, READ_STALL_S);
    int64_t applied = g->track.applied;
    if (store_answered(f, store_generation_progress(f->server->store, &call, c->id, g->number, applied, &err), &err) ==
        ASSAY_OK)
        g->track.reported = applied;
    g->track.report_due_us = now + REPORT_EVERY_S * CLOCK_SECOND;
    err_clear(&err);
}

/* Has it come as far as what searches see? When an endpoint gives its vectors, writes go on putting it behind until it
 * is active and they come with its vectors: then nearly is enough. Searches see it once it has really caught up. */
static bool arrived(const struct collection *c, const struct index_generation *served, int64_t head)
{
    struct digest learned;
    int64_t applied = c->generation->track.applied;
    int64_t lag = head / READY_PART < READY_LAG ? head / READY_PART : READY_LAG;
    bool nearly = c->spec.kind == EMBEDDER_OPENAI && applied + lag >= head;
    return (applied >= served->track.applied || nearly) && !vindex_learning(c->index, &learned);
}

/* What was learned and is not to be used any more is gone back from; tried again until it is. */
static void revert(const struct collection *c)
{
    struct digest learned;
    struct err err = {0};
    if (!c->has_reverted || c->spec.kind != EMBEDDER_BUILTIN)
        return;
    if (vindex_learning(c->index, &learned) || !digest_eq(&learned, &c->reverted))
        return;
    if (vindex_embedder_revert(c->index, &err) == ASSAY_OK)
        log_info("going back to what the embedder was before", "collection=%.*s generation=%d", STR_FMT(c->name),
                 (int)c->generation->number);
    err_clear(&err); /* with nothing to go back to, as in an index made anew, it stays */
}

/* What one generation is due for: to be seen by searches here, to be ready, to become the active one. */
static void generation_step(struct follower *f, size_t i, size_t j, const struct index_generation *served, int64_t head)
{
    struct collection *c = catalog_generation(f->server->catalog, i, j);
    struct digest learned;
    if (!c || !c->generation->track.known)
        return;
    struct index_generation *g = c->generation;
    int state = atomic_load(&g->state);
    revert(c);
    if (state == GENERATION_BUILDING || state == GENERATION_READY)
        report(f, c);
    if (state == GENERATION_BUILDING && arrived(c, served, head) && move(f, c, GENERATION_ARRIVE))
        state = atomic_load(&g->state);
    if (state == GENERATION_READY && !atomic_load(&g->manual) && move(f, c, GENERATION_CUT_OVER))
        state = atomic_load(&g->state);
    if (state == GENERATION_ACTIVE && g != served && g->track.applied >= served->track.applied &&
        !vindex_learning(c->index, &learned)) {
        catalog_serve(f->server->catalog, i, j);
        log_info("searches see another generation", "collection=%.*s number=%d applied=%lld", STR_FMT(c->name),
                 (int)g->number, (long long)g->track.applied);
    }
}

static void generation_steps(struct follower *f, size_t i, int64_t head)
{
    struct arena_mark mark = arena_mark(f->arena);
    for (size_t j = 0; j < CATALOG_GENERATIONS; j++)
        generation_step(f, i, j, catalog_at(f->server->catalog, i)->generation, head);
    if (catalog_reap(f->server->catalog, i))
        filler_prune(f->filler);
    arena_rollback(f->arena, mark);
}

static const struct change_head *find_head(const struct change_head *heads, size_t n, int32_t id)
{
    for (size_t i = 0; i < n; i++) {
        if (heads[i].collection == id)
            return &heads[i];
    }
    return NULL;
}

/* One batch for one generation that is behind. */
static enum assay_code apply_generation(struct follower *f, struct collection *c, int64_t head, size_t limit,
                                        struct err *err)
{
    struct index_generation *g = c->generation;
    struct arena_mark mark = arena_mark(f->arena);
    enum assay_code code = ASSAY_OK;
    if (g->track.applied > head)
        code = start_over(f, c, head, err);
    if (code == ASSAY_OK && g->track.applied < head)
        code = apply_batch(f, c, limit, err);
    arena_rollback(f->arena, mark);
    if (code != ASSAY_OK && code != ASSAY_UNAVAILABLE)
        log_err(LOG_ERROR, "changes not applied", err);
    return code;
}

/* The generations beside the one served. What goes wrong with them is not what searches see, and is tried again. */
static void apply_aside(struct follower *f, size_t i, int64_t head, bool *more)
{
    for (size_t j = 0; j < CATALOG_GENERATIONS && !atomic_load(&f->stopping); j++) {
        struct collection *c = catalog_generation(f->server->catalog, i, j);
        struct err err = {0};
        if (!c || served_here(f, i, c))
            continue;
        int state = atomic_load(&c->generation->state);
        track(c->generation);
        if (!generation_open((enum generation_state)state) || state == GENERATION_PAUSED)
            continue;
        int64_t before = c->generation->track.applied;
        size_t limit = atomic_load(&c->generation->starved_after) < 0 ? ASIDE_CHANGES : STARVED_CHANGES;
        if (apply_generation(f, c, head, limit, &err) == ASSAY_OK)
            *more |= c->generation->track.applied != before && c->generation->track.applied < head;
        err_clear(&err);
    }
}

/* One batch for every collection that is behind; *behind says whether what searches see still is, *more whether there
 * is more to do at once. */
static enum assay_code apply_all(struct follower *f, const struct change_head *heads, size_t n_heads, bool *behind,
                                 bool *more, struct err *err)
{
    struct collection *c;
    enum assay_code worst = ASSAY_OK;
    for (size_t i = 0; (c = catalog_at(f->server->catalog, i)) && !atomic_load(&f->stopping); i++) {
        struct index_generation *g = c->generation;
        const struct change_head *head = find_head(heads, n_heads, c->id);
        struct err own = {0};
        track(g);
        if (!head)
            continue;
        enum assay_code code = apply_generation(f, c, head->seq, BATCH_CHANGES, &own);
        if (code != ASSAY_OK)
            worst = err_set(err, code, own.slug, "%s", own.detail);
        err_clear(&own);
        *behind |= g->track.applied < head->seq;
        *more |= g->track.applied < head->seq && atomic_load(&g->starved_after) < 0;
        apply_aside(f, i, head->seq, more);
        generation_steps(f, i, head->seq);
    }
    atomic_store(&f->stuck, worst != ASSAY_OK);
    return worst;
}

/* Another server, or a request to this one, may have changed a collection or its generations. */
static void learn_changes(struct follower *f, const struct change_head *heads, size_t n)
{
    struct collection *c;
    for (size_t i = 0; (c = catalog_at(f->server->catalog, i)); i++) {
        const struct change_head *head = find_head(heads, n, c->id);
        struct err err = {0};
        if (!head || head->revision == c->revision)
            continue;
        struct call call = store_call(f, READ_STALL_S);
        if (store_answered(f, catalog_sync(f->server->catalog, &call, c->name, &err), &err) != ASSAY_OK)
            log_err(LOG_WARN, "collection not read anew", &err);
        err_clear(&err);
    }
}

/* Another server may have made a collection; this one learns of it by its head. */
static void learn_collections(struct follower *f, const struct change_head *heads, size_t n)
{
    bool unknown = false;
    for (size_t h = 0; h < n && !unknown; h++) {
        const struct collection *c;
        unknown = true;
        for (size_t i = 0; unknown && (c = catalog_at(f->server->catalog, i)); i++)
            unknown = c->id != heads[h].collection;
    }
    if (!unknown || clock_mono_us() < f->catalog_due_us)
        return;
    struct err err = {0};
    struct call call = store_call(f, READ_STALL_S);
    if (store_answered(f, catalog_refresh(f->server->catalog, &call, &err), &err) != ASSAY_OK)
        log_err(LOG_WARN, "collections not loaded", &err);
    err_clear(&err);
    f->catalog_due_us = clock_mono_us() + CATALOG_EVERY_S * CLOCK_SECOND;
}

/* Looks at the heads and applies what is new. *more: there is more to do at once. */
static enum assay_code follow(struct follower *f, bool *more, struct err *err)
{
    bool behind = false;
    struct change_head *heads;
    size_t n;
    arena_reset(f->arena);
    struct call call = store_call(f, POLL_STALL_S);
    TRY(store_answered(f, store_change_heads(f->server->store, &call, &heads, &n, err), err));
    learn_collections(f, heads, n);
    learn_changes(f, heads, n);
    TRY(apply_all(f, heads, n, &behind, more, err));
    if (behind) {
        int64_t none = 0;
        (void)atomic_compare_exchange_strong(&f->behind_us, &none, clock_mono_us());
    } else {
        atomic_store(&f->behind_us, 0);
        if (!atomic_exchange(&f->caught_up, true))
            log_info("index caught up", "collections=%zu", n);
    }
    return ASSAY_OK;
}

/* ---- the clock and the disk ---- */

static bool tick_one(struct index_generation *g, int64_t *next_us)
{
    struct err err = {0};
    int64_t now_us = clock_now_us();
    track(g);
    bool passed = g->track.deadline_us <= now_us;
    if (vindex_tick(g->index, now_us, &g->track.deadline_us, &err) != ASSAY_OK) {
        log_err(LOG_ERROR, "index tick failed", &err);
        g->track.deadline_us = CLOCK_NEVER;
    }
    err_clear(&err);
    if (g->track.deadline_us < *next_us)
        *next_us = g->track.deadline_us;
    return passed;
}

/* Takes what is past its deadline out of the views and says when the next one is due (wall clock). */
static int64_t tick(struct follower *f)
{
    int64_t next_us = CLOCK_NEVER;
    bool passed = false;
    for (size_t i = 0; catalog_at(f->server->catalog, i); i++) {
        for (size_t j = 0; j < CATALOG_GENERATIONS; j++) {
            struct collection *c = catalog_generation(f->server->catalog, i, j);
            if (c)
                passed |= tick_one(c->generation, &next_us);
        }
    }
    if (passed)
        sweeper_notify(f->sweeper);
    return next_us;
}

static void checkpoint_one(struct index_generation *g)
{
    struct err err = {0};
    /* Costs nothing when nothing changed; what was built after the last change is written too. */
    if (vindex_checkpoint(g->index, &err) != ASSAY_OK)
        log_err(LOG_ERROR, "checkpoint failed: a restart will read more of the change log", &err);
    err_clear(&err);
}

static void checkpoint(struct follower *f)
{
    for (size_t i = 0; catalog_at(f->server->catalog, i); i++) {
        for (size_t j = 0; j < CATALOG_GENERATIONS; j++) {
            struct collection *c = catalog_generation(f->server->catalog, i, j);
            if (c)
                checkpoint_one(c->generation);
        }
    }
    f->checkpoint_due_us = clock_mono_us() + f->server->config->checkpoint_interval_s * CLOCK_SECOND;
}

/* ---- the thread ---- */

static void nap(struct follower *f, enum assay_code code, int64_t next_deadline_us)
{
    int ms = f->server->config->poll_interval_ms;
    if (code != ASSAY_OK) {
        ms = f->backoff_ms;
        f->backoff_ms = ms * 2 < NAP_MS_MAX ? ms * 2 : NAP_MS_MAX;
    }
    if (ms > NAP_MS_MAX)
        ms = NAP_MS_MAX;
    int64_t now_us = clock_now_us();
    if (next_deadline_us != CLOCK_NEVER && (next_deadline_us - now_us) / 1000 < ms)
        ms = next_deadline_us > now_us ? (int)((next_deadline_us - now_us) / 1000) + 1 : 1;
    struct pollfd p = {.fd = f->wake_fd, .events = POLLIN};
    uint64_t count;
    if (poll(&p, 1, ms) > 0 && read(f->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_warn("follower wait failed", "errno=%d", errno);
}

static void *run(void *arg)
{
    struct follower *f = arg;
    (void)pthread_setname_np(pthread_self(), "follower");
    while (!atomic_load(&f->stopping)) {
        bool more = false;
        struct err err = {0};
        enum assay_code code = follow(f, &more, &err);
        err_clear(&err);
        if (code == ASSAY_OK)
            f->backoff_ms = BACKOFF_MS_MIN;
        int64_t next_us = tick(f);
        if (clock_mono_us() >= f->checkpoint_due_us)
            checkpoint(f);
        if (code != ASSAY_OK || !more)
            nap(f, code, next_us);
    }
    checkpoint(f);
    return NULL;
}

struct follower *follower_new(struct server *server)
{
    struct follower *f = mem_calloc(1, sizeof *f);
    f->server = server;
    f->arena = arena_new(ARENA_FIRST);
    f->backoff_ms = BACKOFF_MS_MIN;
    atomic_init(&f->stalled_us, CLOCK_NEVER);
    f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (f->wake_fd < 0) {
        log_error("follower cannot start", "errno=%d", errno);
        abort();
    }
    return f;
}

bool follower_start(struct follower *f)
{
    f->checkpoint_due_us = clock_mono_us() + f->server->config->checkpoint_interval_s * CLOCK_SECOND;
    f->sweeper = sweeper_start(f->server);
    f->filler = filler_start(f->server);
    if (!f->sweeper || !f->filler)
        return false;
    f->running = pthread_create(&f->thread, NULL, run, f) == 0;
    return f->running;
}

void follower_notify(struct follower *f)
{
    uint64_t one = 1;
    /* EAGAIN means that the counter is full, so the thread is about to wake anyway. */
    if (f && write(f->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_warn("follower wake failed", "errno=%d", errno);
}

void follower_free(struct follower *f)
{
    if (!f)
        return;
    if (f->running) {
        atomic_store(&f->stopping, true);
        follower_notify(f);
        (void)pthread_join(f->thread, NULL);
    }
    sweeper_stop(f->sweeper);
    filler_stop(f->filler);
    (void)close(f->wake_fd);
    arena_free(f->arena);
    free(f);
}

bool follower_healthy(const struct follower *f)
{
    return atomic_load_explicit(&f->answering, memory_order_relaxed) &&
           !atomic_load_explicit(&f->stuck, memory_order_relaxed) &&
           clock_mono_us() < atomic_load_explicit(&f->stalled_us, memory_order_relaxed);
}

bool follower_caught_up(const struct follower *f)
{
    return atomic_load(&f->caught_up);
}

double follower_lag_seconds(const struct follower *f)
{
    int64_t since_us = atomic_load(&f->behind_us);
    return since_us ? (double)(clock_mono_us() - since_us) / (double)CLOCK_SECOND : 0.0;
}
