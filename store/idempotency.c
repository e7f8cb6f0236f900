/* Idempotency-Key records: the first attempt claims the key, later ones get its reply. */
#include "base/clock.h"
#include "store/keys.h"
#include "store/stmts.h"
#include "store/tx.h"

#define KEPT_US CLOCK_DAY
/* A first attempt that has not ended by then died with its server: no request is allowed to run nearly that long. */
#define ABANDONED_US (15 * 60 * CLOCK_SECOND)

static const struct store_stmt idempotency_purge = {
    "idempotency_purge",
    "DELETE FROM idempotency WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency WHERE created_at < $1"
    " ORDER BY created_at LIMIT 20 FOR UPDATE SKIP LOCKED))",
    1};
static const struct store_stmt idempotency_claim = {
    "idempotency_claim",
    "INSERT INTO idempotency AS i (key_id, route, idem_key, fingerprint, status, content_type, body, created_at)"
    " VALUES ($1, $2, $3, $4, 0, '', '', $5)"
    " ON CONFLICT (key_id, route, idem_key) DO UPDATE SET fingerprint = excluded.fingerprint, status = 0,"
    "  content_type = '', body = '', created_at = excluded.created_at"
    "  WHERE i.created_at < $6 OR (i.status = 0 AND i.created_at < $7)"
    " RETURNING 1",
    7};
static const struct store_stmt idempotency_get = {"idempotency_get",
                                                  "SELECT fingerprint, status, content_type, body FROM idempotency "
                                                  "WHERE key_id = $1 AND route = $2 AND idem_key = $3",
                                                  3};

struct begin_work {
    struct str key_id, route, idem_key;
    const struct digest *fingerprint;
    struct idempotency_row *out;
};

static void wire_key(struct buf *args, struct str key_id, struct str route, struct str idem_key)
{
    wire_str(args, key_id);
    wire_str(args, route);
    wire_str(args, idem_key);
}

static enum assay_code begin_body(struct tx *tx, void *ctx, struct err *err)
{
    struct begin_work *w = ctx;
    struct buf args = {0};
    struct rows rows = {0};
    int64_t now_us = clock_now_us();
    *w->out = (struct idempotency_row){.state = IDEM_NEW};
    wire_time(&args, now_us - KEPT_US);
    TRY(tx_exec(tx, &idempotency_purge, &args, NULL, err));
    wire_key(&args, w->key_id, w->route, w->idem_key);
    wire_digest(&args, w->fingerprint);
    wire_time(&args, now_us);
    wire_time(&args, now_us - KEPT_US);
    wire_time(&args, now_us - ABANDONED_US);
    TRY(tx_exec(tx, &idempotency_claim, &args, &rows, err));
    if (rows.n)
        return ASSAY_OK;
    wire_key(&args, w->key_id, w->route, w->idem_key);
    TRY(tx_exec(tx, &idempotency_get, &args, &rows, err));
    if (rows.n == 0) /* forgotten in between: claim it anew */
        return err_set(err, ASSAY_RETRY, NULL, "The record went away.");
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    struct digest fingerprint = row_digest(&r);
    w->out->status = (int)row_int(&r);
    w->out->content_type = row_str(&r);
    w->out->body = row_str(&r);
    w->out->state = !digest_eq(&fingerprint, w->fingerprint) ? IDEM_OTHER_PAYLOAD
                    : w->out->status                         ? IDEM_DONE
                                                             : IDEM_RUNNING;
    return ASSAY_OK;
}

enum assay_code store_idempotency_begin(struct store *s, const struct call *call, struct str key_id, struct str route,
                                        struct str idem_key, const struct digest *fingerprint,
                                        struct idempotency_row *out, struct err *err)
{
    struct begin_work w = {key_id, route, idem_key, fingerprint, out};
    return store_transact(s, call, "idempotency.begin", begin_body, &w, err);
}

static const struct store_stmt idempotency_forget = {
    "idempotency_forget", "DELETE FROM idempotency WHERE key_id = $1 AND route = $2 AND idem_key = $3 AND status = 0",
    3};
static const struct store_stmt idempotency_end = {"idempotency_end",
                                                  "UPDATE idempotency SET status = $4, content_type = $5, body = $6 "
                                                  "WHERE key_id = $1 AND route = $2 AND idem_key = $3",
                                                  6};

enum assay_code store_idempotency_end(struct store *s, const struct call *call, struct str key_id, struct str route,
                                      struct str idem_key, int status, struct str content_type, struct str body,
                                      struct err *err)
{
    struct buf args = {0};
    wire_key(&args, key_id, route, idem_key);
    if (status == 0)
        return store_query(s, call, &idempotency_forget, &args, NULL, err);
    wire_i32(&args, status);
    wire_str(&args, content_type);
    wire_str(&args, body);
    return store_query(s, call, &idempotency_end, &args, NULL, err);
}

const struct store_stmt *const store_idempotency_stmts[] = {&idempotency_purge,  &idempotency_claim, &idempotency_get,
                                                            &idempotency_forget, &idempotency_end,   NULL};
