/*
 * From ingest to the follower: what a batch wrote, so that the index of the same server need not read it back. Only a
 * short cut: whatever does not come this way, or not in order, is read from the change log, and says the same.
 */
#ifndef ASSAY_SERVER_HANDOVER_H
#define ASSAY_SERVER_HANDOVER_H

#include "base/arena.h"
#include "store/documents.h"

struct handover;
struct handover *handover_new(void);
void handover_free(struct handover *h);

/* Any thread; never blocks. Takes the arena over, which holds all that `written` points to. Dropped when enough is
 * waiting already. */
void handover_give(struct handover *h, int32_t collection, const struct documents_written *written,
                   struct arena *arena);

struct handed {
    const struct vindex_change *changes;
    size_t n;
    int64_t upto;
    struct digest commit, embedder;
    struct arena *arena; /* the taker's to free */
};
/* The follower. What continues the log of `collection` right behind `applied`; false: nothing does. What lies before is
 * dropped. */
bool handover_take(struct handover *h, int32_t collection, int64_t applied, struct handed *out);
/* Drops what is waiting for a collection: its log is no longer the one that it was written to. */
void handover_drop(struct handover *h, int32_t collection);

#endif
