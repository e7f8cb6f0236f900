/*
 * The sweeper: one thread that does what the follower must never wait for. It records chunks whose deadline has passed
 * as quarantined (reason `stale`, actor system:sweeper), gathers the database-backed gauges, and reloads the keys that
 * another server may have changed. A search does not depend on it: freshness is judged at search time.
 */
#ifndef ASSAY_SERVER_SWEEPER_H
#define ASSAY_SERVER_SWEEPER_H

struct server;
struct sweeper;
/* Starts the thread; NULL when that fails. */
struct sweeper *sweeper_start(struct server *server);
/* A deadline has passed or changes were applied: look now. Thread-safe, never blocks. */
void sweeper_notify(struct sweeper *s);
/* Lets the step under way finish, joins, frees. NULL is ignored. */
void sweeper_stop(struct sweeper *s);

#endif
