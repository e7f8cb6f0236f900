#include "server/sweeper.h"

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
#include "store/quarantine.h"

enum {
    STEP_DOCUMENTS = 500, /* of one transaction: other writers of the collection wait for no more than that */
    METRICS_EVERY_S = 5,
    METRICS_SHARE = 100, /* their aggregates read every chunk: they may take one part in so many of the time */
    KEYS_EVERY_S = 60,
    CALL_TIMEOUT_S = 30,
    NAP_MS_MAX = 1000
};

struct sweeper {
    struct server *server;
    struct arena *arena;
    pthread_t thread;
    int wake_fd; /* eventfd */
    atomic_bool stopping;
    int64_t sweep_due_us;                /* wall clock */
    int64_t metrics_due_us, keys_due_us; /* monotonic */
};

static struct call sweeper_call(struct sweeper *s)
{
    arena_reset(s->arena);
    return (struct call){.arena = s->arena,
                         .deadline_us = clock_mono_us() + CALL_TIMEOUT_S * CLOCK_SECOND,
                         .request_id = "sweeper",
                         .actor = "system:sweeper"};
}

/* Sweeps one collection until nothing is overdue; *next_us is lowered to its next deadline. */
static enum assay_code sweep_collection(struct sweeper *s, const struct collection *c, int64_t *next_us,
                                        struct err *err)
{
    struct store *store = s->server->store;
    struct call call = sweeper_call(s);
    int64_t deadline_us;
    TRY(store_next_deadline(store, &call, c->id, &deadline_us, err));
    bool more = deadline_us <= clock_now_us();
    while (more && !atomic_load(&s->stopping)) {
        size_t documents, chunks;
        struct store_commit commit = {0};
        call = sweeper_call(s);
        TRY(store_quarantine_sweep(store, &call, c->id, clock_now_us(), STEP_DOCUMENTS, false, &documents, &chunks,
                                   &more, &commit, err));
        if (chunks > 0) {
            metrics_add(s->server->metrics, METRIC_SWEEP_STALE, (int64_t)chunks);
            log_info("recorded as stale", "collection=%d documents=%zu chunks=%zu", c->id, documents, chunks);
            follower_notify(s->server->follower);
        }
        more = more && documents > 0;
        deadline_us = CLOCK_NEVER;
        if (!more)
            TRY(store_next_deadline(store, &call, c->id, &deadline_us, err));
    }
    if (deadline_us < *next_us)
        *next_us = deadline_us;
    return ASSAY_OK;
}

/* When PostgreSQL is away nothing is lost: the deadlines stay where they are, and the next round finds them again. */
static void sweep(struct sweeper *s)
{
    int64_t next_us = clock_now_us() + s->server->config->sweep_interval_s * CLOCK_SECOND;
    int64_t soonest_us = clock_now_us() + CLOCK_SECOND;
    struct collection *c;
    for (size_t i = 0; (c = catalog_at(s->server->catalog, i)) && !atomic_load(&s->stopping); i++) {
        struct err err = {0};
        enum assay_code code = sweep_collection(s, c, &next_us, &err);
        if (code != ASSAY_OK && code != ASSAY_UNAVAILABLE)
            log_err(LOG_ERROR, "sweep failed", &err);
        err_clear(&err);
    }
    s->sweep_due_us = next_us > soonest_us ? next_us : soonest_us;
}

static void reload_keys(struct sweeper *s)
{
    struct err err = {0};
    struct call call = sweeper_call(s);
    enum assay_code code = auth_reload(s->server->auth, &call, &err);
    if (code != ASSAY_OK && code != ASSAY_UNAVAILABLE)
        log_err(LOG_ERROR, "keys not reloaded", &err);
    err_clear(&err);
}

/* Waits until something is due; true when the sweeper was notified. */
static bool nap(struct sweeper *s)
{
    int64_t mono_us = clock_mono_us();
    int64_t wait_us = s->sweep_due_us - clock_now_us();
    if (s->metrics_due_us - mono_us < wait_us)
        wait_us = s->metrics_due_us - mono_us;
    if (s->keys_due_us - mono_us < wait_us)
        wait_us = s->keys_due_us - mono_us;
    int ms = wait_us <= 0 ? 0 : wait_us / 1000 >= NAP_MS_MAX ? NAP_MS_MAX : (int)(wait_us / 1000) + 1;
    struct pollfd p = {.fd = s->wake_fd, .events = POLLIN};
    uint64_t count;
    return poll(&p, 1, ms) > 0 && read(s->wake_fd, &count, sizeof count) == (ssize_t)sizeof count;
}

static void *run(void *arg)
{
    struct sweeper *s = arg;
    while (!atomic_load(&s->stopping)) {
        if (clock_now_us() >= s->sweep_due_us)
            sweep(s);
        if (clock_mono_us() >= s->metrics_due_us) {
            int64_t begun_us = clock_mono_us();
            metrics_refresh(s->server);
            int64_t now_us = clock_mono_us();
            s->metrics_due_us = now_us + METRICS_EVERY_S * CLOCK_SECOND + METRICS_SHARE * (now_us - begun_us);
        }
        if (clock_mono_us() >= s->keys_due_us) {
            reload_keys(s);
            s->keys_due_us = clock_mono_us() + KEYS_EVERY_S * CLOCK_SECOND;
        }
        if (nap(s))
            s->sweep_due_us = 0;
    }
    return NULL;
}

struct sweeper *sweeper_start(struct server *server)
{
    struct sweeper *s = mem_calloc(1, sizeof *s);
    s->server = server;
    s->arena = arena_new(65536);
    s->keys_due_us = clock_mono_us() + KEYS_EVERY_S * CLOCK_SECOND;
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd >= 0 && pthread_create(&s->thread, NULL, run, s) == 0)
        return s;
    log_error("sweeper cannot start", "errno=%d", errno);
    if (s->wake_fd >= 0)
        (void)close(s->wake_fd);
    arena_free(s->arena);
    free(s);
    return NULL;
}

void sweeper_notify(struct sweeper *s)
{
    uint64_t one = 1;
    /* EAGAIN means that the counter is full, so the thread is about to wake anyway. */
    if (write(s->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_warn("sweeper wake failed", "errno=%d", errno);
}

void sweeper_stop(struct sweeper *s)
{
    if (!s)
        return;
    atomic_store(&s->stopping, true);
    sweeper_notify(s);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->wake_fd);
    arena_free(s->arena);
    free(s);
}
