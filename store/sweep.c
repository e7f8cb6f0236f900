/* Recording staleness: the index stops serving at the deadline by itself, the sweep writes it down. */
#include "base/clock.h"
#include "store/holds.h"
#include "store/quarantine.h"
#include "store/stmts.h"

static const struct store_stmt sweep_due = {
    "sweep_due",
    "SELECT id FROM documents WHERE collection_id = $1 AND deadline IS NOT NULL AND NOT stale_recorded"
    " AND deleted_at IS NULL AND deadline <= $2 ORDER BY deadline LIMIT $3",
    3};
static const struct store_stmt sweep_count = {
    "sweep_count",
    "SELECT count(*) FROM documents d"
    " JOIN chunks c ON c.collection_id = d.collection_id AND c.version = d.version AND c.state <> 3"
    " WHERE d.collection_id = $1 AND d.id = ANY ($2::bigint[]) AND NOT EXISTS (SELECT 1 FROM quarantine q"
    "   WHERE q.collection_id = $1 AND q.chunk_id = c.id AND q.reason = 0 AND q.state = 0)",
    2};

struct sweep_work {
    int32_t collection;
    int64_t now_us;
    size_t limit;
    bool dry_run;
    size_t *documents, *chunks;
    bool *more;
    struct store_commit *commit;
};

static enum assay_code find_due(struct tx *tx, const struct sweep_work *s, struct ids *due, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, s->collection);
    wire_time(&args, s->now_us);
    wire_i64(&args, (int64_t)s->limit + 1);
    TRY(tx_exec(tx, &sweep_due, &args, &rows, err));
    *due = rows_ids(&rows, 0, tx_arena(tx));
    *s->more = due->n > s->limit;
    if (*s->more)
        due->n = s->limit;
    *s->documents = due->n;
    return ASSAY_OK;
}

static enum assay_code dry_run(struct tx *tx, const struct sweep_work *s, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    struct ids due;
    TRY(find_due(tx, s, &due, err));
    wire_i32(&args, s->collection);
    wire_ids(&args, &due);
    TRY(tx_exec(tx, &sweep_count, &args, &rows, err));
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    *s->chunks = (size_t)row_int(&r);
    return ASSAY_OK;
}

static enum assay_code sweep_body(struct tx *tx, void *ctx, struct err *err)
{
    struct sweep_work *s = ctx;
    struct writer w;
    struct ids due;
    *s->commit = (struct store_commit){0};
    *s->documents = *s->chunks = 0;
    if (s->dry_run)
        return dry_run(tx, s, err);
    TRY(writer_begin(tx, s->collection, &w, err));
    w.now_us = s->now_us;
    TRY(find_due(tx, s, &due, err));
    TRY(holds_stale(&w, &due, s->chunks, err));
    if (*s->chunks) {
        struct str detail = str_of(arena_printf(tx_arena(tx), "{\"documents\":%zu,\"chunks\":%zu}", due.n, *s->chunks));
        TRY(tx_audit(tx, s->collection, s->now_us, "quarantine.sweep", (struct str){0}, detail, err));
    }
    return writer_commit(&w, "quarantine.sweep", s->commit, err);
}

enum assay_code store_quarantine_sweep(struct store *s, const struct call *call, int32_t collection, int64_t now_us,
                                       size_t limit, bool dry, size_t *documents, size_t *chunks, bool *more,
                                       struct store_commit *commit, struct err *err)
{
    struct sweep_work w = {collection, now_us, limit, dry, documents, chunks, more, commit};
    return store_transact(s, call, "quarantine.sweep", sweep_body, &w, err);
}

static const struct store_stmt next_deadline = {
    "next_deadline",
    "SELECT min(deadline) FROM documents WHERE collection_id = $1 AND deadline IS NOT NULL AND NOT stale_recorded"
    " AND deleted_at IS NULL",
    1};

enum assay_code store_next_deadline(struct store *s, const struct call *call, int32_t collection, int64_t *out_us,
                                    struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    TRY(store_query(s, call, &next_deadline, &args, &rows, err));
    struct row r = rows_at(&rows, 0, call->arena);
    *out_us = row_time(&r);
    return ASSAY_OK;
}

const struct store_stmt *const store_sweep_stmts[] = {&sweep_due, &sweep_count, &next_deadline, NULL};
