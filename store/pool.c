#include "store/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/log.h"

enum assay_code store_open(const struct store_config *cfg, struct store **out, struct err *err)
{
    assert(cfg->pool_size >= 1 && cfg->pool_size <= 256);
    struct store *s = mem_calloc(1, sizeof *s);
    s->cfg = *cfg;
    s->cfg.url = mem_strdup(cfg->url);
    s->cfg.migrations_dir = mem_strdup(cfg->migrations_dir ? cfg->migrations_dir : "");
    s->idle = mem_calloc((size_t)cfg->pool_size, sizeof *s->idle);
    pthread_condattr_t attr;
    bool ok = pthread_condattr_init(&attr) == 0;
    if (ok) {
        ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 && pthread_cond_init(&s->freed, &attr) == 0;
        (void)pthread_condattr_destroy(&attr);
    }
    if (ok && pthread_mutex_init(&s->lock, NULL) == 0) {
        *out = s;
        return ASSAY_OK;
    }
    free(s->idle);
    free((void *)(uintptr_t)s->cfg.url);
    free((void *)(uintptr_t)s->cfg.migrations_dir);
    free(s);
    return err_set(err, ASSAY_INTERNAL, NULL, "The connection pool could not be set up.");
}

void store_close(struct store *s)
{
    if (!s)
        return;
    assert(s->in_use == 0);
    for (int i = 0; i < s->n_idle; i++)
        conn_close(s->idle[i]);
    (void)pthread_cond_destroy(&s->freed);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->idle);
    free((void *)(uintptr_t)s->cfg.url);
    free((void *)(uintptr_t)s->cfg.migrations_dir);
    free(s);
}

static enum assay_code away(struct err *err)
{
    return err_set(err, ASSAY_UNAVAILABLE, "database-away", "The database cannot be reached at the moment.");
}

/* Under the lock: opens the circuit for a while, so that others do not queue up behind a dead server. */
static void open_circuit(struct store *s)
{
    s->backoff_us = s->backoff_us ? s->backoff_us * 2 : POOL_BACKOFF_MIN_US;
    if (s->backoff_us > POOL_BACKOFF_MAX_US)
        s->backoff_us = POOL_BACKOFF_MAX_US;
    uint16_t jitter;
    digest_random(&jitter, sizeof jitter);
    s->down_until_us = clock_mono_us() + s->backoff_us / 2 + s->backoff_us / 2 * jitter / UINT16_MAX;
}

/* Opens a connection for a place already counted in in_use. */
static enum assay_code connect_new(struct store *s, struct conn **out, struct err *err)
{
    enum assay_code code = conn_open(&s->cfg, out, err);
    (void)pthread_mutex_lock(&s->lock);
    bool was_available = s->available;
    s->available = code == ASSAY_OK;
    if (code == ASSAY_OK) {
        s->reconnects++;
        s->backoff_us = s->down_until_us = 0;
    } else {
        s->failures++;
        s->in_use--;
        open_circuit(s);
        (void)pthread_cond_signal(&s->freed);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (code == ASSAY_OK && !was_available)
        log_info("database reached", "pool_size=%d", s->cfg.pool_size);
    return code;
}

/* Under the lock: waits until a connection is given back; false when the deadline passed. */
static bool wait_freed(struct store *s, int64_t deadline_us)
{
    struct timespec until = {.tv_sec = deadline_us / CLOCK_SECOND, .tv_nsec = deadline_us % CLOCK_SECOND * 1000};
    s->waiting++;
    int rc = pthread_cond_timedwait(&s->freed, &s->lock, &until);
    s->waiting--;
    return rc != ETIMEDOUT;
}

/* Takes an idle connection (*out) or a place for a new one (*out NULL). */
static enum assay_code take_place(struct store *s, const struct call *call, struct conn **out, struct err *err)
{
    enum assay_code code = ASSAY_OK;
    *out = NULL;
    (void)pthread_mutex_lock(&s->lock);
    for (;;) {
        if (s->n_idle > 0) {
            *out = s->idle[--s->n_idle];
            s->in_use++;
            break;
        }
        if (clock_mono_us() < s->down_until_us) {
            code = away(err);
            break;
        }
        if (s->in_use < s->cfg.pool_size) {
            s->in_use++;
            if (s->backoff_us)
                open_circuit(s); /* this caller is the one that tries; the rest fail fast meanwhile */
            break;
        }
        if (!wait_freed(s, call->deadline_us)) {
            code = err_set(err, ASSAY_UNAVAILABLE, "database-busy", "All database connections are in use.");
            break;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return code;
}

enum assay_code pool_take(struct store *s, const struct call *call, struct conn **out, struct err *err)
{
    TRY(take_place(s, call, out, err));
    while (*out) {
        struct conn *c = *out;
        bool idle_long = clock_mono_us() - c->idle_since_us > POOL_IDLE_CHECK_US;
        if (conn_alive(c) && (!idle_long || conn_answers(c)))
            return ASSAY_OK;
        conn_close(c);
        (void)pthread_mutex_lock(&s->lock);
        s->failures++;
        *out = s->n_idle > 0 ? s->idle[--s->n_idle] : NULL; /* the others are likely gone too: look at each */
        (void)pthread_mutex_unlock(&s->lock);
    }
    return connect_new(s, out, err);
}

void pool_give(struct store *s, struct conn *c)
{
    bool fit = PQstatus(c->pg) == CONNECTION_OK && PQtransactionStatus(c->pg) == PQTRANS_IDLE;
    if (!fit)
        conn_close(c);
    (void)pthread_mutex_lock(&s->lock);
    s->in_use--;
    s->available = fit || s->n_idle > 0;
    if (fit) {
        c->idle_since_us = clock_mono_us();
        s->idle[s->n_idle++] = c;
    } else {
        s->failures++;
    }
    (void)pthread_cond_signal(&s->freed);
    (void)pthread_mutex_unlock(&s->lock);
}

void pool_note_conflict(struct store *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->conflicts++;
    (void)pthread_mutex_unlock(&s->lock);
}

void store_pool_stats(struct store *s, struct store_pool_stats *out)
{
    (void)pthread_mutex_lock(&s->lock);
    *out = (struct store_pool_stats){
        .size = s->cfg.pool_size,
        .in_use = s->in_use,
        .idle = s->n_idle,
        .waiting = s->waiting,
        .conflicts = s->conflicts,
        .reconnects = s->reconnects,
        .failures = s->failures,
        .available = s->available,
    };
    (void)pthread_mutex_unlock(&s->lock);
}
