/* A steward's decisions on entries: release and retire. */
#include "base/clock.h"
#include "store/entry_rows.h"
#include "store/holds.h"
#include "store/stmts.h"

struct decide_work {
    struct str id, note;
    struct quarantine_row *out;
    struct store_commit *commit;
};

static const struct store_stmt entry_numbers = {
    "entry_numbers",
    "SELECT q.chunk_id, coalesce(d.deadline <= $3, false) FROM quarantine q"
    " LEFT JOIN documents d ON d.collection_id = q.collection_id AND d.id = q.document_id"
    " WHERE q.collection_id = $1 AND q.seq = $2",
    3};

/* Begins the writer of the entry's collection and reads the entry under its lock. *overdue: its document is past its
 * deadline. */
static enum assay_code begin(struct tx *tx, struct decide_work *d, struct writer *w, int64_t *chunk, bool *overdue,
                             struct err *err)
{
    int32_t collection;
    struct buf args = {0};
    struct rows rows = {0};
    TRY(entry_read(tx, d->id, &collection, d->out, err));
    TRY(writer_begin(tx, collection, w, err));
    TRY(entry_read(tx, d->id, &collection, d->out, err)); /* as it is now that the lock is held */
    if (d->out->state != ENTRY_OPEN)
        return err_set(err, ASSAY_CONFLICT, "entry-closed", "The entry has been %s already.",
                       quarantine_state_names[d->out->state]);
    if (!d->out->has_chunk)
        return err_set(err, ASSAY_CONFLICT, "source-blocked", "The source is blocked; unblock it instead.");
    wire_i32(&args, collection);
    wire_i64(&args, d->out->seq);
    wire_time(&args, w->now_us);
    TRY(tx_exec(tx, &entry_numbers, &args, &rows, err));
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    *chunk = row_int(&r);
    *overdue = row_bool(&r);
    return ASSAY_OK;
}

static enum assay_code finish(struct tx *tx, struct decide_work *d, struct writer *w, const char *action,
                              struct err *err)
{
    int32_t collection;
    TRY(entry_read(tx, d->id, &collection, d->out, err));
    struct str detail =
        str_of(arena_printf(tx_arena(tx), "{\"reason\":\"%s\"}", quarantine_reason_names[d->out->reason]));
    TRY(tx_audit(tx, collection, w->now_us, action, d->id, detail, err));
    return writer_commit(w, action, d->commit, err);
}

static const struct store_stmt entry_release = {
    "entry_release",
    "UPDATE quarantine SET state = 1, dormant = false, closed_at = $3, closed_by = $4, close_note = $5"
    " WHERE collection_id = $1 AND seq = $2 AND state = 0",
    5};

static enum assay_code release_body(struct tx *tx, void *ctx, struct err *err)
{
    struct decide_work *d = ctx;
    struct writer w;
    int64_t chunk = 0;
    bool overdue = false;
    TRY(begin(tx, d, &w, &chunk, &overdue, err));
    enum quarantine_reason reason = d->out->reason;
    if (reason == REASON_STALE && overdue)
        return err_set(err, ASSAY_CONFLICT, "still-stale",
                       "The document is still past its deadline; ingest it anew or change the source's max_age.");
    if ((reason == REASON_FAILED_CHECK || reason == REASON_DUPLICATE) && d->note.len == 0)
        return err_set(err, ASSAY_UNPROCESSABLE, "note-required", "Say in a note why this may be served all the same.");
    struct buf args = {0};
    wire_i32(&args, w.collection);
    wire_i64(&args, d->out->seq);
    wire_time(&args, w.now_us);
    wire_cstr(&args, tx_call(tx)->actor);
    wire_str(&args, d->note);
    TRY(tx_exec(tx, &entry_release, &args, NULL, err));
    struct ids ids = {&chunk, 1};
    TRY(holds_settle(&w, &ids, err));
    return finish(tx, d, &w, "quarantine.release", err);
}

enum assay_code store_quarantine_release(struct store *s, const struct call *call, struct str id, struct str note,
                                         struct quarantine_row *out, struct store_commit *commit, struct err *err)
{
    struct decide_work w = {id, note, out, commit};
    return store_transact(s, call, "quarantine.release", release_body, &w, err);
}

static const struct store_stmt chunk_retire = {"chunk_retire",
                                               "UPDATE chunks c SET state = 3, retired_by_steward = true FROM"
                                               " (SELECT id, state FROM chunks WHERE collection_id = $1 AND id = $2) o"
                                               " WHERE c.collection_id = $1 AND c.id = o.id RETURNING c.chunk, o.state",
                                               2};
static const struct store_stmt entries_retire = {
    "entries_retire",
    "UPDATE quarantine SET state = 2, dormant = false, closed_at = $3, closed_by = $4, close_note = $5"
    " WHERE collection_id = $1 AND chunk_id = $2 AND state = 0",
    5};

static enum assay_code retire_body(struct tx *tx, void *ctx, struct err *err)
{
    struct decide_work *d = ctx;
    struct writer w;
    struct rows rows = {0};
    int64_t chunk = 0;
    bool overdue = false;
    TRY(begin(tx, d, &w, &chunk, &overdue, err));
    struct buf args = {0};
    wire_i32(&args, w.collection);
    wire_i64(&args, chunk);
    TRY(tx_exec(tx, &chunk_retire, &args, &rows, err));
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    struct digest id = row_digest(&r);
    if (row_int(&r) != CHUNK_RETIRED)
        writer_note_state(&w, chunk, &id, CHUNK_RETIRED);
    wire_i32(&args, w.collection);
    wire_i64(&args, chunk);
    wire_time(&args, w.now_us);
    wire_cstr(&args, tx_call(tx)->actor);
    wire_str(&args, d->note);
    TRY(tx_exec(tx, &entries_retire, &args, NULL, err));
    /* A copy of what went for its age or its redundancy may take its place. A copy of what a steward judged by its
     * content may not: its own entry stays for the steward to decide. */
    enum quarantine_reason reason = d->out->reason;
    struct ids ids = {&chunk, 1};
    if (reason == REASON_STALE || reason == REASON_DUPLICATE || reason == REASON_SUPERSEDED)
        TRY(holds_promote(&w, &ids, err));
    return finish(tx, d, &w, "quarantine.retire", err);
}

enum assay_code store_quarantine_retire(struct store *s, const struct call *call, struct str id, struct str note,
                                        struct quarantine_row *out, struct store_commit *commit, struct err *err)
{
    struct decide_work w = {id, note, out, commit};
    return store_transact(s, call, "quarantine.retire", retire_body, &w, err);
}

const struct store_stmt *const store_quarantine_decide_stmts[] = {&entry_numbers, &entry_release, &chunk_retire,
                                                                  &entries_retire, NULL};
