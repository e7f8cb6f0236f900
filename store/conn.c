/* One connection: sending, waiting with a bound, preparing on first use, and what SQLSTATEs mean. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "store/pool.h"

enum { PARAMS_MAX = 40, WAIT_GRACE_MS = 5000, COPY_PIECE = 256 * 1024 };

struct constraint_slug {
    const char *constraint, *slug, *detail;
};
static const struct constraint_slug constraint_slugs[] = {
    {"collections_name_key", "collection-exists", "A collection of this name exists already."},
    {"sources_name_key", "source-exists", "A source of this name exists in the collection already."},
    {"keys_name_key", "key-exists", "A key of this name exists already."},
};

static enum assay_code unique_violation(const char *constraint, struct err *err)
{
    for (size_t i = 0; i < sizeof constraint_slugs / sizeof *constraint_slugs; i++)
        if (strcmp(constraint_slugs[i].constraint, constraint) == 0)
            return err_set(err, ASSAY_CONFLICT, constraint_slugs[i].slug, "%s", constraint_slugs[i].detail);
    return err_set(err, ASSAY_CONFLICT, NULL, "It exists already.");
}

static const char *field_or(const PGresult *res, int field, const char *fallback)
{
    const char *v = res ? PQresultErrorField(res, field) : NULL;
    return v ? v : fallback;
}

enum assay_code conn_error(struct conn *c, const char *what, const PGresult *res, struct err *err)
{
    const char *state = field_or(res, PG_DIAG_SQLSTATE, "08006");
    const char *constraint = field_or(res, PG_DIAG_CONSTRAINT_NAME, "");
    if (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0)
        return err_set(err, ASSAY_RETRY, NULL, "Another writer was first.");
    if (strcmp(state, "23505") == 0)
        return unique_violation(constraint, err);
    /* The message of a syntax or internal error holds no data; that of others may. */
    bool ours = strncmp(state, "42", 2) == 0 || strncmp(state, "XX", 2) == 0 || strncmp(state, "22P", 3) == 0;
    log_warn("database refused", "what=%s sqlstate=%s constraint=%s message=%s", what, state, log_quote(constraint).s,
             log_quote(ours ? field_or(res, PG_DIAG_MESSAGE_PRIMARY, "") : "").s);
    if (strncmp(state, "08", 2) == 0 || strncmp(state, "57P0", 4) == 0 || PQstatus(c->pg) == CONNECTION_BAD)
        return err_set(err, ASSAY_UNAVAILABLE, "database-away", "The connection to the database was lost.");
    if (strcmp(state, "57014") == 0 || strcmp(state, "55P03") == 0)
        return err_set(err, ASSAY_UNAVAILABLE, "database-timeout", "The database took too long.");
    if (strncmp(state, "53", 2) == 0 || strcmp(state, "25006") == 0)
        return err_set(err, ASSAY_UNAVAILABLE, "database-unfit", "The database cannot take this at the moment.");
    if (strncmp(state, "23", 2) == 0)
        return err_set(err, ASSAY_CONFLICT, NULL, "It contradicts what is stored.");
    if (strcmp(state, "22021") == 0 || strcmp(state, "22P05") == 0 || strcmp(state, "22008") == 0)
        return err_set(err, ASSAY_UNPROCESSABLE, "unstorable-value", "A value cannot be stored.");
    return err_set(err, ASSAY_INTERNAL, NULL, "The database refused a statement.");
}

static enum assay_code lost(struct conn *c, const char *what, struct err *err)
{
    return conn_error(c, what, NULL, err);
}

/* Waits until the socket can be read (and, while output is pending, written). False: nothing came in wait_ms. */
static bool wait_socket(struct conn *c, short events)
{
    struct pollfd fd = {.fd = PQsocket(c->pg), .events = events};
    int64_t deadline = clock_mono_us() + INT64_C(1000) * c->wait_ms;
    for (;;) {
        int64_t left_ms = (deadline - clock_mono_us()) / 1000;
        int rc = poll(&fd, 1, left_ms > 0 ? (int)left_ms : 0);
        if (rc > 0)
            return true;
        if (rc == 0 || errno != EINTR)
            return false;
    }
}

/* Sends what is buffered, taking in what arrives meanwhile so that neither side waits for the other. */
static bool flush_out(struct conn *c)
{
    int rc;
    while ((rc = PQflush(c->pg)) > 0) {
        if (!wait_socket(c, POLLIN | POLLOUT) || !PQconsumeInput(c->pg))
            return false;
    }
    return rc == 0;
}

