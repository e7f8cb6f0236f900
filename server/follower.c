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
#include "server/server.h"
#include "server/sweeper.h"
#include "store/changes.h"

enum {
    BATCH_CHANGES = 2000,
    ARENA_FIRST = 1 << 20,
    NAP_MS_MAX = 1000,   /* vindex_tick wants to be called every second */
    BACKOFF_MS_MIN = 50, /* while PostgreSQL is away: doubled up to NAP_MS_MAX */
    POLL_STALL_S = 2,    /* a poll that takes longer counts as an outage */
    READ_STALL_S = 15,   /* the same for reading a batch */
    CATALOG_EVERY_S = 2  /* at most, and only when the heads name a collection that is not known */
};

/* What the thread knows of one collection; only the thread touches it. */
struct tracked {
    int64_t applied;     /* last number that the index has */
    int64_t deadline_us; /* the index' next one */
    bool known, dirty;   /* dirty: changed since the last checkpoint */
};

struct follower {
    struct server *server;
    struct sweeper *sweeper;
    struct arena *arena;
    struct tracked *tracked; /* CATALOG_MAX, by place in the catalog */
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

static struct tracked *track(struct follower *f, size_t i, const struct collection *c)
{
    struct tracked *t = &f->tracked[i];
    if (!t->known) {
        struct vindex_stats stats;
        vindex_stats(c->index, &stats);
        *t = (struct tracked){.applied = stats.seq, .deadline_us = CLOCK_NEVER, .known = true};
    }
    return t;
}

/* The database is older than the index: it was restored from a backup. What the index holds is not to be trusted. */
static enum assay_code start_over(struct follower *f, struct tracked *t, struct collection *c, int64_t head,
                                  struct err *err)
{
    log_warn("the change log went back: building the index anew", "collection=%.*s applied=%lld head=%lld",
             STR_FMT(c->name), (long long)t->applied, (long long)head);
    handover_drop(f->server->handover, c->id);
    TRY(vindex_collection_reset(c->index, err));
    t->applied = 0;
    t->dirty = true;
    return ASSAY_OK;
}

static enum assay_code apply(struct follower *f, struct tracked *t, struct collection *c,
                             const struct vindex_change *changes, size_t n, int64_t upto, const struct digest *commit,
                             struct err *err)
{
    TRY(vindex_apply(c->index, changes, n, upto, commit, err));
    t->applied = upto;
    t->dirty = true;
    metrics_add(f->server->metrics, METRIC_APPLIED_CHANGES, (int64_t)n);
    return ASSAY_OK;
}

/* Applies one batch at most, so that no collection keeps the others from their turn. */
static enum assay_code apply_batch(struct follower *f, struct tracked *t, struct collection *c, struct err *err)
{
    struct vindex_change *changes;
    size_t n;
    int64_t upto;
    struct digest commit;
    struct handed handed;
    if (handover_take(f->server->handover, c->id, t->applied, &handed)) {
        enum assay_code code = apply(f, t, c, handed.changes, handed.n, handed.upto, &handed.commit, err);
        arena_free(handed.arena);
        return code;
    }
    struct call call = store_call(f, READ_STALL_S);
    TRY(store_answered(f,
                       store_changes_read(f->server->store, &call, c->id, t->applied, BATCH_CHANGES, &changes, &n,
                                          &upto, &commit, err),
                       err));
    if (n == 0)
        return ASSAY_OK;
    return apply(f, t, c, changes, n, upto, &commit, err);
}

static const struct change_head *find_head(const struct change_head *heads, size_t n, int32_t id)
{
    for (size_t i = 0; i < n; i++) {
        if (heads[i].collection == id)
            return &heads[i];
    }
    return NULL;
}

/* One batch for every collection that is behind; *behind says whether one still is. */
static enum assay_code apply_all(struct follower *f, const struct change_head *heads, size_t n_heads, bool *behind,
                                 struct err *err)
{
    struct collection *c;
    enum assay_code worst = ASSAY_OK;
    for (size_t i = 0; (c = catalog_at(f->server->catalog, i)) && !atomic_load(&f->stopping); i++) {
        struct tracked *t = track(f, i, c);
        const struct change_head *head = find_head(heads, n_heads, c->id);
        if (!head)
            continue;
        enum assay_code code = ASSAY_OK;
        struct err own = {0};
        struct arena_mark mark = arena_mark(f->arena);
        if (t->applied > head->seq)
            code = start_over(f, t, c, head->seq, &own);
        if (code == ASSAY_OK && t->applied < head->seq)
            code = apply_batch(f, t, c, &own);
        arena_rollback(f->arena, mark);
        *behind |= t->applied < head->seq;
        if (code != ASSAY_OK) {
            if (code != ASSAY_UNAVAILABLE)
                log_err(LOG_ERROR, "changes not applied", &own);
            worst = err_set(err, code, own.slug, "%s", own.detail);
        }
        err_clear(&own);
    }
    atomic_store(&f->stuck, worst != ASSAY_OK);
    return worst;
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

/* Looks at the heads and applies what is new. *behind: there is more to do at once. */
static enum assay_code follow(struct follower *f, bool *behind, struct err *err)
{
    struct change_head *heads;
    size_t n;
    arena_reset(f->arena);
    struct call call = store_call(f, POLL_STALL_S);
    TRY(store_answered(f, store_change_heads(f->server->store, &call, &heads, &n, err), err));
    learn_collections(f, heads, n);
    TRY(apply_all(f, heads, n, behind, err));
    if (*behind) {
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

/* Takes what is past its deadline out of the views and says when the next one is due (wall clock). */
static int64_t tick(struct follower *f)
{
    int64_t next_us = CLOCK_NEVER;
    struct collection *c;
    bool passed = false;
    for (size_t i = 0; (c = catalog_at(f->server->catalog, i)); i++) {
        struct tracked *t = track(f, i, c);
        struct err err = {0};
        int64_t now_us = clock_now_us();
        passed |= t->deadline_us <= now_us;
        if (vindex_tick(c->index, now_us, &t->deadline_us, &err) != ASSAY_OK) {
            log_err(LOG_ERROR, "index tick failed", &err);
            t->deadline_us = CLOCK_NEVER;
        }
        err_clear(&err);
        if (t->deadline_us < next_us)
            next_us = t->deadline_us;
    }
    if (passed)
        sweeper_notify(f->sweeper);
    return next_us;
}

static void checkpoint(struct follower *f)
{
    struct collection *c;
    for (size_t i = 0; (c = catalog_at(f->server->catalog, i)); i++) {
        struct tracked *t = track(f, i, c);
        struct err err = {0};
        if (!t->dirty)
            continue;
        if (vindex_checkpoint(c->index, &err) == ASSAY_OK)
            t->dirty = false;
        else
            log_err(LOG_ERROR, "checkpoint failed: a restart will read more of the change log", &err);
        err_clear(&err);
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
        bool behind = false;
        struct err err = {0};
        enum assay_code code = follow(f, &behind, &err);
        err_clear(&err);
        if (code == ASSAY_OK)
            f->backoff_ms = BACKOFF_MS_MIN;
        int64_t next_us = tick(f);
        if (clock_mono_us() >= f->checkpoint_due_us)
            checkpoint(f);
        if (code != ASSAY_OK || !behind)
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
    f->tracked = mem_calloc(CATALOG_MAX, sizeof *f->tracked);
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
    if (!f->sweeper)
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
    (void)close(f->wake_fd);
    free(f->tracked);
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
