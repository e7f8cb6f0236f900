/* Showing: the Prometheus text format 0.0.4 and OpenMetrics 1.0. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_write.h"
#include "server/metrics_internal.h"
#include "server/server.h"
#include "server/version.h"

struct expo {
    struct buf *out;
    bool openmetrics;
};

enum { LABELS_MAX = 512 };

/* HELP and TYPE. OpenMetrics names a counter's family without `_total`. */
static void family(struct expo *e, const char *name, const char *type, const char *help)
{
    size_t len = strlen(name);
    bool counter = strcmp(type, "counter") == 0;
    if (e->openmetrics && counter && len > 6)
        len -= 6;
    buf_printf(e->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)len, name, help, (int)len, name, type);
}

static void sample_labelled(struct expo *e, const char *name, const char *labels, double value)
{
    char text[JSONW_DOUBLE_TEXT];
    buf_puts(e->out, name);
    if (labels[0])
        buf_printf(e->out, "{%s}", labels);
    if (isfinite(value))
        jsonw_double_text(value, text);
    buf_printf(e->out, " %s\n", isfinite(value) ? text : "NaN");
}

static void sample(struct expo *e, const char *name, double value, const char *labels_fmt, ...) PRINTF_LIKE(4, 5);
static void sample(struct expo *e, const char *name, double value, const char *labels_fmt, ...)
{
    char labels[LABELS_MAX];
    va_list args;
    va_start(args, labels_fmt);
    int n = vsnprintf(labels, sizeof labels, labels_fmt, args);
    va_end(args);
    if (n >= 0 && n < LABELS_MAX)
        sample_labelled(e, name, labels, value);
}

static void gauge(struct expo *e, const char *name, const char *help, double value)
{
    family(e, name, "gauge", help);
    sample_labelled(e, name, "", value);
}

static void counter(struct expo *e, const char *name, const char *help, double value)
{
    family(e, name, "counter", help);
    sample_labelled(e, name, "", value);
}

static double count_of(const atomic_llong *n)
{
    return (double)atomic_load_explicit(n, memory_order_relaxed);
}

/* Cumulative buckets, sum and count from one reading, so that they agree with each other. */
static void histogram(struct expo *e, const char *name, const char *labels, const struct metrics_histogram *h)
{
    char text[JSONW_DOUBLE_TEXT];
    long long total = 0;
    for (size_t i = 0; i <= METRICS_BUCKETS; i++) {
        total += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        if (i < METRICS_BUCKETS)
            jsonw_double_text((double)metrics_bounds_us[i] / 1e6, text);
        /* OpenMetrics asks for a point in every bound. */
        const char *tail = e->openmetrics && i < METRICS_BUCKETS && !strpbrk(text, ".e") ? ".0" : "";
        buf_printf(e->out, "%s_bucket{%s,le=\"%s%s\"} %lld\n", name, labels, i < METRICS_BUCKETS ? text : "+Inf", tail,
                   total);
    }
    jsonw_double_text(count_of(&h->sum_us) / 1e6, text);
    buf_printf(e->out, "%s_sum{%s} %s\n%s_count{%s} %lld\n", name, labels, text, name, labels, total);
}

/* ---- what this process counted ---- */

static void write_requests(struct expo *e, const struct metrics *m)
{
    family(e, "assay_http_requests_total", "counter", "Requests answered, by operation and HTTP status.");
    for (size_t i = 0; i < METRICS_OPERATIONS; i++) {
        const char *name = atomic_load_explicit(&m->operations[i].name, memory_order_acquire);
        for (size_t s = 0; name && s < METRICS_STATUSES; s++) {
            double n = count_of(&m->operations[i].by_status[s]);
            char status[8] = "other";
            if (metrics_statuses[s])
                snprintf(status, sizeof status, "%d", metrics_statuses[s]);
            if (n > 0)
                sample(e, "assay_http_requests_total", n, "operation=\"%s\",status=\"%s\"", name, status);
        }
    }
    family(e, "assay_http_request_duration_seconds", "histogram", "From the request line to the finished reply.");
    for (size_t i = 0; i < METRICS_OPERATIONS; i++) {
        const char *name = atomic_load_explicit(&m->operations[i].name, memory_order_acquire);
        char labels[LABELS_MAX];
        if (name && snprintf(labels, sizeof labels, "operation=\"%s\"", name) < LABELS_MAX)
            histogram(e, "assay_http_request_duration_seconds", labels, &m->operations[i].took);
    }
}

