/*
 * Vectors of chunks by another embedder than the one they came in under, fetched from its endpoint while a collection
 * moves to it: kept beside `chunks`, so that intake knows nothing of them.
 */
#ifndef ASSAY_STORE_VECTORS_H
#define ASSAY_STORE_VECTORS_H

#include "store/store.h"

/* Who fetches for a generation: one server at a time, as long as it says so often enough. */
struct vectors_lease {
    int32_t collection, generation;
    const char *holder; /* UUID of this process */
};
/* *granted: this process fetches until `seconds` from now. *filled: up to there nothing is missing. */
enum assay_code store_vectors_claim(struct store *s, const struct call *call, const struct vectors_lease *lease,
                                    int seconds, bool *granted, int64_t *filled, struct err *err) MUST_USE;

/* A chunk without a vector by the embedder. */
struct vector_want {
    int64_t chunk;
    struct str title, heading, text;
};
/* In the order of the change log after `after`: chunks added there that are not retired and have no vector by
 * `embedder`, up to `limit`, among the next `window` changes. *upto: the number after which to go on once these have
 * their vectors; `after` when the log has ended. */
enum assay_code store_vectors_wanted(struct store *s, const struct call *call, int32_t collection,
                                     const struct digest *embedder, int64_t after, int64_t window, size_t limit,
                                     struct vector_want **out, size_t *n, int64_t *upto, struct err *err) MUST_USE;

struct vector_put {
    int64_t chunk;
    struct digest embed_hash; /* of the text that was embedded */
    const float *vector;
};
/* One transaction: the vectors (those that are there stay) and how far the generation is filled. */
enum assay_code store_vectors_put(struct store *s, const struct call *call, const struct vectors_lease *lease,
                                  const struct digest *embedder, int dim, const struct vector_put *vectors, size_t n,
                                  int64_t filled, struct err *err) MUST_USE;
/* Why fetching does not get on, for whoever looks at the generation; the next store_vectors_put takes it away. */
enum assay_code store_vectors_trouble(struct store *s, const struct call *call, const struct vectors_lease *lease,
                                      struct str why, struct err *err) MUST_USE;
/* Removes up to `limit` vectors of embedders that no open generation has. */
enum assay_code store_vectors_prune(struct store *s, const struct call *call, int32_t collection, size_t limit,
                                    size_t *removed, struct err *err) MUST_USE;

#endif
