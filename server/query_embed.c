/*
 * Whoever waits does the work: the first waiter of a collection that finds a free flight takes what is queued along,
 * calls the endpoint without the lock, and hands out the vectors. Waiters that give up meanwhile take their place in
 * the flight away, so nothing is written to memory that is gone.
 */
#include "server/query_embed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/query_cache.h"
#include "server/server.h"

enum { FLIGHTS_MAX = 2 /* calls of one collection at once */, FLIGHT_TEXTS_MAX = 256, ARENA_FIRST = 1 << 14 };

struct waiter {
    struct query_text *item;
    struct lane *lane;
    struct digest key;
    int64_t deadline_us;
    bool done;
    struct waiter *next;    /* queued */
    struct waiter **flying; /* its place in a flight; NULL: none */
};
/* One collection. Made when first needed, kept. */
struct lane {
    struct lane *next;
    struct collection *collection;
    int flights;
    struct waiter *first, **end;
};
struct flight {
    struct arena *arena; /* its own: the waiters' may go */
    struct waiter *members[FLIGHT_TEXTS_MAX];
    struct str texts[FLIGHT_TEXTS_MAX];
    struct digest keys[FLIGHT_TEXTS_MAX];
    enum assay_code codes[FLIGHT_TEXTS_MAX];
    float *vectors;
    size_t n;
};
struct query_embedder {
    struct server *server;
    struct query_cache *cache;
    pthread_mutex_t lock; /* what follows, and every waiter */
    pthread_cond_t landed;
    struct lane *lanes;
};

struct query_embedder *query_embedder_new(struct server *s, size_t cache_bytes)
{
    struct query_embedder *q = mem_calloc(1, sizeof *q);
    pthread_condattr_t attr;
    bool ok = pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&q->landed, &attr) == 0 && pthread_mutex_init(&q->lock, NULL) == 0;
    if (!ok) {
        log_error("the query embedder's locks cannot be made", "%s", "");
        abort();
    }
    (void)pthread_condattr_destroy(&attr);
    q->server = s;
    q->cache = query_cache_new(cache_bytes);
    return q;
}

