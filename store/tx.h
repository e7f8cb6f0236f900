/*
 * Internal to store/: running statements and transactions.
 *
 * Why READ COMMITTED and not SERIALIZABLE. Every transaction that writes a collection takes the collection's advisory
 * lock first (store/writer.h), so writers of one collection are serial already, and in commit order; each of their
 * statements then sees everything that earlier writers committed, since READ COMMITTED takes its snapshot for each
 * statement and so after the lock was granted. SERIALIZABLE would take the snapshot before the wait for the lock and
 * fail every writer that had to wait, and would make bulk loads pay for predicate locks. Readers are single statements,
 * or read only rows that never change (the change log).
 *
 * Retries. A body that gets ASSAY_RETRY (serialisation failure or deadlock) is rolled back, the arena returns to where
 * it was, and the body runs again after a jittered pause, at most STORE_ATTEMPTS times, then ASSAY_UNAVAILABLE
 * "contention". So a body touches nothing but the database, the arena and its own context, which it sets up afresh each
 * time. A connection that is lost during COMMIT leaves the outcome unknown: ASSAY_UNAVAILABLE "commit-unknown", never
 * retried.
 */
#ifndef ASSAY_STORE_TX_H
#define ASSAY_STORE_TX_H

#include "store/pq.h"
#include "store/store.h"

enum { STORE_ATTEMPTS = 5 };

struct tx; /* one connection, for the length of one operation */
const struct call *tx_call(const struct tx *tx);
struct arena *tx_arena(const struct tx *tx);

typedef enum assay_code store_body(struct tx *tx, void *ctx, struct err *err);

/* BEGIN, body, COMMIT. `name` (static) is for the log. */
enum assay_code store_transact(struct store *s, const struct call *call, const char *name, store_body *body, void *ctx,
                               struct err *err) MUST_USE;
/* The body on one connection without a transaction of its own: for reads. */
enum assay_code store_with(struct store *s, const struct call *call, const char *name, store_body *body, void *ctx,
                           struct err *err) MUST_USE;
/* One statement on a connection of its own. */
enum assay_code store_query(struct store *s, const struct call *call, const struct store_stmt *stmt, struct buf *args,
                            struct rows *out, struct err *err) MUST_USE;

/* Runs a statement. args holds its parameters and is always freed; NULL when there are none. out may be NULL. */
enum assay_code tx_exec(struct tx *tx, const struct store_stmt *stmt, struct buf *args, struct rows *out,
                        struct err *err) MUST_USE;
/* COPY FROM STDIN in binary format: `rows` holds rows built with wire_row; header and trailer are added here. Always
 * freed. Nothing happens when it is empty. */
enum assay_code tx_copy(struct tx *tx, const struct store_stmt *stmt, struct buf *rows, struct err *err) MUST_USE;

/* Prepares every statement of the service on one connection: a typo shows in the first test. */
enum assay_code store_prepare_all(struct store *s, const struct call *call, int *count, struct err *err) MUST_USE;

#endif
