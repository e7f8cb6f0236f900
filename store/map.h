/* Internal to store/: a hash map from bytes to a number, in an arena. Keys are not copied. The hash is seeded at
 * random, so that clients cannot choose keys that collide. Not thread-safe. */
#ifndef ASSAY_STORE_MAP_H
#define ASSAY_STORE_MAP_H

#include "base/arena.h"
#include "base/digest.h"
#include "base/str.h"

struct map_slot {
    struct str key;
    int64_t value;
};
struct map {
    struct arena *arena;
    struct map_slot *slots;
    size_t cap, n;
    uint64_t seed;
};
void map_init(struct map *m, struct arena *a, size_t expected);
/* The value of the key, or NULL. Valid until the next map_put. */
int64_t *map_get(const struct map *m, struct str key);
/* Sets the value; true when the key is new. */
bool map_put(struct map *m, struct str key, int64_t value);
struct str digest_key(const struct digest *d); /* a view of its bytes */

#endif