void query_embedder_free(struct query_embedder *q)
{
    if (!q)
        return;
    for (struct lane *l = q->lanes, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    query_cache_free(q->cache);
    pthread_cond_destroy(&q->landed);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* The embedder's digest covers endpoint, model and prefix: another of them is another key. */
static struct digest cache_key(const struct query_text *item)
{
    struct digest key;
    struct digest_ctx *ctx = digest_begin();
    digest_update(ctx, item->collection->embedder.b, DIGEST_LEN);
    digest_update_field(ctx, item->text);
    digest_end(ctx, &key);
    return key;
}

static bool from_cache(struct query_embedder *q, struct query_text *item, const struct digest *key)
{
    if (!query_cache_get(q->cache, key, item->out, (size_t)item->collection->spec.dim))
        return false;
    item->code = ASSAY_OK;
    metrics_add(q->server->metrics, METRIC_QUERY_CACHE_HITS, 1);
    return true;
}

bool query_embed_cached(struct query_embedder *q, struct query_text *item)
{
    struct digest key = cache_key(item);
    return from_cache(q, item, &key);
}

/* ---- lanes: the lock is held ---- */

static struct lane *lane_of(struct query_embedder *q, struct collection *c)
{
    struct lane *l = q->lanes;
    while (l && l->collection != c)
        l = l->next;
    if (!l) {
        l = mem_calloc(1, sizeof *l);
        l->collection = c;
        l->end = &l->first;
        l->next = q->lanes;
        q->lanes = l;
    }
    return l;
}

static void enqueue(struct waiter *w)
{
    w->flying = NULL;
    w->next = NULL;
    *w->lane->end = w;
    w->lane->end = &w->next;
}

static struct waiter *dequeue(struct lane *l)
{
    struct waiter *w = l->first;
    l->first = w->next;
    if (!l->first)
        l->end = &l->first;
    return w;
}

/* Leaves the queue or the flight: nobody looks at the waiter after this. */
static void give_up(struct waiter *w)
{
    w->item->code = ASSAY_UNAVAILABLE;
    if (w->flying) {
        *w->flying = NULL;
        return;
    }
    struct waiter **at = &w->lane->first;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (w->lane->end == &w->next)
        w->lane->end = at;
}

/* ---- a flight ---- */

static void board(struct lane *l, struct flight *f)
{
    size_t most = (size_t)l->collection->spec.batch_size;
    while (l->first && f->n < most && f->n < FLIGHT_TEXTS_MAX) {
        struct waiter *w = dequeue(l);
        f->members[f->n] = w;
        w->flying = &f->members[f->n];
        f->keys[f->n] = w->key;
        f->texts[f->n++] = str_dup(f->arena, w->item->text);
    }
    f->vectors = ARENA_ARRAY(f->arena, float, f->n *(size_t)l->collection->spec.dim);
}

static enum assay_code ask(struct query_embedder *q, const struct call *call, struct collection *c, struct flight *f,
                           size_t from, size_t n)
{
    struct err err = {0};
    enum assay_code code = intake_embed_queries(q->server->intake, call, c, f->texts + from, n,
                                                f->vectors + from * (size_t)c->spec.dim, &err);
    err_clear(&err);
    return code;
}

/* All at once; when the endpoint refuses that (one text may be to blame), one by one. */
static void fly(struct query_embedder *q, const struct call *call, struct collection *c, struct flight *f)
{
    size_t dim = (size_t)c->spec.dim;
    enum assay_code code = ask(q, call, c, f, 0, f->n);
    for (size_t i = 0; i < f->n; i++) {
        f->codes[i] = code == ASSAY_UPSTREAM && f->n > 1 ? ask(q, call, c, f, i, 1) : code;
        if (f->codes[i] == ASSAY_OK)
            query_cache_put(q->cache, &f->keys[i], f->vectors + i * dim, dim);
    }
}

/* A member with time left does not share the fate of a call that ran into its caller's deadline: it queues again. */
static void land(struct query_embedder *q, struct lane *l, struct flight *f, int64_t deadline_us)
{
    size_t dim = (size_t)l->collection->spec.dim;
    bool too_late = clock_mono_us() >= deadline_us;
    for (size_t i = 0; i < f->n; i++) {
        struct waiter *w = f->members[i];
        if (!w)
            continue;
        if (f->codes[i] == ASSAY_UNAVAILABLE && too_late && w->deadline_us > deadline_us) {
            enqueue(w);
            continue;
        }
        w->done = true;
        w->flying = NULL;
        w->item->code = f->codes[i];
        if (f->codes[i] == ASSAY_OK)
            memcpy(w->item->out, f->vectors + i * dim, dim * sizeof(float));
    }
    pthread_cond_broadcast(&q->landed);
}

/* Takes what is queued to the endpoint. The lock is given up meanwhile. */
static void lead(struct query_embedder *q, struct lane *l, const struct call *call, int64_t deadline_us)
{
    struct arena *arena = arena_new(ARENA_FIRST);
    struct flight *f = ARENA_NEW(arena, struct flight);
    struct call own = *call;
    f->arena = own.arena = arena;
    own.deadline_us = deadline_us;
    board(l, f);
    l->flights++;
    pthread_mutex_unlock(&q->lock);
    fly(q, &own, l->collection, f);
    pthread_mutex_lock(&q->lock);
    l->flights--;
    land(q, l, f, deadline_us);
    arena_free(arena);
}

/* ---- waiting ---- */

/* One of the waiters whose collection could be asked now; *left: is any still waiting, and until when at most? */
static struct waiter *next_to_lead(struct waiter *waiters, size_t n, int64_t now_us, int64_t *left)
{
    *left = 0;
    for (size_t i = 0; i < n; i++) {
        struct waiter *w = &waiters[i];
        if (w->done || w->deadline_us <= now_us)
            continue;
        *left = w->deadline_us > *left ? w->deadline_us : *left;
        if (!w->flying && w->lane->flights < FLIGHTS_MAX)
            return w;
    }
    return NULL;
}

static void wait_for(struct query_embedder *q, const struct call *call, struct waiter *waiters, size_t n)
{
    for (;;) {
        int64_t left;
        struct waiter *w = next_to_lead(waiters, n, clock_mono_us(), &left);
        if (w) {
            lead(q, w->lane, call, w->deadline_us);
        } else if (left > 0) {
            struct timespec until = {.tv_sec = left / CLOCK_SECOND, .tv_nsec = left % CLOCK_SECOND * 1000};
            (void)pthread_cond_timedwait(&q->landed, &q->lock, &until); /* late or woken: looked at above */
        } else {
            break;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!waiters[i].done)
            give_up(&waiters[i]);
}

void query_embed(struct query_embedder *q, const struct call *call, struct query_text *items, size_t n)
{
    struct waiter *waiters = ARENA_ARRAY(call->arena, struct waiter, n);
    size_t missing = 0;
    int64_t now = clock_mono_us();
    for (size_t i = 0; i < n; i++) {
        struct waiter *w = &waiters[missing];
        int64_t timeout = now + (int64_t)items[i].collection->spec.timeout_ms * 1000;
        *w = (struct waiter){.item = &items[i], .key = cache_key(&items[i])};
        w->deadline_us = timeout < call->deadline_us ? timeout : call->deadline_us;
        missing += !from_cache(q, &items[i], &w->key);
    }
    metrics_add(q->server->metrics, METRIC_QUERY_CACHE_MISSES, (int64_t)missing);
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < missing; i++) {
        waiters[i].lane = lane_of(q, waiters[i].item->collection);
        enqueue(&waiters[i]);
    }
    wait_for(q, call, waiters, missing);
    pthread_mutex_unlock(&q->lock);
}
