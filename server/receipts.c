/*
 * The ring is Dmitry Vyukov's bounded queue: every slot carries a sequence number that says whose turn it is, so that
 * producers only contend on one counter. There is one consumer, the drain thread, which hands the slots themselves to
 * the store and gives them back afterwards: a receipt is copied once, when it is pushed.
 */
#include "server/receipts.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    RING_SLOTS = 4096, /* power of two; at 10,000 searches a second this outlasts a stall of 400 ms */
    BATCH_MAX = 512,
    IDLE_MS = 50,   /* producers never wake the thread, it looks by itself */
    RETRY_MS = 500, /* while PostgreSQL is away */
    CACHE_LINE = 64,
    STORE_TIMEOUT_S = 10,
    DRAIN_AT_END_S = 2
};

struct slot {
    _Atomic uint64_t turn;
    struct receipt_put receipt;
    struct receipt_hit hits[RECEIPT_HITS_MAX];
};

struct receipts {
    struct store *store;
    double sample;
    struct slot *slots;
    char apart[CACHE_LINE]; /* keeps the producers' counter off the line of what they only read */
    _Atomic uint64_t head;  /* next to be pushed */
    char apart_too[CACHE_LINE];
    _Atomic uint64_t tail; /* next to be stored; only the drain thread writes it */
    _Atomic int64_t kept, dropped;
    atomic_bool stopping;
    int wake_fd; /* eventfd: flush and free wake the thread early */
    pthread_t thread;
    pthread_mutex_t lock; /* guards `moved` alone */
    pthread_cond_t moved; /* tail went on */
};