/* The next result, NULL when the command is over; *ok false when the server fell silent or went away. */
static PGresult *next_result(struct conn *c, bool *ok)
{
    *ok = flush_out(c);
    while (*ok && PQisBusy(c->pg))
        *ok = wait_socket(c, POLLIN) && PQconsumeInput(c->pg);
    return *ok ? PQgetResult(c->pg) : NULL;
}

static bool result_ok(const PGresult *r)
{
    ExecStatusType st = PQresultStatus(r);
    return st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK || st == PGRES_COPY_IN;
}

/* Collects the results of one command: keeps the last, or the first that failed. */
static enum assay_code collect(struct conn *c, const char *what, PGresult **out, struct err *err)
{
    PGresult *kept = NULL;
    bool ok;
    for (;;) {
        PGresult *r = next_result(c, &ok);
        if (!r)
            break;
        if (kept && !result_ok(kept)) {
            PQclear(r);
            continue;
        }
        PQclear(kept);
        kept = r;
        if (PQresultStatus(r) == PGRES_COPY_IN)
            break;
    }
    enum assay_code code = ASSAY_OK;
    if (kept && !result_ok(kept)) {
        code = conn_error(c, what, kept, err);
    } else if (!ok || !kept) {
        log_warn("database silent", "what=%s", what);
        code = lost(c, what, err);
    }
    if (code == ASSAY_OK && out)
        *out = kept;
    else
        PQclear(kept);
    return code;
}

static enum assay_code set_session(struct conn *c, const struct store_config *cfg, struct err *err)
{
    /* Plans are made for the values at hand: parameters decide which partial index serves, and no statement is on the
     * path of a search. */
    char sql[256];
    (void)snprintf(
        sql, sizeof sql,
        "SET statement_timeout = %d; SET timezone = 'UTC'; SET plan_cache_mode = 'force_custom_plan';"
        "SET jit = off; SET client_min_messages = warning; SET default_transaction_isolation = 'read committed'",
        cfg->statement_timeout_ms);
    return conn_command(c, "session", sql, err);
}

static void ignore_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

enum assay_code conn_open(const struct store_config *cfg, struct conn **out, struct err *err)
{
    char timeout[16];
    (void)snprintf(timeout, sizeof timeout, "%d", cfg->connect_timeout_s > 0 ? cfg->connect_timeout_s : 5);
    const char *keys[] = {
        "dbname", "connect_timeout", "client_encoding", "application_name", "keepalives_idle", "tcp_user_timeout",
        NULL};
    const char *values[] = {cfg->url, timeout, "UTF8", "assayd", "30", "30000", NULL};
    *out = NULL;
    struct conn *c = mem_calloc(1, sizeof *c);
    c->wait_ms = (cfg->statement_timeout_ms > 0 ? cfg->statement_timeout_ms : 60000) + WAIT_GRACE_MS;
    c->pg = PQconnectdbParams(keys, values, 1);
    enum assay_code code;
    if (!c->pg || PQstatus(c->pg) != CONNECTION_OK) {
        log_warn("database away", "reason=%s", log_quote(c->pg ? PQerrorMessage(c->pg) : "out of memory").s);
        code = err_set(err, ASSAY_UNAVAILABLE, "database-away", "The database cannot be reached at the moment.");
    } else if (PQsetnonblocking(c->pg, 1) != 0) {
        code = err_set(err, ASSAY_UNAVAILABLE, "database-away", "The database connection could not be set up.");
    } else {
        (void)PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
        code = set_session(c, cfg, err);
    }
    if (code != ASSAY_OK) {
        conn_close(c);
        return code;
    }
    c->idle_since_us = clock_mono_us();
    *out = c;
    return ASSAY_OK;
}

void conn_close(struct conn *c)
{
    if (!c)
        return;
    PQfinish(c->pg);
    free(c);
}

bool conn_alive(struct conn *c)
{
    struct pollfd fd = {.fd = PQsocket(c->pg), .events = POLLIN};
    if (poll(&fd, 1, 0) == 0)
        return true;
    /* Something came unasked: a parameter status, or the farewell of a backend that is gone. */
    return PQconsumeInput(c->pg) && PQstatus(c->pg) == CONNECTION_OK && poll(&fd, 1, 0) == 0;
}

