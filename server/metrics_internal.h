/* What metrics.c (counting), metrics_gather.c (asking) and metrics_write.c (showing) share. */
#ifndef ASSAY_SERVER_METRICS_INTERNAL_H
#define ASSAY_SERVER_METRICS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "index/vindex.h"
#include "server/metrics.h"
#include "store/quarantine.h"

enum {
    METRICS_OPERATIONS = 96, /* more than there are routes */
    METRICS_BUCKETS = 16,
    METRICS_STATUSES = 24,
    METRICS_MODES = VINDEX_LEXICAL + 1
};
extern const int64_t metrics_bounds_us[METRICS_BUCKETS]; /* upper bounds, ascending */
extern const int metrics_statuses[METRICS_STATUSES];     /* ends with 0: any other */

struct metrics_histogram {
    atomic_llong buckets[METRICS_BUCKETS + 1]; /* not cumulative; the last is +Inf */
    atomic_llong sum_us;
};
struct metrics_operation {
    _Atomic(const char *) name; /* NULL: free. Claimed once, never given back */
    atomic_llong by_status[METRICS_STATUSES];
    struct metrics_histogram took;
};

/* What PostgreSQL knows of one collection, as of the last refresh. */
struct metrics_collection {
    const char *name;                            /* the catalog's */
    double quality, usable_chunks, usable_bytes; /* NAN: not measured */
    int64_t documents;
    int64_t quarantined[REASON_COUNT];
};

struct metrics {
    struct metrics_operation operations[METRICS_OPERATIONS];
    struct metrics_histogram search[METRICS_MODES];
    atomic_llong search_hits[METRICS_MODES], search_empty[METRICS_MODES];
    atomic_llong search_degraded;
    atomic_llong counters[METRIC_COUNTER_COUNT];
    pthread_mutex_t lock; /* what follows */
    struct metrics_collection *collections;
    size_t n_collections;
    int64_t refreshed_us; /* wall clock; 0: never */
};

/* /proc, as Prometheus' client libraries report it. False when a value cannot be had. */
struct metrics_process {
    double cpu_seconds, start_time_seconds;
    int64_t resident_bytes, virtual_bytes, open_fds, max_fds, threads;
};
bool metrics_process_read(struct metrics_process *out);

#endif
