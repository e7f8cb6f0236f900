/* The change log: what the index follows. Order is commit order within a collection. */
#ifndef ASSAY_STORE_CHANGES_H
#define ASSAY_STORE_CHANGES_H

#include "index/vindex.h" /* struct vindex_change: the row as the index wants it */
#include "store/store.h"

/* Whose vectors the changes are to come with. */
struct change_vectors {
    bool needed; /* false: the index computes those that are not stored */
    struct digest embedder;
    int dim;
};
/* Up to `limit` changes after `after`, cut at a commit boundary (a single commit larger than the limit is read whole).
 * Rows live in
 * call->arena. Chunk payloads are joined in. Where vectors are needed, what is read ends before the first commit that
 * adds a chunk whose vector the store does not have yet (*starved); such a chunk that is retired by now is left out
 * instead. upto == after when there is nothing that can be read. */
struct changes_read {
    struct vindex_change *changes;
    size_t n;
    int64_t upto;
    struct digest commit; /* that upto belongs to */
    bool starved;
};
enum assay_code store_changes_read(struct store *s, const struct call *call, int32_t collection, int64_t after,
                                   size_t limit, const struct change_vectors *vectors, struct changes_read *out,
                                   struct err *err) MUST_USE;
struct change_head {
    int32_t collection;
    int64_t seq;
    int64_t revision; /* of what is declared, as in struct collection_row */
};
/* Heads of all collections: one cheap query for the follower's poll. */
enum assay_code store_change_heads(struct store *s, const struct call *call, struct change_head **out, size_t *n,
                                   struct err *err) MUST_USE;

#endif