bool conn_answers(struct conn *c)
{
    struct err err = {0};
    bool ok = conn_command(c, "ping", "SELECT 1", &err) == ASSAY_OK;
    err_clear(&err);
    return ok;
}

enum assay_code conn_command(struct conn *c, const char *what, const char *sql, struct err *err)
{
    if (!PQsendQuery(c->pg, sql))
        return lost(c, what, err);
    return collect(c, what, NULL, err);
}

/* The slot of a statement in the set of prepared ones: its own, or the empty one where it belongs. */
static const struct store_stmt **prepared_slot(struct conn *c, const struct store_stmt *stmt)
{
    size_t i = ((uintptr_t)stmt >> 3) * 0x9E3779B97F4A7C15u >> 32;
    for (;; i++) {
        const struct store_stmt **slot = &c->prepared[i & (CONN_PREPARED_MAX - 1)];
        if (!*slot || *slot == stmt)
            return slot;
    }
}

enum assay_code conn_prepare(struct conn *c, const struct store_stmt *stmt, struct err *err)
{
    const struct store_stmt **slot = prepared_slot(c, stmt);
    if (*slot)
        return ASSAY_OK;
    assert(c->n_prepared < CONN_PREPARED_MAX / 2);
    if (!PQsendPrepare(c->pg, stmt->name, stmt->sql, 0, NULL))
        return lost(c, stmt->name, err);
    TRY(collect(c, stmt->name, NULL, err));
    *slot = stmt;
    c->n_prepared++;
    return ASSAY_OK;
}

/* Splits the argument buffer into libpq's parallel arrays; returns their number. */
static int split_args(const struct buf *args, const char *values[PARAMS_MAX], int lengths[PARAMS_MAX],
                      int formats[PARAMS_MAX])
{
    int n = 0;
    size_t at = 0;
    while (args && at < args->len) {
        assert(n < PARAMS_MAX && at + 4 <= args->len);
        uint32_t len = 0;
        for (size_t i = 0; i < 4; i++)
            len = len << 8 | (uint8_t)args->data[at + i];
        at += 4;
        bool null = len == UINT32_MAX;
        values[n] = null ? NULL : at < args->len ? args->data + at : "";
        lengths[n] = null ? 0 : (int)len;
        formats[n++] = 1;
        at += null ? 0 : len;
    }
    return n;
}

enum assay_code conn_exec(struct conn *c, const struct store_stmt *stmt, const struct buf *args, PGresult **out,
                          struct err *err)
{
    const char *values[PARAMS_MAX];
    int lengths[PARAMS_MAX], formats[PARAMS_MAX];
    TRY(conn_prepare(c, stmt, err));
    int n = split_args(args, values, lengths, formats);
    assert(n == stmt->nparams);
    if (!PQsendQueryPrepared(c->pg, stmt->name, n, values, lengths, formats, 1))
        return lost(c, stmt->name, err);
    return collect(c, stmt->name, out, err);
}

static bool put_copy(struct conn *c, const char *p, size_t n)
{
    while (n > 0) {
        size_t piece = n < COPY_PIECE ? n : COPY_PIECE;
        int rc = PQputCopyData(c->pg, p, (int)piece);
        if (rc < 0)
            return false;
        if (rc > 0) {
            p += piece;
            n -= piece;
        }
        if (!flush_out(c))
            return false;
    }
    return true;
}

enum assay_code conn_copy(struct conn *c, const struct store_stmt *stmt, const struct buf *rows, struct err *err)
{
    static const char header[19] = "PGCOPY\n\377\r\n";
    static const char trailer[2] = {(char)0xFF, (char)0xFF};
    PGresult *res = NULL;
    if (!PQsendQuery(c->pg, stmt->sql))
        return lost(c, stmt->name, err);
    TRY(collect(c, stmt->name, &res, err));
    bool copying = PQresultStatus(res) == PGRES_COPY_IN;
    PQclear(res);
    assert(copying);
    bool sent = put_copy(c, header, sizeof header) && put_copy(c, rows->data, rows->len) &&
                put_copy(c, trailer, sizeof trailer) && PQputCopyEnd(c->pg, NULL) >= 0;
    if (!sent)
        return lost(c, stmt->name, err);
    return collect(c, stmt->name, NULL, err);
}