static void wake(struct receipts *rs)
{
    uint64_t one = 1;
    /* EAGAIN means that the counter is full, so the thread is about to wake anyway. */
    if (write(rs->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_warn("receipts wake failed", "errno=%d", errno);
}

static void nap(struct receipts *rs, int ms)
{
    struct pollfd p = {.fd = rs->wake_fd, .events = POLLIN};
    uint64_t count;
    if (poll(&p, 1, ms) > 0 && read(rs->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_warn("receipts wait failed", "errno=%d", errno);
}

/* How many receipts from `tail` on are complete, at most BATCH_MAX; `batch` gets their headers. */
static size_t gather(struct receipts *rs, struct receipt_put *batch)
{
    uint64_t tail = atomic_load_explicit(&rs->tail, memory_order_relaxed);
    size_t n = 0;
    for (; n < BATCH_MAX; n++) {
        struct slot *s = &rs->slots[(tail + n) & (RING_SLOTS - 1)];
        if (atomic_load_explicit(&s->turn, memory_order_acquire) != tail + n + 1)
            break;
        batch[n] = s->receipt;
        batch[n].hits = s->hits;
    }
    return n;
}

static void give_back(struct receipts *rs, size_t n)
{
    uint64_t tail = atomic_load_explicit(&rs->tail, memory_order_relaxed);
    for (size_t i = 0; i < n; i++) {
        struct slot *s = &rs->slots[(tail + i) & (RING_SLOTS - 1)];
        atomic_store_explicit(&s->turn, tail + i + RING_SLOTS, memory_order_release);
    }
    pthread_mutex_lock(&rs->lock);
    atomic_store_explicit(&rs->tail, tail + n, memory_order_release);
    pthread_cond_broadcast(&rs->moved);
    pthread_mutex_unlock(&rs->lock);
}

/* Stores one batch. ASSAY_UNAVAILABLE leaves it in the ring for the next try; any other failure loses it, said and
 * counted, so that one bad record cannot hold up all that follow. */
static enum assay_code drain_once(struct receipts *rs, struct arena *a, struct receipt_put *batch, size_t *n)
{
    *n = gather(rs, batch);
    if (*n == 0)
        return ASSAY_OK;
    arena_reset(a);
    struct err err = {0};
    struct call call = {.arena = a,
                        .deadline_us = clock_mono_us() + STORE_TIMEOUT_S * CLOCK_SECOND,
                        .request_id = "receipts",
                        .actor = "system:receipts"};
    enum assay_code code = store_receipts_put(rs->store, &call, batch, *n, &err);
    if (code == ASSAY_OK)
        atomic_fetch_add_explicit(&rs->kept, (int64_t)*n, memory_order_relaxed);
    else if (code != ASSAY_UNAVAILABLE)
        atomic_fetch_add_explicit(&rs->dropped, (int64_t)*n, memory_order_relaxed);
    if (code != ASSAY_OK && code != ASSAY_UNAVAILABLE)
        log_err(LOG_ERROR, "receipts lost", &err);
    if (code != ASSAY_UNAVAILABLE)
        give_back(rs, *n);
    err_clear(&err);
    return code;
}

static void *drain(void *arg)
{
    struct receipts *rs = arg;
    struct arena *a = arena_new(65536);
    struct receipt_put *batch = mem_calloc(BATCH_MAX, sizeof *batch);
    int64_t give_up_us = CLOCK_NEVER;
    for (;;) {
        size_t n = 0;
        enum assay_code code = drain_once(rs, a, batch, &n);
        if (atomic_load(&rs->stopping)) {
            if (give_up_us == CLOCK_NEVER)
                give_up_us = clock_mono_us() + DRAIN_AT_END_S * CLOCK_SECOND;
            if (n == 0 || clock_mono_us() >= give_up_us)
                break;
        }
        if (code == ASSAY_UNAVAILABLE)
            nap(rs, RETRY_MS);
        else if (n < BATCH_MAX)
            nap(rs, IDLE_MS);
    }
    free(batch);
    arena_free(a);
    return NULL;
}

struct receipts *receipts_new(struct store *store, double sample)
{
    struct receipts *rs = mem_calloc(1, sizeof *rs);
    rs->store = store;
    rs->sample = sample;
    rs->slots = mem_calloc(RING_SLOTS, sizeof *rs->slots);
    for (uint64_t i = 0; i < RING_SLOTS; i++)
        atomic_init(&rs->slots[i].turn, i);
    pthread_condattr_t attr;
    bool ok = pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&rs->moved, &attr) == 0 && pthread_mutex_init(&rs->lock, NULL) == 0;
    (void)pthread_condattr_destroy(&attr);
    rs->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!ok || rs->wake_fd < 0 || pthread_create(&rs->thread, NULL, drain, rs) != 0) {
        log_error("receipts cannot start", "errno=%d", errno);
        abort();
    }
    return rs;
}

/* The id's last 32 bits are random (UUID version 7), so they decide the sample without another random number. */
static bool sampled(const struct receipts *rs, const char *id)
{
    if (rs->sample >= 1.0)
        return true;
    unsigned long bits = strtoul(id + UUID_TEXT - 8, NULL, 16);
    return (double)bits < rs->sample * 4294967296.0;
}

bool receipts_push(struct receipts *rs, const struct receipt_put *r)
{
    if (!sampled(rs, r->id))
        return true;
    uint64_t at = atomic_load_explicit(&rs->head, memory_order_relaxed);
    struct slot *s;
    for (;;) {
        s = &rs->slots[at & (RING_SLOTS - 1)];
        uint64_t turn = atomic_load_explicit(&s->turn, memory_order_acquire);
        if (turn == at) {
            if (atomic_compare_exchange_weak_explicit(&rs->head, &at, at + 1, memory_order_relaxed,
                                                      memory_order_relaxed))
                break;
        } else if (turn < at) {
            atomic_fetch_add_explicit(&rs->dropped, 1, memory_order_relaxed);
            return false;
        } else {
            at = atomic_load_explicit(&rs->head, memory_order_relaxed);
        }
    }
    s->receipt = *r;
    s->receipt.n_hits = r->n_hits < RECEIPT_HITS_MAX ? r->n_hits : RECEIPT_HITS_MAX;
    if (s->receipt.n_hits)
        memcpy(s->hits, r->hits, s->receipt.n_hits * sizeof *s->hits);
    atomic_store_explicit(&s->turn, at + 1, memory_order_release);
    return true;
}

bool receipts_flush(struct receipts *rs, int64_t deadline_us)
{
    uint64_t target = atomic_load(&rs->head);
    struct timespec until = {.tv_sec = deadline_us / CLOCK_SECOND, .tv_nsec = deadline_us % CLOCK_SECOND * 1000};
    wake(rs);
    int rc = 0;
    pthread_mutex_lock(&rs->lock);
    while (atomic_load(&rs->tail) < target && rc == 0)
        rc = pthread_cond_timedwait(&rs->moved, &rs->lock, &until);
    bool done = atomic_load(&rs->tail) >= target;
    pthread_mutex_unlock(&rs->lock);
    return done;
}

void receipts_stats(struct receipts *rs, int64_t *kept, int64_t *dropped, int64_t *pending)
{
    uint64_t tail = atomic_load(&rs->tail), head = atomic_load(&rs->head);
    *kept = atomic_load(&rs->kept);
    *dropped = atomic_load(&rs->dropped);
    *pending = (int64_t)(head - tail);
}

void receipts_free(struct receipts *rs)
{
    if (!rs)
        return;
    atomic_store(&rs->stopping, true);
    wake(rs);
    (void)pthread_join(rs->thread, NULL);
    int64_t kept, dropped, pending;
    receipts_stats(rs, &kept, &dropped, &pending);
    if (pending > 0)
        log_warn("receipts not stored at the end", "count=%lld", (long long)pending);
    (void)close(rs->wake_fd);
    (void)pthread_cond_destroy(&rs->moved);
    (void)pthread_mutex_destroy(&rs->lock);
    free(rs->slots);
    free(rs);
}
