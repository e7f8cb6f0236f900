/*
 * A fixed-capacity hash map from digest to index, in an arena: which texts of a batch were seen before. Digests are
 * uniform already, so their first bytes are the hash. Not thread-safe.
 */
#ifndef ASSAY_SERVER_DIGEST_MAP_H
#define ASSAY_SERVER_DIGEST_MAP_H

#include "base/arena.h"
#include "base/digest.h"

struct digest_map {
    const struct digest **keys; /* borrowed */
    size_t *values;
    size_t mask;
};
/* Room for n keys. */
void digest_map_init(struct digest_map *m, struct arena *a, size_t n);
/* The value stored for `key`; when there was none, `value` is stored and returned. `key` must outlive the map. */
size_t digest_map_put(struct digest_map *m, const struct digest *key, size_t value);

#endif
