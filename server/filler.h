/*
 * The filler: one thread that fetches the vectors which an index generation lacks from the endpoint of its embedder, in
 * the order of the change log. The follower says which generation cannot go on, and after which change. Of several
 * servers one fetches for a generation at a time (a lease in PostgreSQL, short, so that another takes over from one
 * that was killed); two at once would do no harm but ask twice.
 */
#ifndef ASSAY_SERVER_FILLER_H
#define ASSAY_SERVER_FILLER_H

struct server;
struct filler;
/* Starts the thread; NULL when that fails. */
struct filler *filler_start(struct server *server);
/* A generation is starved: look now. Thread-safe, never blocks. */
void filler_notify(struct filler *f);
/* A generation has ended: its index is closed, and vectors that no other one has a use for go. Thread-safe, never
 * blocks. */
void filler_prune(struct filler *f);
/* Gives up a call under way, joins, frees. NULL is ignored. */
void filler_stop(struct filler *f);

#endif
