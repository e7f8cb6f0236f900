#include "store/holds.h"

#include "base/clock.h"
#include "store/stmts.h"

void wire_ids(struct buf *b, const struct ids *ids)
{
    size_t mark = wire_array(b, PG_INT8, ids->n);
    for (size_t i = 0; i < ids->n; i++)
        wire_i64(b, ids->v[i]);
    wire_array_end(b, mark);
}

struct ids rows_ids(const struct rows *rows, int col, struct arena *a)
{
    struct ids out = {.v = ARENA_ARRAY(a, int64_t, (size_t)rows->n), .n = (size_t)rows->n};
    for (int i = 0; i < rows->n; i++) {
        struct row r = rows_at(rows, i, a);
        r.col = col;
        out.v[i] = row_int(&r);
    }
    return out;
}

/* Notes a state change for each row (chunk number, chunk id). */
static void note_states(struct writer *w, const struct rows *rows, enum chunk_state state)
{
    for (int i = 0; i < rows->n; i++) {
        struct row r = rows_at(rows, i, tx_arena(w->tx));
        int64_t id = row_int(&r);
        struct digest chunk = row_digest(&r);
        writer_note_state(w, id, &chunk, state);
    }
}

static const struct store_stmt hold_open = {
    "hold_open",
    "INSERT INTO quarantine (collection_id, seq, id, scope, chunk_id, document_id, source_id, reason, note, evidence,"
    " opened_at, opened_by)"
    " SELECT c.collection_id, $2::bigint + row_number() OVER (ORDER BY c.id), gen_random_uuid(), $4::smallint, c.id,"
    "        c.document_id, d.source_id, $5::smallint, $6::text,"
    "        CASE WHEN $5::smallint = 0 THEN json_build_object('modified_at', rfc3339(d.modified_at),"
    "                                                          'deadline', rfc3339(d.deadline))"
    "             ELSE $7::json END,"
    "        $8::timestamptz, $9::text"
    "   FROM chunks c JOIN documents d ON d.collection_id = c.collection_id AND d.id = c.document_id"
    "  WHERE c.collection_id = $1 AND c.id = ANY ($3::bigint[]) AND c.state <> 3"
    " ON CONFLICT (collection_id, chunk_id, reason) WHERE state = 0 DO NOTHING"
    " RETURNING seq, chunk_id",
    9};
static const struct store_stmt hold_mark = {"hold_mark",
                                            "UPDATE chunks SET state = 2 WHERE collection_id = $1 AND id = ANY "
                                            "($2::bigint[]) AND state = 1 RETURNING id, chunk",
                                            2};

enum assay_code holds_open(struct writer *w, const struct ids *chunks, const struct hold *hold, struct ids *seqs,
                           struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    *seqs = (struct ids){0};
    if (chunks->n == 0)
        return ASSAY_OK;
    wire_i32(&args, w->collection);
    wire_i64(&args, w->last_entry);
    wire_ids(&args, chunks);
    wire_i16(&args, (int)hold->scope);
    wire_i16(&args, (int)hold->reason);
    wire_str(&args, hold->note);
    wire_str(&args, hold->evidence_json.len ? hold->evidence_json : STR_LIT("{}"));
    wire_time(&args, w->now_us);
    wire_cstr(&args, tx_call(w->tx)->actor);
    TRY(tx_exec(w->tx, &hold_open, &args, &rows, err));
    if (rows.n == 0)
        return ASSAY_OK;
    w->last_entry += (int64_t)chunks->n; /* numbers of entries that were there already stay unused */
    w->counters_moved = true;
    *seqs = rows_ids(&rows, 0, tx_arena(w->tx));
    struct ids held = rows_ids(&rows, 1, tx_arena(w->tx));
    wire_i32(&args, w->collection);
    wire_ids(&args, &held);
    TRY(tx_exec(w->tx, &hold_mark, &args, &rows, err));
    note_states(w, &rows, CHUNK_QUARANTINED);
    return ASSAY_OK;
}