static void write_searches(struct expo *e, const struct metrics *m)
{
    static const char *const modes[METRICS_MODES] = {
        [VINDEX_HYBRID] = "hybrid", [VINDEX_VECTOR] = "vector", [VINDEX_LEXICAL] = "lexical"};
    family(e, "assay_search_duration_seconds", "histogram", "Time a search took inside the server, by mode.");
    for (int i = 0; i < METRICS_MODES; i++) {
        char labels[LABELS_MAX];
        snprintf(labels, sizeof labels, "mode=\"%s\"", modes[i]);
        histogram(e, "assay_search_duration_seconds", labels, &m->search[i]);
    }
    family(e, "assay_search_hits_total", "counter", "Hits returned, by mode.");
    for (int i = 0; i < METRICS_MODES; i++)
        sample(e, "assay_search_hits_total", count_of(&m->search_hits[i]), "mode=\"%s\"", modes[i]);
    family(e, "assay_search_empty_total", "counter", "Searches that returned nothing, by mode.");
    for (int i = 0; i < METRICS_MODES; i++)
        sample(e, "assay_search_empty_total", count_of(&m->search_empty[i]), "mode=\"%s\"", modes[i]);
    counter(e, "assay_search_degraded_total", "Searches answered while PostgreSQL was away.",
            count_of(&m->search_degraded));
}

static void write_counters(struct expo *e, const struct metrics *m)
{
    static const struct {
        enum metrics_counter id;
        const char *name, *help;
    } rows[] = {
        {METRIC_INGEST_CHUNKS, "assay_ingest_chunks_total", "Chunks written."},
        {METRIC_INGEST_BYTES, "assay_ingest_bytes_total", "Bytes of documents received."},
        {METRIC_EMBED_CALLS, "assay_embed_calls_total", "Requests to embedding endpoints."},
        {METRIC_EMBED_TEXTS, "assay_embed_texts_total", "Texts embedded by endpoints."},
        {METRIC_EMBED_FAILURES, "assay_embed_failures_total", "Batches that no endpoint embedded."},
        {METRIC_QUERY_CACHE_HITS, "assay_query_cache_hits_total", "Queries whose vector was at hand."},
        {METRIC_QUERY_CACHE_MISSES, "assay_query_cache_misses_total", "Queries that an endpoint was asked to embed."},
        {METRIC_RERANK_CALLS, "assay_rerank_calls_total", "Requests to rerankers."},
        {METRIC_RERANK_FAILURES, "assay_rerank_failures_total", "Searches that no reranker ordered."},
        {METRIC_SWEEP_STALE, "assay_sweep_stale_chunks_total", "Chunks recorded as stale by the sweeper."},
        {METRIC_AUTH_FAILURES, "assay_auth_failures_total", "Requests without a known key."},
        {METRIC_APPLIED_CHANGES, "assay_applied_changes_total", "Changes applied to indexes."},
    };
    static const char ingest[] = "assay_ingest_documents_total";
    family(e, ingest, "counter", "Documents offered, by outcome.");
    sample(e, ingest, count_of(&m->counters[METRIC_INGEST_ACCEPTED]), "outcome=\"accepted\"");
    sample(e, ingest, count_of(&m->counters[METRIC_INGEST_UNCHANGED]), "outcome=\"unchanged\"");
    sample(e, ingest, count_of(&m->counters[METRIC_INGEST_REJECTED]), "outcome=\"rejected\"");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        counter(e, rows[i].name, rows[i].help, count_of(&m->counters[rows[i].id]));
}

/* ---- collections ---- */

/* Runs `one` over every collection with its index's figures. */
static void each_index(struct expo *e, struct server *s, const char *name, const char *type, const char *help,
                       void (*one)(struct expo *e, const char *name, const char *collection,
                                   const struct vindex_stats *stats))
{
    family(e, name, type, help);
    for (size_t i = 0;; i++) {
        struct collection *c = catalog_at(s->catalog, i);
        if (!c)
            return;
        struct vindex_stats stats;
        collection_stats(c, &stats);
        one(e, name, c->name.ptr, &stats);
    }
}

