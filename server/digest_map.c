#include "server/digest_map.h"

#include <string.h>

void digest_map_init(struct digest_map *m, struct arena *a, size_t n)
{
    size_t size = 8;
    while (size < 2 * n)
        size *= 2;
    m->keys = ARENA_ARRAY(a, const struct digest *, size);
    m->values = ARENA_ARRAY(a, size_t, size);
    m->mask = size - 1;
}

size_t digest_map_put(struct digest_map *m, const struct digest *key, size_t value)
{
    size_t at;
    memcpy(&at, key->b, sizeof at);
    for (at &= m->mask; m->keys[at]; at = (at + 1) & m->mask)
        if (digest_eq(m->keys[at], key))
            return m->values[at];
    m->keys[at] = key;
    m->values[at] = value;
    return value;
}