static const struct store_stmt hold_settle = {
    "hold_settle",
    "UPDATE chunks c SET state = 1 WHERE c.collection_id = $1 AND c.id = ANY ($2::bigint[]) AND c.state = 2"
    " AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.collection_id = $1 AND q.chunk_id = c.id AND q.state = 0)"
    " RETURNING c.id, c.chunk",
    2};

static enum assay_code settle(struct writer *w, const struct ids *chunks, size_t *settled, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, w->collection);
    wire_ids(&args, chunks);
    TRY(tx_exec(w->tx, &hold_settle, &args, &rows, err));
    note_states(w, &rows, CHUNK_ACTIVE);
    *settled = (size_t)rows.n;
    return ASSAY_OK;
}

enum assay_code holds_settle(struct writer *w, const struct ids *chunks, struct err *err)
{
    size_t settled = 0;
    if (chunks->n == 0)
        return ASSAY_OK;
    TRY(settle(w, chunks, &settled, err));
    return settled < chunks->n ? holds_promote(w, chunks, err) : ASSAY_OK;
}

static const struct store_stmt hold_promote = {
    "hold_promote",
    "WITH held AS ("
    " SELECT DISTINCT ON (c.text_hash) c.id FROM chunks c"
    "  WHERE c.collection_id = $1 AND c.state = 2"
    "    AND c.text_hash IN (SELECT t.text_hash FROM chunks t WHERE t.collection_id = $1 AND t.id = ANY ($2::bigint[]))"
    "    AND NOT EXISTS (SELECT 1 FROM chunks a WHERE a.collection_id = $1 AND a.text_hash = c.text_hash AND a.state = "
    "1)"
    "    AND EXISTS (SELECT 1 FROM quarantine q WHERE q.collection_id = $1 AND q.chunk_id = c.id AND q.state = 0"
    "                AND q.reason = 4)"
    "    AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.collection_id = $1 AND q.chunk_id = c.id AND q.state = 0"
    "                    AND q.reason <> 4)"
    "  ORDER BY c.text_hash, c.id)"
    " UPDATE quarantine q SET state = 1, closed_at = $3, closed_by = 'system:duplicates',"
    "        close_note = 'No active chunk has this text any more.'"
    "   FROM held WHERE q.collection_id = $1 AND q.chunk_id = held.id AND q.reason = 4 AND q.state = 0"
    " RETURNING q.chunk_id",
    3};

enum assay_code holds_promote(struct writer *w, const struct ids *left, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    size_t settled;
    if (left->n == 0)
        return ASSAY_OK;
    wire_i32(&args, w->collection);
    wire_ids(&args, left);
    wire_time(&args, w->now_us);
    TRY(tx_exec(w->tx, &hold_promote, &args, &rows, err));
    if (rows.n == 0)
        return ASSAY_OK;
    struct ids released = rows_ids(&rows, 0, tx_arena(w->tx));
    return settle(w, &released, &settled, err);
}

static const struct store_stmt hold_retire = {
    "hold_retire",
    "UPDATE chunks SET state = 3 WHERE collection_id = $1 AND version = ANY ($2::bytea[]) AND state <> 3"
    " RETURNING id, chunk",
    2};
static const struct store_stmt hold_sleep = {
    "hold_sleep",
    "UPDATE quarantine SET dormant = true"
    " WHERE collection_id = $1 AND chunk_id = ANY ($2::bigint[]) AND state = 0 AND NOT dormant",
    2};
static const struct store_stmt version_retire = {
    "version_retire", "UPDATE versions SET retired_at = $3 WHERE collection_id = $1 AND version = ANY ($2::bytea[])",
    3};

static void wire_digests(struct buf *b, const struct digest *v, size_t n)
{
    size_t mark = wire_array(b, PG_BYTEA, n);
    for (size_t i = 0; i < n; i++)
        wire_digest(b, &v[i]);
    wire_array_end(b, mark);
}

