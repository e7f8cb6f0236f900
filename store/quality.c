#include "store/quality.h"

#include "store/stmts.h"
#include "store/tx.h"

/* One pass over the current chunks of the collection. */
static const struct store_stmt quality_sources = {
    "quality_sources",
    "WITH current AS ("
    " SELECT d.source_id, d.id AS document_id, c.state, c.span_to - c.span_from AS bytes, c.quality, c.validated,"
    "   coalesce(d.deadline > $2, true) AS fresh, v.uri <> '' AND d.modified_given AS traced,"
    "   count(*) OVER (PARTITION BY c.text_hash) = 1 AS sole"
    "  FROM documents d"
    "  JOIN versions v ON v.collection_id = d.collection_id AND v.document_id = d.id AND v.version = d.version"
    "  JOIN chunks c ON c.collection_id = d.collection_id AND c.version = d.version AND c.state <> 3"
    " WHERE d.collection_id = $1 AND d.deleted_at IS NULL)"
    " SELECT s.name, s.active,"
    "  count(*) FILTER (WHERE k.state = 0), count(*) FILTER (WHERE k.state = 1), count(*) FILTER (WHERE k.state = 2),"
    "  coalesce(sum(k.bytes) FILTER (WHERE k.state = 0), 0)::bigint,"
    "  coalesce(sum(k.bytes) FILTER (WHERE k.state = 1), 0)::bigint,"
    "  coalesce(sum(k.bytes) FILTER (WHERE k.state = 2), 0)::bigint,"
    "  count(*) FILTER (WHERE k.state = 1 AND k.fresh AND s.active),"
    "  coalesce(sum(k.bytes) FILTER (WHERE k.state = 1 AND k.fresh AND s.active), 0)::bigint,"
    "  count(*) FILTER (WHERE k.traced), count(*) FILTER (WHERE k.validated), count(*) FILTER (WHERE k.fresh),"
    "  count(*) FILTER (WHERE k.sole), coalesce(sum(k.quality), 0),"
    "  (SELECT count(*) FROM documents d WHERE d.collection_id = $1 AND d.source_id = s.id AND d.deleted_at IS NULL),"
    "  (SELECT coalesce(extract(epoch FROM $2 - min(d.deadline)) * 1000000, 0)::bigint FROM documents d"
    "    WHERE d.collection_id = $1 AND d.source_id = s.id AND d.deleted_at IS NULL AND d.deadline < $2)"
    " FROM sources s LEFT JOIN current k ON k.source_id = s.id"
    " WHERE s.collection_id = $1 GROUP BY s.id, s.name, s.active ORDER BY s.name",
    2};

static void read_source(struct row r, struct quality_source_row *q)
{
    *q = (struct quality_source_row){0};
    q->source = row_str(&r);
    q->source_active = row_bool(&r);
    for (size_t i = 0; i < CHUNK_RETIRED; i++)
        q->chunks[i] = row_int(&r);
    for (size_t i = 0; i < CHUNK_RETIRED; i++)
        q->bytes[i] = row_int(&r);
    q->usable_chunks = row_int(&r);
    q->usable_bytes = row_int(&r);
    q->with_lineage = row_int(&r);
    q->validated = row_int(&r);
    q->fresh = row_int(&r);
    q->unique = row_int(&r);
    q->quality_sum = row_f64(&r);
    q->documents = row_int(&r);
    q->oldest_overdue_us = row_int(&r);
}

enum assay_code store_quality_sources(struct store *s, const struct call *call, int32_t collection, int64_t now_us,
                                      struct quality_source_row **out, size_t *n, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_time(&args, now_us);
    TRY(store_query(s, call, &quality_sources, &args, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct quality_source_row, *n);
    for (int i = 0; i < rows.n; i++)
        read_source(rows_at(&rows, i, call->arena), &(*out)[i]);
    return ASSAY_OK;
}

static const struct store_stmt quarantine_counts = {
    "quarantine_counts",
    "SELECT reason, count(*) FROM quarantine WHERE collection_id = $1 AND state = 0 AND NOT dormant GROUP BY reason",
    1};

enum assay_code store_quarantine_counts(struct store *s, const struct call *call, int32_t collection,
                                        int64_t counts[REASON_COUNT], struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    TRY(store_query(s, call, &quarantine_counts, &args, &rows, err));
    for (size_t i = 0; i < REASON_COUNT; i++)
        counts[i] = 0;
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, call->arena);
        int64_t reason = row_int(&r);
        counts[reason] = row_int(&r);
    }
    return ASSAY_OK;
}

const struct store_stmt *const store_quality_stmts[] = {&quality_sources, &quarantine_counts, NULL};
