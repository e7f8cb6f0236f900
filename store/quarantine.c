/* Listing and opening quarantine entries. */
#include "store/quarantine.h"

#include "base/clock.h"
#include "store/entry_rows.h"
#include "store/holds.h"
#include "store/map.h"
#include "store/stmts.h"

const char *const quarantine_reason_names[REASON_COUNT + 1] = {
    "stale",  "unvalidated",    "failed_check", "low_quality", "duplicate", "superseded", "contradiction",
    "unsafe", "source_blocked", "ineffective",  "manual",      "upstream",  NULL};
const char *const quarantine_state_names[ENTRY_STATE_COUNT + 1] = {"open", "released", "retired", NULL};

#define ENTRY_COLUMNS                                                                                                  \
    "q.collection_id, q.id::text, q.seq, q.chunk_id IS NOT NULL, c.chunk, d.key, s.name, q.reason, q.state, q.note,"   \
    " q.evidence, left(c.text, 200), q.opened_at, q.closed_at, q.opened_by, q.closed_by, q.close_note,"                \
    " CASE WHEN q.chunk_id IS NOT NULL THEN 1 ELSE (SELECT count(*) FROM documents hd"                                 \
    "   JOIN chunks hc ON hc.collection_id = hd.collection_id AND hc.version = hd.version AND hc.state <> 3"           \
    "   WHERE hd.collection_id = q.collection_id AND hd.source_id = q.source_id AND hd.deleted_at IS NULL) END,"       \
    " d.acl IS NOT NULL, d.acl"
#define ENTRY_JOINS                                                                                                    \
    " JOIN sources s ON s.collection_id = q.collection_id AND s.id = q.source_id"                                      \
    " LEFT JOIN chunks c ON c.collection_id = q.collection_id AND c.id = q.chunk_id"                                   \
    " LEFT JOIN documents d ON d.collection_id = q.collection_id AND d.id = q.document_id"

enum { EXCERPT_BYTES = 200 };

static int32_t read_entry(struct row r, struct quarantine_row *out)
{
    *out = (struct quarantine_row){0};
    int32_t collection = (int32_t)row_int(&r);
    out->id = row_str(&r);
    out->seq = row_int(&r);
    out->has_chunk = row_bool(&r);
    out->target = out->has_chunk ? "chunk" : "source";
    out->chunk = row_digest(&r);
    out->document = row_str(&r);
    out->source = row_str(&r);
    out->reason = (enum quarantine_reason)row_int(&r);
    out->state = (enum quarantine_state)row_int(&r);
    out->note = row_str(&r);
    out->evidence_json = row_str(&r);
    out->excerpt = row_str(&r);
    if (out->excerpt.len > EXCERPT_BYTES)
        out->excerpt.len = str_utf8_cut((struct str){out->excerpt.ptr, EXCERPT_BYTES});
    out->opened_at_us = row_time(&r);
    out->closed_at_us = row_time(&r);
    out->opened_by = row_str(&r);
    out->closed_by = row_str(&r);
    out->close_note = row_str(&r);
    out->chunks = row_int(&r);
    out->has_acl = row_bool(&r);
    out->acl = row_texts(&r);
    return collection;
}

/* Planned for the values at hand (store/conn.c): what is NULL here costs nothing and hides no index. */
static const struct store_stmt entries_list = {
    "entries_list",
    "SELECT " ENTRY_COLUMNS " FROM quarantine q" ENTRY_JOINS " WHERE q.collection_id = $1 AND q.seq < $2"
    " AND ($3::smallint IS NULL OR q.reason = $3)"
    " AND ($4::smallint IS NULL OR (q.state = $4 AND ($4 <> 0 OR NOT q.dormant)))"
    " AND ($5::text IS NULL OR q.source_id = (SELECT f.id FROM sources f WHERE f.collection_id = $1 AND f.name = $5))"
    " AND ($6::text IS NULL OR q.document_id = (SELECT f.id FROM documents f WHERE f.collection_id = $1 AND f.key = "
    "$6))"
    " AND ($7::bytea IS NULL OR q.chunk_id = (SELECT f.id FROM chunks f WHERE f.collection_id = $1 AND f.chunk = $7))"
    " ORDER BY q.seq DESC LIMIT $8",
    8};

