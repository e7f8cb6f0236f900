/*
 * Metrics in the Prometheus text format 0.0.4 (or OpenMetrics 1.0 when asked). Counters and histograms live in memory
 * (atomics, no lock on the hot path); gauges are gathered at scrape time by collectors.
 */
#ifndef ASSAY_SERVER_METRICS_H
#define ASSAY_SERVER_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct metrics;
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* One HTTP request: operation is static (a route's operation_id). */
void metrics_request(struct metrics *m, const char *operation, int status, int64_t took_us);
/* One search: by mode index (enum vindex_mode) and result. */
void metrics_search(struct metrics *m, int mode, bool degraded, size_t hits, int64_t took_us);
/* Counters, by fixed enumeration. */
enum metrics_counter {
    METRIC_INGEST_ACCEPTED,
    METRIC_INGEST_UNCHANGED,
    METRIC_INGEST_REJECTED,
    METRIC_INGEST_CHUNKS,
    METRIC_INGEST_BYTES,
    METRIC_EMBED_CALLS,
    METRIC_EMBED_TEXTS,
    METRIC_EMBED_FAILURES,
    METRIC_QUERY_CACHE_HITS,
    METRIC_QUERY_CACHE_MISSES,
    METRIC_RERANK_CALLS,
    METRIC_RERANK_FAILURES,
    METRIC_SWEEP_STALE,
    METRIC_AUTH_FAILURES,
    METRIC_APPLIED_CHANGES,
    METRIC_COUNTER_COUNT
};
/* Searches so far, of every mode. */
int64_t metrics_searches(const struct metrics *m);
void metrics_add(struct metrics *m, enum metrics_counter c, int64_t n);

struct server;
/* Writes the whole exposition. openmetrics chooses the format. Database-backed gauges (chunks by state, quarantine by
 * reason, quality index, usable ratio, freshness lag) come from a cache that the sweeper refreshes, so that a scrape
 * asks PostgreSQL for nothing and works while it is away. */
void metrics_write(struct server *s, bool openmetrics, struct buf *out);
/* Called by the sweeper, every few seconds where that is cheap. Blocks on PostgreSQL. */
void metrics_refresh(struct server *s);

#endif