static void show_states(struct expo *e, const char *name, const char *collection, const struct vindex_stats *st)
{
    for (int i = 0; i < CHUNK_STATE_COUNT; i++)
        sample(e, name, (double)st->chunks_by_state[i], "collection=\"%s\",state=\"%s\"", collection,
               chunk_state_name((enum chunk_state)i));
}

#define SHOW(fn, expression)                                                                                           \
    static void fn(struct expo *e, const char *name, const char *collection, const struct vindex_stats *st)            \
    {                                                                                                                  \
        sample(e, name, (double)(expression), "collection=\"%s\"", collection);                                        \
    }
SHOW(show_overdue, st->oldest_overdue_seconds)
SHOW(show_memory, st->memory_bytes)
SHOW(show_mapped, st->mapped_bytes)
SHOW(show_disk, st->disk_bytes)
SHOW(show_slots, st->slots)
SHOW(show_segments, st->segments)
SHOW(show_head, st->head_rows)
SHOW(show_terms, st->terms)
SHOW(show_sequence, st->seq)
SHOW(show_builds, st->builds)
SHOW(show_merges, st->merges)
SHOW(show_checkpoints, st->checkpoints)

static void write_indexes(struct expo *e, struct server *s)
{
    each_index(e, s, "assay_chunks", "gauge", "Chunks in the index, by state.", show_states);
    each_index(e, s, "assay_freshness_overdue_seconds", "gauge",
               "How long the longest-stale chunk that is not recorded as such is past its deadline.", show_overdue);
    each_index(e, s, "assay_index_memory_bytes", "gauge", "Memory of the index.", show_memory);
    each_index(e, s, "assay_index_mapped_bytes", "gauge",
               "Memory of the index that is mapped from its files, which the system can drop and read again.",
               show_mapped);
    each_index(e, s, "assay_index_disk_bytes", "gauge", "Files of the index.", show_disk);
    each_index(e, s, "assay_index_slots", "gauge", "Slots of the index, retired chunks that wait for a merge included.",
               show_slots);
    each_index(e, s, "assay_index_segments", "gauge", "Sealed segments.", show_segments);
    each_index(e, s, "assay_index_head_rows", "gauge", "Rows that are searched exactly, outside any segment.",
               show_head);
    each_index(e, s, "assay_index_terms", "gauge", "Distinct terms of the lexical leg.", show_terms);
    each_index(e, s, "assay_index_applied_sequence", "gauge", "Last change applied.", show_sequence);
    each_index(e, s, "assay_index_builds_total", "counter", "Segments built.", show_builds);
    each_index(e, s, "assay_index_merges_total", "counter", "Segments merged.", show_merges);
    each_index(e, s, "assay_index_checkpoints_total", "counter", "Checkpoints written.", show_checkpoints);
}

/* Figures that PostgreSQL gave at the last refresh. A collection without chunks has no quality: it is left out. */
static void write_governance(struct expo *e, struct metrics *m)
{
    pthread_mutex_lock(&m->lock);
    family(e, "assay_documents", "gauge", "Documents, deleted ones left out.");
    for (size_t i = 0; i < m->n_collections; i++)
        sample(e, "assay_documents", (double)m->collections[i].documents, "collection=\"%s\"", m->collections[i].name);
    family(e, "assay_quarantine_entries", "gauge", "Open quarantine entries, by reason.");
    for (size_t i = 0; i < m->n_collections; i++)
        for (int r = 0; r < REASON_COUNT; r++)
            sample(e, "assay_quarantine_entries", (double)m->collections[i].quarantined[r],
                   "collection=\"%s\",reason=\"%s\"", m->collections[i].name, quarantine_reason_names[r]);
    family(e, "assay_quality_index", "gauge", "Quality index Q, from 0 to 1.");
    for (size_t i = 0; i < m->n_collections; i++)
        if (isfinite(m->collections[i].quality))
            sample(e, "assay_quality_index", m->collections[i].quality, "collection=\"%s\"", m->collections[i].name);
    family(e, "assay_usable_ratio", "gauge", "Usable ratio U by chunks, from 0 to 1.");
    for (size_t i = 0; i < m->n_collections; i++)
        if (isfinite(m->collections[i].usable_chunks))
            sample(e, "assay_usable_ratio", m->collections[i].usable_chunks, "collection=\"%s\"",
                   m->collections[i].name);
    family(e, "assay_usable_bytes_ratio", "gauge", "Usable ratio U by bytes, from 0 to 1.");
    for (size_t i = 0; i < m->n_collections; i++)
        if (isfinite(m->collections[i].usable_bytes))
            sample(e, "assay_usable_bytes_ratio", m->collections[i].usable_bytes, "collection=\"%s\"",
                   m->collections[i].name);
    gauge(e, "assay_governance_refreshed_timestamp_seconds",
          "When the figures above were last read from PostgreSQL; 0: never.", (double)m->refreshed_us / 1e6);
    pthread_mutex_unlock(&m->lock);
}

