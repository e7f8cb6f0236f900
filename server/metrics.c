/* Counting: atomics, no lock. */
#include "server/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "server/metrics_internal.h"

/* 100 us to 10 s: a search takes a fraction of a millisecond, a bulk upload seconds. */
const int64_t metrics_bounds_us[METRICS_BUCKETS] = {100,   250,    500,    1000,   2500,    5000,    10000,   25000,
                                                    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};
const int metrics_statuses[METRICS_STATUSES] = {200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409,
                                                412, 413, 414, 415, 422, 428, 429, 500, 502, 503, 504, 0};

struct metrics *metrics_new(void)
{
    struct metrics *m = mem_calloc(1, sizeof *m);
    if (pthread_mutex_init(&m->lock, NULL) != 0) {
        log_error("the metrics' lock cannot be made", "%s", "");
        abort();
    }
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    pthread_mutex_destroy(&m->lock);
    free(m->collections);
    free(m);
}

static void observe(struct metrics_histogram *h, int64_t took_us)
{
    size_t i = 0;
    while (i < METRICS_BUCKETS && took_us > metrics_bounds_us[i])
        i++;
    atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, took_us, memory_order_relaxed);
}

/* The row of an operation; a new one takes the first free row. NULL when all are taken (there are more than routes). */
static struct metrics_operation *operation_row(struct metrics *m, const char *name)
{
    for (size_t i = 0; i < METRICS_OPERATIONS; i++) {
        struct metrics_operation *row = &m->operations[i];
        const char *has = atomic_load_explicit(&row->name, memory_order_acquire);
        if (!has && atomic_compare_exchange_strong(&row->name, &has, name))
            return row;
        if (has == name || strcmp(has, name) == 0)
            return row;
    }
    return NULL;
}

void metrics_request(struct metrics *m, const char *operation, int status, int64_t took_us)
{
    struct metrics_operation *row = operation_row(m, operation);
    if (!row)
        return;
    size_t i = 0;
    while (metrics_statuses[i] != 0 && metrics_statuses[i] != status)
        i++;
    atomic_fetch_add_explicit(&row->by_status[i], 1, memory_order_relaxed);
    observe(&row->took, took_us);
}

void metrics_search(struct metrics *m, int mode, bool degraded, size_t hits, int64_t took_us)
{
    if (mode < 0 || mode >= METRICS_MODES)
        return;
    observe(&m->search[mode], took_us);
    atomic_fetch_add_explicit(&m->search_hits[mode], (long long)hits, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->search_empty[mode], hits == 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->search_degraded, degraded, memory_order_relaxed);
}

int64_t metrics_searches(const struct metrics *m)
{
    int64_t n = 0;
    for (size_t mode = 0; mode < METRICS_MODES; mode++)
        for (size_t i = 0; i <= METRICS_BUCKETS; i++)
            n += atomic_load_explicit(&m->search[mode].buckets[i], memory_order_relaxed);
    return n;
}

void metrics_add(struct metrics *m, enum metrics_counter c, int64_t n)
{
    atomic_fetch_add_explicit(&m->counters[c], (long long)n, memory_order_relaxed);
}
