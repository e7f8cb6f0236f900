/* The change log: what the index follows. Order is commit order within a collection. */
#ifndef ASSAY_STORE_CHANGES_H
#define ASSAY_STORE_CHANGES_H

#include "index/vindex.h" /* struct vindex_change: the row as the index wants it */
#include "store/store.h"

/* Up to `limit` changes after `after`, cut at a commit boundary (a single commit larger than the limit is read whole).
 * *upto is the last number read, *commit the commit it belongs to; n == 0 when there is nothing new. Rows live in
 * call->arena. Chunk payloads are joined in; embeddings only where stored. */
enum assay_code store_changes_read(struct store *s, const struct call *call, int32_t collection, int64_t after,
                                   size_t limit, struct vindex_change **out, size_t *n, int64_t *upto,
                                   struct digest *commit, struct err *err) MUST_USE;
struct change_head {
    int32_t collection;
    int64_t seq;
};
/* Heads of all collections: one cheap query for the follower's poll. */
enum assay_code store_change_heads(struct store *s, const struct call *call, struct change_head **out, size_t *n,
                                   struct err *err) MUST_USE;

#endif