enum assay_code holds_retire_versions(struct writer *w, const struct digest *versions, size_t n, struct ids *retired,
                                      struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    *retired = (struct ids){0};
    if (n == 0)
        return ASSAY_OK;
    wire_i32(&args, w->collection);
    wire_digests(&args, versions, n);
    TRY(tx_exec(w->tx, &hold_retire, &args, &rows, err));
    note_states(w, &rows, CHUNK_RETIRED);
    *retired = rows_ids(&rows, 0, tx_arena(w->tx));
    wire_i32(&args, w->collection);
    wire_ids(&args, retired);
    TRY(tx_exec(w->tx, &hold_sleep, &args, NULL, err));
    wire_i32(&args, w->collection);
    wire_digests(&args, versions, n);
    wire_time(&args, w->now_us);
    return tx_exec(w->tx, &version_retire, &args, NULL, err);
}

static const struct store_stmt hold_fresh = {
    "hold_fresh",
    "UPDATE quarantine q SET state = 1, closed_at = $2, closed_by = 'system:freshness', close_note = 'Fresh again.'"
    "  FROM documents d"
    " WHERE q.collection_id = $1 AND d.collection_id = $1 AND d.id = q.document_id AND q.reason = 0 AND q.state = 0"
    "   AND (d.deadline IS NULL OR d.deadline > $2)"
    "   AND ($3::integer IS NULL OR d.source_id = $3) AND ($4::bigint[] IS NULL OR d.id = ANY ($4))"
    " RETURNING q.chunk_id",
    4};

enum assay_code holds_fresh(struct writer *w, int32_t source, const struct ids *documents, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    if (!source && documents->n == 0)
        return ASSAY_OK;
    wire_i32(&args, w->collection);
    wire_time(&args, w->now_us);
    source ? wire_i32(&args, source) : wire_null(&args);
    source ? wire_null(&args) : wire_ids(&args, documents);
    TRY(tx_exec(w->tx, &hold_fresh, &args, &rows, err));
    struct ids chunks = rows_ids(&rows, 0, tx_arena(w->tx));
    return holds_settle(w, &chunks, err);
}

static const struct store_stmt stale_chunks = {
    "stale_chunks",
    "SELECT c.id FROM documents d JOIN chunks c ON c.collection_id = d.collection_id AND c.version = d.version"
    " WHERE d.collection_id = $1 AND d.id = ANY ($2::bigint[]) AND d.deadline <= $3 AND c.state <> 3",
    3};
static const struct store_stmt stale_mark = {
    "stale_mark",
    "UPDATE documents SET stale_recorded = true"
    " WHERE collection_id = $1 AND id = ANY ($2::bigint[]) AND deadline <= $3 AND NOT stale_recorded",
    3};

enum assay_code holds_stale(struct writer *w, const struct ids *documents, size_t *held, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    *held = 0;
    if (documents->n == 0)
        return ASSAY_OK;
    wire_i32(&args, w->collection);
    wire_ids(&args, documents);
    wire_time(&args, w->now_us);
    TRY(tx_exec(w->tx, &stale_chunks, &args, &rows, err));
    struct ids chunks = rows_ids(&rows, 0, tx_arena(w->tx)), seqs;
    struct hold hold = {.reason = REASON_STALE};
    TRY(holds_open(w, &chunks, &hold, &seqs, err));
    *held = seqs.n;
    wire_i32(&args, w->collection);
    wire_ids(&args, documents);
    wire_time(&args, w->now_us);
    return tx_exec(w->tx, &stale_mark, &args, NULL, err);
}

const struct store_stmt *const store_holds_stmts[] = {
    &hold_open,      &hold_mark,  &hold_settle,  &hold_promote, &hold_retire, &hold_sleep,
    &version_retire, &hold_fresh, &stale_chunks, &stale_mark,   NULL};
