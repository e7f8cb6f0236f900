/*
 * A fixed pool of threads for whatever may wait: PostgreSQL, files, endpoints. Bounded queue.
 */
#ifndef ASSAY_SERVER_WORKERS_H
#define ASSAY_SERVER_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

struct workers;
/* threads >= 1, queue_max >= 1. NULL when not one thread could be started. */
struct workers *workers_new(int threads, size_t queue_max);
/* False when the queue is full or the pool is stopping: the caller answers 503. */
bool workers_submit(struct workers *w, void (*fn)(void *), void *ctx);
/* Takes no more, finishes what is queued and joins; the pool may still be asked and freed. */
void workers_stop(struct workers *w);
/* The same, and frees. NULL is ignored. */
void workers_free(struct workers *w);
size_t workers_queued(struct workers *w);

#endif
