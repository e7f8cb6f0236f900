#include "store/map.h"

#include <string.h>

static uint64_t hash_of(const struct map *m, struct str key)
{
    uint64_t h = m->seed;
    for (size_t i = 0; i < key.len; i++) {
        h = (h ^ (uint8_t)key.ptr[i]) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    return h ^ h >> 32;
}

void map_init(struct map *m, struct arena *a, size_t expected)
{
    size_t cap = 16;
    while (cap < expected * 2)
        cap *= 2;
    *m = (struct map){.arena = a, .slots = ARENA_ARRAY(a, struct map_slot, cap), .cap = cap};
    digest_random(&m->seed, sizeof m->seed);
}

static struct map_slot *find(const struct map *m, struct str key)
{
    for (size_t i = (size_t)hash_of(m, key);; i++) {
        struct map_slot *s = &m->slots[i & (m->cap - 1)];
        if (!s->key.ptr || (s->key.len == key.len && memcmp(s->key.ptr, key.ptr, key.len) == 0))
            return s;
    }
}

int64_t *map_get(const struct map *m, struct str key)
{
    struct map_slot *s = find(m, key);
    return s->key.ptr ? &s->value : NULL;
}

static void grow(struct map *m)
{
    struct map_slot *old = m->slots;
    size_t old_cap = m->cap;
    m->cap *= 2;
    m->slots = ARENA_ARRAY(m->arena, struct map_slot, m->cap);
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].key.ptr)
            *find(m, old[i].key) = old[i];
}

bool map_put(struct map *m, struct str key, int64_t value)
{
    if (!key.ptr)
        key.ptr = "";
    if (m->n * 2 >= m->cap)
        grow(m);
    struct map_slot *s = find(m, key);
    bool fresh = !s->key.ptr;
    m->n += fresh;
    s->key = key;
    s->value = value;
    return fresh;
}

struct str digest_key(const struct digest *d)
{
    return (struct str){(const char *)d->b, DIGEST_LEN};
}
