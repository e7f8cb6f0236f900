#include "store/tx.h"

#include <assert.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/pool.h"

const struct call *tx_call(const struct tx *tx)
{
    return tx->call;
}

struct arena *tx_arena(const struct tx *tx)
{
    return tx->call->arena;
}

static void clear_result(void *p)
{
    PQclear(p);
}

enum assay_code tx_exec(struct tx *tx, const struct store_stmt *stmt, struct buf *args, struct rows *out,
                        struct err *err)
{
    PGresult *res = NULL;
    enum assay_code code = conn_exec(tx->conn, stmt, args, &res, err);
    if (args)
        buf_free(args);
    if (code != ASSAY_OK)
        return code;
    if (!out) {
        PQclear(res);
        return ASSAY_OK;
    }
    arena_defer(tx->call->arena, clear_result, res);
    *out = (struct rows){.result = res, .n = PQntuples(res)};
    const char *tuples = PQcmdTuples(res);
    if (*tuples && !str_to_i64(str_of(tuples), &out->affected))
        out->affected = 0;
    return ASSAY_OK;
}

enum assay_code tx_copy(struct tx *tx, const struct store_stmt *stmt, struct buf *rows, struct err *err)
{
    enum assay_code code = rows->len ? conn_copy(tx->conn, stmt, rows, err) : ASSAY_OK;
    buf_free(rows);
    return code;
}

/* A pause of 5 to 15 ms times 2^attempt: writers that collided do not collide again in step. */
static void pause_before(int attempt)
{
    uint16_t jitter;
    digest_random(&jitter, sizeof jitter);
    int64_t us = (5000 + INT64_C(10000) * jitter / UINT16_MAX) << attempt;
    struct timespec ts = {.tv_sec = us / CLOCK_SECOND, .tv_nsec = us % CLOCK_SECOND * 1000};
    (void)nanosleep(&ts, NULL);
}

static enum assay_code commit(struct tx *tx, const char *name, struct err *err)
{
    enum assay_code code = conn_command(tx->conn, name, "COMMIT", err);
    if (code != ASSAY_OK && PQstatus(tx->conn->pg) == CONNECTION_BAD)
        return err_set(err, ASSAY_UNAVAILABLE, "commit-unknown",
                       "The database went away while the change was being committed; whether it was is not known.");
    /* A server that fell silent during COMMIT leaves the same doubt. */
    if (code != ASSAY_OK && PQtransactionStatus(tx->conn->pg) == PQTRANS_ACTIVE)
        return err_set(
            err, ASSAY_UNAVAILABLE, "commit-unknown",
            "The database did not answer while the change was being committed; whether it was is not known.");
    return code;
}

static enum assay_code attempt(struct tx *tx, const char *name, bool begin, store_body *body, void *ctx,
                               struct err *err)
{
    if (begin)
        TRY(conn_command(tx->conn, name, "BEGIN", err));
    enum assay_code code = body(tx, ctx, err);
    if (code == ASSAY_OK && begin)
        code = commit(tx, name, err);
    PGTransactionStatusType status = PQtransactionStatus(tx->conn->pg);
    if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR) {
        struct err ignored = {0};
        if (conn_command(tx->conn, name, "ROLLBACK", &ignored) != ASSAY_OK)
            log_debug("rollback failed", "name=%s", name); /* the pool closes a connection that is not idle */
        err_clear(&ignored);
    }
    return code;
}

static enum assay_code run(struct store *s, const struct call *call, const char *name, bool begin, store_body *body,
                           void *ctx, struct err *err)
{
    for (int i = 0; i < STORE_ATTEMPTS; i++) {
        struct arena_mark mark = arena_mark(call->arena);
        struct tx tx = {.store = s, .call = call};
        TRY(pool_take(s, call, &tx.conn, err));
        enum assay_code code = attempt(&tx, name, begin, body, ctx, err);
        pool_give(s, tx.conn);
        if (code != ASSAY_RETRY)
            return code;
        pool_note_conflict(s);
        arena_rollback(call->arena, mark);
        err_clear(err);
        if (i + 1 < STORE_ATTEMPTS)
            pause_before(i);
    }
    log_warn("transaction given up", "name=%s attempts=%d", name, STORE_ATTEMPTS);
    return err_set(err, ASSAY_UNAVAILABLE, "contention", "Too many writers at once; try again.");
}

enum assay_code store_transact(struct store *s, const struct call *call, const char *name, store_body *body, void *ctx,
                               struct err *err)
{
    return run(s, call, name, true, body, ctx, err);
}

enum assay_code store_with(struct store *s, const struct call *call, const char *name, store_body *body, void *ctx,
                           struct err *err)
{
    return run(s, call, name, false, body, ctx, err);
}

struct query_work {
    const struct store_stmt *stmt;
    struct buf *args;
    struct rows *out;
};

static enum assay_code query_body(struct tx *tx, void *ctx, struct err *err)
{
    struct query_work *w = ctx;
    struct buf args = {0};
    if (w->args)
        buf_put(&args, w->args->data, w->args->len); /* the original stays for another attempt */
    return tx_exec(tx, w->stmt, &args, w->out, err);
}

enum assay_code store_query(struct store *s, const struct call *call, const struct store_stmt *stmt, struct buf *args,
                            struct rows *out, struct err *err)
{
    struct query_work w = {stmt, args, out};
    enum assay_code code = store_with(s, call, stmt->name, query_body, &w, err);
    if (args)
        buf_free(args);
    return code;
}

static enum assay_code ping_body(struct tx *tx, void *ctx, struct err *err)
{
    (void)ctx;
    return conn_command(tx->conn, "ping", "SELECT 1", err);
}

enum assay_code store_ping(struct store *s, const struct call *call, struct err *err)
{
    return store_with(s, call, "ping", ping_body, NULL, err);
}

static enum assay_code prepare_body(struct tx *tx, void *ctx, struct err *err)
{
    int *count = ctx;
    *count = 0;
    for (const struct store_stmt *const *const *list = store_stmt_lists; *list; list++) {
        for (const struct store_stmt *const *stmt = *list; *stmt; stmt++) {
            bool copy = str_starts(str_of((*stmt)->sql), "COPY ");
            if (!copy)
                TRY(conn_prepare(tx->conn, *stmt, err));
            ++*count;
        }
    }
    return ASSAY_OK;
}

enum assay_code store_prepare_all(struct store *s, const struct call *call, int *count, struct err *err)
{
    return store_with(s, call, "prepare", prepare_body, count, err);
}
