/*
 * Internal to store/: connections.
 *
 * A connection is made when one is wanted and none is idle, up to pool_size; the one used last is used first. Before
 * use an idle connection's socket is looked at (a backend that went away has closed it), and after POOL_IDLE_CHECK_US
 * of idleness it is asked. Circuit: when a connection cannot be made, callers fail at once with ASSAY_UNAVAILABLE until
 * the pause is over (doubling from POOL_BACKOFF_MIN_US to POOL_BACKOFF_MAX_US, jittered); then one of them tries again.
 */
#ifndef ASSAY_STORE_POOL_H
#define ASSAY_STORE_POOL_H

#include <libpq-fe.h>
#include <pthread.h>

#include "base/clock.h"
#include "store/pq.h"
#include "store/store.h"

#define POOL_IDLE_CHECK_US (30 * CLOCK_SECOND)
#define POOL_BACKOFF_MIN_US (CLOCK_SECOND / 10)
#define POOL_BACKOFF_MAX_US CLOCK_SECOND
enum { CONN_PREPARED_MAX = 512 }; /* a power of two, well above the number of statements */

struct conn {
    PGconn *pg;
    int64_t idle_since_us;
    int wait_ms; /* the longest silence that is believed: the statement timeout and some grace */
    const struct store_stmt *prepared[CONN_PREPARED_MAX]; /* open addressing by pointer */
    int n_prepared;
};

struct store {
    struct store_config cfg; /* strings owned */
    pthread_mutex_t lock;    /* guards everything below; held for no I/O */
    pthread_cond_t freed;
    struct conn **idle; /* stack of n_idle, room for pool_size */
    int n_idle, in_use, waiting;
    int64_t down_until_us, backoff_us; /* circuit; 0: closed */
    bool available;
    int64_t conflicts, reconnects, failures;
};

struct tx {
    struct store *store;
    struct conn *conn;
    const struct call *call;
};

enum assay_code pool_take(struct store *s, const struct call *call, struct conn **out, struct err *err) MUST_USE;
/* Takes the connection back; one that is broken or not idle in protocol is closed. */
void pool_give(struct store *s, struct conn *c);
void pool_note_conflict(struct store *s);

/* ---- one connection (conn.c); none of these waits longer than conn->wait_ms without an answer ---- */
enum assay_code conn_open(const struct store_config *cfg, struct conn **out, struct err *err) MUST_USE;
void conn_close(struct conn *c);
bool conn_alive(struct conn *c);   /* looks at the socket, no round trip */
bool conn_answers(struct conn *c); /* one round trip */
/* Simple protocol, one or more commands, results thrown away. `what` is for the log. */
enum assay_code conn_command(struct conn *c, const char *what, const char *sql, struct err *err) MUST_USE;
enum assay_code conn_prepare(struct conn *c, const struct store_stmt *stmt, struct err *err) MUST_USE;
enum assay_code conn_exec(struct conn *c, const struct store_stmt *stmt, const struct buf *args, PGresult **out,
                          struct err *err) MUST_USE;
enum assay_code conn_copy(struct conn *c, const struct store_stmt *stmt, const struct buf *rows,
                          struct err *err) MUST_USE;
/* The one place that knows SQLSTATEs. res may be NULL (the connection is gone). Frees nothing. */
enum assay_code conn_error(struct conn *c, const char *what, const PGresult *res, struct err *err);

#endif
