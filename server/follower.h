/*
 * The follower: one thread that applies the change log to every collection's index, ticks freshness deadlines, has the
 * sweeper record what went stale, and writes checkpoints. The only writer of every index.
 */
#ifndef ASSAY_SERVER_FOLLOWER_H
#define ASSAY_SERVER_FOLLOWER_H

#include <stdbool.h>
#include <stdint.h>

struct server;
struct collection;
struct follower;
struct follower *follower_new(struct server *server);
/* Catches up with the change log (or gives up when PostgreSQL is away) and starts the thread. */
bool follower_start(struct follower *f);
void follower_notify(struct follower *f); /* after a commit: look now. Thread-safe, never blocks */
/* Stops, writes a last checkpoint, joins, frees. */
void follower_free(struct follower *f);
/* Is the change log being followed (PostgreSQL answers)? What searches call `degraded` is its negation. Lock-free. */
bool follower_healthy(const struct follower *f);
bool follower_caught_up(const struct follower *f); /* has reached the head once since start: /readyz */
/* Seconds since the applied head fell behind; 0 when caught up. */
double follower_lag_seconds(const struct follower *f);

#endif
