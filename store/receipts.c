#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/lineage.h"
#include "store/stmts.h"
#include "store/tx.h"

static const char *const state_names[] = {"pending", "active", "quarantined", "retired"};

static const struct store_stmt receipts_copy = {
    "receipts_copy",
    "COPY receipts (collection_id, id, at, query_hash, commit, policy, embedder, seq, key_id, mode, k, exact, degraded,"
    " took_us, chunks, scores) FROM STDIN (FORMAT binary)",
    0};

/* They come after their answers anyway: writes that somebody waits for need not share the disk with them. */
static const struct store_stmt receipts_relax = {"receipts_relax",
                                                 "SELECT set_config('synchronous_commit', 'off', true)", 0};

struct put_work {
    const struct receipt_put *receipts;
    size_t n;
};

static void wire_hits(struct buf *b, const struct receipt_put *p)
{
    size_t n = p->n_hits < RECEIPT_HITS_MAX ? p->n_hits : RECEIPT_HITS_MAX;
    size_t mark = wire_array(b, PG_BYTEA, n);
    for (size_t i = 0; i < n; i++)
        wire_digest(b, &p->hits[i].chunk);
    wire_array_end(b, mark);
    mark = wire_array(b, PG_FLOAT8, n);
    for (size_t i = 0; i < n; i++)
        wire_f64(b, p->hits[i].score);
    wire_array_end(b, mark);
}

static void wire_receipt(struct buf *b, const struct receipt_put *p)
{
    wire_row(b, 16);
    wire_i32(b, p->collection);
    wire_uuid(b, str_of(p->id));
    wire_time(b, p->at_us);
    wire_digest(b, &p->query_hash);
    wire_digest(b, &p->commit);
    wire_digest(b, &p->policy);
    wire_digest(b, &p->embedder);
    wire_i64(b, p->seq);
    wire_cstr(b, p->key_id);
    wire_i16(b, p->mode);
    wire_i32(b, p->k);
    wire_bool(b, p->exact);
    wire_bool(b, p->degraded);
    wire_i64(b, p->took_us);
    wire_hits(b, p);
}

static enum assay_code put_body(struct tx *tx, void *ctx, struct err *err)
{
    const struct put_work *w = ctx;
    struct buf rows = {0};
    struct rows none = {0};
    TRY(tx_exec(tx, &receipts_relax, NULL, &none, err));
    for (size_t i = 0; i < w->n; i++)
        wire_receipt(&rows, &w->receipts[i]);
    return tx_copy(tx, &receipts_copy, &rows, err);
}

enum assay_code store_receipts_put(struct store *s, const struct call *call, const struct receipt_put *receipts,
                                   size_t n, struct err *err)
{
    struct put_work w = {receipts, n};
    return n ? store_transact(s, call, "receipts.put", put_body, &w, err) : ASSAY_OK;
}

static const struct store_stmt receipt_get = {
    "receipt_get",
    "SELECT c.name, r.id::text, r.collection_id, r.at, r.query_hash, r.commit, r.policy, r.embedder, r.seq, r.key_id,"
    " r.mode, r.k, r.exact, r.degraded, r.took_us"
    " FROM collections c JOIN receipts r ON r.collection_id = c.id AND r.id = $1::uuid",
    1};
static const struct store_stmt receipt_trace = {
    "receipt_trace",
    "SELECT h.chunk, c.version, c.pipeline, h.score, d.key, v.uri, v.title, s.name, s.owner, s.licence, c.run::text,"
    " v.media_type, c.span_from, c.span_to, d.modified_at, v.ingested_at, v.bytes_hash, c.state,"
    " d.acl IS NOT NULL, d.acl"
    " FROM receipts r"
    " CROSS JOIN LATERAL unnest(r.chunks, r.scores) WITH ORDINALITY AS h (chunk, score, ordinal)"
    " JOIN chunks c ON c.collection_id = r.collection_id AND c.chunk = h.chunk"
    " JOIN documents d ON d.collection_id = c.collection_id AND d.id = c.document_id"
    " JOIN versions v ON v.collection_id = c.collection_id AND v.document_id = c.document_id AND v.version = c.version"
    " JOIN sources s ON s.collection_id = d.collection_id AND s.id = d.source_id"
    " WHERE r.collection_id = $1 AND r.id = $2::uuid ORDER BY h.ordinal",
    2};

static void copy_text(char *out, size_t size, struct str s)
{
    (void)snprintf(out, size, "%.*s", STR_FMT(s));
}

static void read_receipt(struct row r, struct receipt_row *out)
{
    *out = (struct receipt_row){0};
    out->collection = row_str(&r);
    copy_text(out->r.id, sizeof out->r.id, row_str(&r));
    out->r.collection = (int32_t)row_int(&r);
    out->r.at_us = row_time(&r);
    out->r.query_hash = row_digest(&r);
    out->r.commit = row_digest(&r);
    out->r.policy = row_digest(&r);
    out->r.embedder = row_digest(&r);
    out->r.seq = row_int(&r);
    copy_text(out->r.key_id, sizeof out->r.key_id, row_str(&r));
    out->r.mode = (int)row_int(&r);
    out->r.k = (int)row_int(&r);
    out->r.exact = row_bool(&r);
    out->r.degraded = row_bool(&r);
    out->r.took_us = row_int(&r);
}

static void read_trace(struct row r, struct receipt_trace_hit *h)
{
    h->chunk = row_digest(&r);
    h->version = row_digest(&r);
    h->pipeline = row_digest(&r);
    h->score = row_f64(&r);
    h->document = row_str(&r);
    h->uri = row_str(&r);
    h->title = row_str(&r);
    h->source = row_str(&r);
    h->source_owner = row_str(&r);
    h->source_licence = row_str(&r);
    h->run = row_str(&r);
    h->media_type = row_str(&r);
    h->from = (size_t)row_int(&r);
    h->to = (size_t)row_int(&r);
    h->modified_at_us = row_time(&r);
    h->ingested_at_us = row_time(&r);
    h->bytes_hash = row_digest(&r);
    h->state_now = state_names[row_int(&r) & 3];
    h->has_acl = row_bool(&r);
    h->acl = row_texts(&r);
}

struct get_work {
    struct str id;
    struct receipt_row *out;
};

static enum assay_code get_body(struct tx *tx, void *ctx, struct err *err)
{
    struct get_work *w = ctx;
    struct buf args = {0};
    struct rows rows = {0};
    wire_uuid(&args, w->id);
    TRY(tx_exec(tx, &receipt_get, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-receipt", "There is no such receipt.");
    read_receipt(rows_at(&rows, 0, tx_arena(tx)), w->out);
    wire_i32(&args, w->out->r.collection);
    wire_uuid(&args, w->id);
    TRY(tx_exec(tx, &receipt_trace, &args, &rows, err));
    w->out->n_trace = w->out->r.n_hits = (size_t)rows.n;
    w->out->trace = ARENA_ARRAY(tx_arena(tx), struct receipt_trace_hit, (size_t)rows.n);
    for (int i = 0; i < rows.n; i++)
        read_trace(rows_at(&rows, i, tx_arena(tx)), &w->out->trace[i]);
    return ASSAY_OK;
}

enum assay_code store_receipt_get(struct store *s, const struct call *call, struct str id, struct receipt_row *out,
                                  struct err *err)
{
    struct get_work w = {id, out};
    return store_with(s, call, "receipt.get", get_body, &w, err);
}

const struct store_stmt *const store_receipts_stmts[] = {&receipts_copy, &receipts_relax, &receipt_get, &receipt_trace,
                                                         NULL};
