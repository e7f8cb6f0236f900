/*
 * The store: PostgreSQL through libpq. The truth of the service.
 *
 * The API is whole operations: each function below takes a connection from the pool (waiting at most until
 * call->deadline_us), runs one statement or one transaction, and gives the connection back. Transaction bodies are
 * internal (store/tx.h), are retried on serialisation failure and deadlock (at most 5 times, jittered backoff), and
 * never touch anything but the database and the call's arena, which is rolled back before a retry. Results live in
 * call->arena. All functions are thread-safe.
 *
 * Codes that any function may return besides its own: ASSAY_UNAVAILABLE (PostgreSQL away, pool exhausted, connection
 * lost during COMMIT: the outcome is then unknown and is not retried), ASSAY_INTERNAL (logged with its cause).
 *
 * Writers of a collection take its advisory lock first (pg_advisory_xact_lock) and number their changes under it, so
 * the order of the change log is the order of commits.
 */
#ifndef ASSAY_STORE_STORE_H
#define ASSAY_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/call.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json_read.h"
#include "base/str.h"

struct store;

struct store_config {
    const char *url; /* libpq connection string or URL */
    int pool_size;   /* connections at most, 1..256 */
    int connect_timeout_s;
    int statement_timeout_ms; /* of one statement */
    const char *migrations_dir;
};
/* Opens the pool; does not need PostgreSQL to be there (connections are made on demand and re-made when lost). */
enum assay_code store_open(const struct store_config *cfg, struct store **out, struct err *err) MUST_USE;
void store_close(struct store *s);

/* Applies the numbered migrations of migrations_dir that are not applied yet, each in one transaction, under an
 * advisory lock; records name and SHA-256. A gap, a changed old migration, or a schema newer than the files is
 * ASSAY_CONFLICT. */
enum assay_code store_migrate(struct store *s, const struct call *call, int *applied, struct err *err) MUST_USE;
/* One round trip; ASSAY_OK when PostgreSQL answers. */
enum assay_code store_ping(struct store *s, const struct call *call, struct err *err) MUST_USE;

struct store_pool_stats {
    int size, in_use, idle, waiting;
    int64_t conflicts, reconnects, failures;
    bool available; /* what the last use or health check found */
};
void store_pool_stats(struct store *s, struct store_pool_stats *out);

/* What a write did: the commit that it made and the last number in the change log that belongs to it. */
struct store_commit {
    struct digest id;
    int64_t seq;
};

#endif