enum assay_code store_quarantine_list(struct store *s, const struct call *call, const struct quarantine_query *q,
                                      struct quarantine_row **out, size_t *n, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, q->collection);
    wire_i64(&args, q->before);
    q->reason >= 0 ? wire_i16(&args, q->reason) : wire_null(&args);
    q->state >= 0 ? wire_i16(&args, q->state) : wire_null(&args);
    q->source.len ? wire_str(&args, q->source) : wire_null(&args);
    q->document.len ? wire_str(&args, q->document) : wire_null(&args);
    q->has_chunk ? wire_digest(&args, &q->chunk) : wire_null(&args);
    wire_i64(&args, (int64_t)q->limit);
    TRY(store_query(s, call, &entries_list, &args, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct quarantine_row, *n);
    for (int i = 0; i < rows.n; i++)
        (void)read_entry(rows_at(&rows, i, call->arena), &(*out)[i]);
    return ASSAY_OK;
}

/* An id says nothing of its collection: one probe of the unique index for each collection. */
static const struct store_stmt entry_get = {
    "entry_get",
    "SELECT " ENTRY_COLUMNS
    " FROM collections k JOIN quarantine q ON q.collection_id = k.id AND q.id = $1::uuid" ENTRY_JOINS,
    1};

enum assay_code entry_read(struct tx *tx, struct str id, int32_t *collection, struct quarantine_row *out,
                           struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_uuid(&args, id);
    TRY(tx_exec(tx, &entry_get, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-entry", "There is no such quarantine entry.");
    *collection = read_entry(rows_at(&rows, 0, tx_arena(tx)), out);
    return ASSAY_OK;
}

struct get_work {
    struct str id;
    int32_t *collection;
    struct quarantine_row *out;
};

static enum assay_code get_body(struct tx *tx, void *ctx, struct err *err)
{
    struct get_work *w = ctx;
    return entry_read(tx, w->id, w->collection, w->out, err);
}

enum assay_code store_quarantine_get(struct store *s, const struct call *call, struct str id, int32_t *collection,
                                     struct quarantine_row *out, struct err *err)
{
    struct get_work w = {id, collection, out};
    return store_with(s, call, "quarantine.get", get_body, &w, err);
}

/* ---- adding ---- */
static const struct store_stmt add_chunks = {
    "add_chunks", "SELECT id, chunk, state FROM chunks WHERE collection_id = $1 AND chunk = ANY ($2::bytea[])", 2};
static const struct store_stmt add_document = {
    "add_document",
    "SELECT c.id, c.chunk, c.state FROM documents d"
    " LEFT JOIN chunks c ON c.collection_id = d.collection_id AND c.version = d.version AND c.state <> 3"
    " WHERE d.collection_id = $1 AND d.key = $2 AND d.deleted_at IS NULL",
    2};
static const struct store_stmt add_source = {
    "add_source",
    "SELECT c.id, c.chunk, c.state FROM sources s"
    " LEFT JOIN documents d ON d.collection_id = s.collection_id AND d.source_id = s.id AND d.deleted_at IS NULL"
    " LEFT JOIN chunks c ON c.collection_id = d.collection_id AND c.version = d.version AND c.state <> 3"
    " WHERE s.collection_id = $1 AND s.name = $2",
    2};

struct add_work {
    const struct quarantine_add *in;
    size_t *held, *n_sample;
    struct quarantine_row **sample;
    struct store_commit *commit;
};

static enum assay_code every_chunk_known(const struct quarantine_add *in, const struct rows *rows, struct arena *a,
                                         struct err *err)
{
    struct map known;
    map_init(&known, a, (size_t)rows->n);
    for (int i = 0; i < rows->n; i++) {
        struct row r = rows_at(rows, i, a);
        r.col = 1;
        map_put(&known, row_str(&r), 1);
    }
    for (size_t i = 0; i < in->n_chunks; i++) {
        char hex[DIGEST_HEX + 1];
        if (map_get(&known, digest_key(&in->chunks[i])))
            continue;
        digest_hex(&in->chunks[i], hex);
        return err_set(err, ASSAY_UNPROCESSABLE, "unknown-chunk", "There is no chunk %s in the collection.", hex);
    }
    return ASSAY_OK;
}

/* The chunks that are meant; unknown ones are an error before anything is done. */
static enum assay_code find_targets(struct tx *tx, const struct quarantine_add *in, struct ids *out, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, in->collection);
    if (in->n_chunks) {
        size_t mark = wire_array(&args, PG_BYTEA, in->n_chunks);
        for (size_t i = 0; i < in->n_chunks; i++)
            wire_digest(&args, &in->chunks[i]);
        wire_array_end(&args, mark);
        TRY(tx_exec(tx, &add_chunks, &args, &rows, err));
        TRY(every_chunk_known(in, &rows, tx_arena(tx), err));
    } else if (in->document.len) {
        wire_str(&args, in->document);
        TRY(tx_exec(tx, &add_document, &args, &rows, err));
        if (rows.n == 0)
            return err_set(err, ASSAY_UNPROCESSABLE, "unknown-document",
                           "There is no such document in the collection.");
    } else {
        wire_str(&args, in->source);
        TRY(tx_exec(tx, &add_source, &args, &rows, err));
        if (rows.n == 0)
            return err_set(err, ASSAY_UNPROCESSABLE, "unknown-source", "There is no such source in the collection.");
    }
    *out = rows_ids(&rows, 0, tx_arena(tx)); /* an outer join without chunks gives number 0, which no chunk has */
    return ASSAY_OK;
}

static const struct store_stmt entries_by_seq = {
    "entries_by_seq",
    "SELECT " ENTRY_COLUMNS " FROM quarantine q" ENTRY_JOINS
    " WHERE q.collection_id = $1 AND q.seq = ANY ($2::bigint[]) ORDER BY q.seq",
    2};

static enum assay_code read_sample(struct writer *w, const struct add_work *a, struct ids seqs, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    if (seqs.n > a->in->sample_max)
        seqs.n = a->in->sample_max;
    wire_i32(&args, w->collection);
    wire_ids(&args, &seqs);
    TRY(tx_exec(w->tx, &entries_by_seq, &args, &rows, err));
    *a->n_sample = (size_t)rows.n;
    *a->sample = ARENA_ARRAY(tx_arena(w->tx), struct quarantine_row, (size_t)rows.n);
    for (int i = 0; i < rows.n; i++)
        (void)read_entry(rows_at(&rows, i, tx_arena(w->tx)), &(*a->sample)[i]);
    return ASSAY_OK;
}

static enum assay_code add_body(struct tx *tx, void *ctx, struct err *err)
{
    struct add_work *a = ctx;
    struct writer w;
    struct ids targets, seqs;
    *a->held = *a->n_sample = 0;
    *a->sample = NULL;
    TRY(writer_begin(tx, a->in->collection, &w, err));
    TRY(find_targets(tx, a->in, &targets, err));
    struct hold hold = {.reason = a->in->reason, .note = a->in->note};
    hold.scope = a->in->n_chunks ? SCOPE_OF_CHUNK : a->in->document.len ? SCOPE_OF_DOCUMENT : SCOPE_OF_SOURCE;
    TRY(holds_open(&w, &targets, &hold, &seqs, err));
    *a->held = seqs.n;
    TRY(read_sample(&w, a, seqs, err));
    if (seqs.n) {
        struct str detail = str_of(arena_printf(tx_arena(tx), "{\"reason\":\"%s\",\"entries\":%zu}",
                                                quarantine_reason_names[a->in->reason], seqs.n));
        struct str target = a->in->document.len ? a->in->document : a->in->source;
        TRY(tx_audit(tx, w.collection, w.now_us, "quarantine.add", target, detail, err));
    }
    return writer_commit(&w, "quarantine.add", a->commit, err);
}

enum assay_code store_quarantine_add(struct store *s, const struct call *call, const struct quarantine_add *in,
                                     size_t *held, struct quarantine_row **sample, size_t *n_sample,
                                     struct store_commit *commit, struct err *err)
{
    struct add_work w = {in, held, n_sample, sample, commit};
    return store_transact(s, call, "quarantine.add", add_body, &w, err);
}

const struct store_stmt *const store_quarantine_stmts[] = {&entries_list, &entry_get,      &add_chunks, &add_document,
                                                           &add_source,   &entries_by_seq, NULL};
