/*
 * Receipts of searches, kept off the hot path: a bounded lock-free ring of fixed-size records, drained by one thread
 * into the store in batches. When the ring is full a receipt is dropped and counted, never waited for.
 */
#ifndef ASSAY_SERVER_RECEIPTS_H
#define ASSAY_SERVER_RECEIPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "store/lineage.h"

struct receipts;
struct receipts *receipts_new(struct store *store, double sample);
/* Copies `r` with at most RECEIPT_HITS_MAX hits. False: dropped. Any thread; never blocks, takes no lock. */
bool receipts_push(struct receipts *rs, const struct receipt_put *r);
/* Blocks until everything pushed before the call is stored, or deadline (monotonic): for GET right after a search. */
bool receipts_flush(struct receipts *rs, int64_t deadline_us);
void receipts_stats(struct receipts *rs, int64_t *kept, int64_t *dropped, int64_t *pending);
void receipts_free(struct receipts *rs); /* drains what it can within a few seconds */

#endif