/* ---- the parts of the process ---- */

static void write_parts(struct expo *e, struct server *s)
{
    gauge(e, "assay_follower_lag_seconds", "How long the change log has been ahead of the index; 0: caught up.",
          follower_lag_seconds(s->follower));
    gauge(e, "assay_follower_healthy", "1 while the change log is being followed; searches are degraded at 0.",
          follower_healthy(s->follower));
    int64_t kept = 0, dropped = 0, pending = 0;
    receipts_stats(s->receipts, &kept, &dropped, &pending);
    counter(e, "assay_receipts_stored_total", "Receipts of searches stored.", (double)kept);
    counter(e, "assay_receipts_dropped_total", "Receipts dropped because their queue was full.", (double)dropped);
    gauge(e, "assay_receipts_pending", "Receipts that wait to be stored.", (double)pending);
    gauge(e, "assay_worker_queue_tasks", "Requests that wait for a worker thread.", (double)workers_queued(s->workers));
    struct store_pool_stats pool;
    store_pool_stats(s->store, &pool);
    gauge(e, "assay_postgresql_up", "1 when PostgreSQL answered the last time it was asked.", pool.available);
    family(e, "assay_pool_connections", "gauge", "Connections to PostgreSQL, by state.");
    sample(e, "assay_pool_connections", pool.in_use, "state=\"in_use\"");
    sample(e, "assay_pool_connections", pool.idle, "state=\"idle\"");
    gauge(e, "assay_pool_connections_max", "Connections to PostgreSQL at most.", pool.size);
    gauge(e, "assay_pool_waiting", "Threads that wait for a connection.", pool.waiting);
    counter(e, "assay_pool_conflicts_total", "Transactions retried after a conflict.", (double)pool.conflicts);
    counter(e, "assay_pool_reconnects_total", "Connections made anew.", (double)pool.reconnects);
    counter(e, "assay_pool_failures_total", "Connection attempts and statements that failed for want of PostgreSQL.",
            (double)pool.failures);
}

static void write_process(struct expo *e)
{
    struct metrics_process p = {0};
    family(e, "assay_build_info", "gauge", "What this binary is; always 1.");
    sample(e, "assay_build_info", 1, "version=\"%s\",commit=\"%s\"", version_string(), version_commit());
    if (!metrics_process_read(&p))
        return;
    counter(e, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", p.cpu_seconds);
    gauge(e, "process_resident_memory_bytes", "Resident memory size in bytes.", (double)p.resident_bytes);
    gauge(e, "process_virtual_memory_bytes", "Virtual memory size in bytes.", (double)p.virtual_bytes);
    gauge(e, "process_open_fds", "Number of open file descriptors.", (double)p.open_fds);
    gauge(e, "process_max_fds", "Maximum number of open file descriptors.", (double)p.max_fds);
    gauge(e, "process_threads", "Number of OS threads in the process.", (double)p.threads);
    gauge(e, "process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
          p.start_time_seconds);
}

void metrics_write(struct server *s, bool openmetrics, struct buf *out)
{
    struct expo e = {out, openmetrics};
    write_process(&e);
    write_requests(&e, s->metrics);
    write_searches(&e, s->metrics);
    write_counters(&e, s->metrics);
    write_indexes(&e, s);
    write_governance(&e, s->metrics);
    write_parts(&e, s);
    if (openmetrics)
        buf_puts(out, "# EOF\n");
}
