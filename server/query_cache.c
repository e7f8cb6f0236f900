#include "server/query_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum { BYTES_PER_BUCKET = 2048, BUCKETS_MIN = 16, BUCKETS_MAX = 1 << 18, SHARE_MAX = 4 };

struct entry {
    struct digest key;
    struct entry *chain;         /* of the bucket */
    struct entry *newer, *older; /* in order of use */
    size_t dim;
    float v[];
};

struct query_cache {
    pthread_mutex_t lock;
    size_t bytes, bytes_max, n_buckets; /* a power of two */
    struct entry *newest, *oldest;
    struct entry **buckets;
};

struct query_cache *query_cache_new(size_t bytes_max)
{
    struct query_cache *c = mem_calloc(1, sizeof *c);
    c->n_buckets = BUCKETS_MIN;
    while (c->n_buckets < BUCKETS_MAX && c->n_buckets * BYTES_PER_BUCKET < bytes_max)
        c->n_buckets *= 2;
    c->bytes_max = bytes_max;
    c->buckets = mem_calloc(c->n_buckets, sizeof(struct entry *));
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void query_cache_free(struct query_cache *c)
{
    if (!c)
        return;
    for (struct entry *e = c->newest, *next; e; e = next) {
        next = e->older;
        free(e);
    }
    pthread_mutex_destroy(&c->lock);
    free(c->buckets);
    free(c);
}

static size_t entry_bytes(size_t dim)
{
    return sizeof(struct entry) + dim * sizeof(float);
}

/* The place that points to the entry of a key, or the end of its chain. A digest is as good as a hash can be. */
static struct entry **find(struct query_cache *c, const struct digest *key)
{
    size_t hash;
    memcpy(&hash, key->b, sizeof hash);
    struct entry **at = &c->buckets[hash & (c->n_buckets - 1)];
    while (*at && !digest_eq(&(*at)->key, key))
        at = &(*at)->chain;
    return at;
}

static void unlink_use(struct query_cache *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_newest(struct query_cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(e->older ? &e->older->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop_oldest(struct query_cache *c)
{
    struct entry *e = c->oldest;
    c->oldest = e->newer;
    *(c->oldest ? &c->oldest->older : &c->newest) = NULL;
    struct entry **at = find(c, &e->key);
    *at = e->chain;
    c->bytes -= entry_bytes(e->dim);
    free(e);
}

bool query_cache_get(struct query_cache *c, const struct digest *key, float *out, size_t dim)
{
    pthread_mutex_lock(&c->lock);
    struct entry *e = *find(c, key);
    bool found = e && e->dim == dim;
    if (found) {
        memcpy(out, e->v, dim * sizeof *out);
        unlink_use(c, e);
        link_newest(c, e);
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

void query_cache_put(struct query_cache *c, const struct digest *key, const float *v, size_t dim)
{
    size_t bytes = entry_bytes(dim);
    if (bytes > c->bytes_max / SHARE_MAX)
        return;
    pthread_mutex_lock(&c->lock);
    if (!*find(c, key)) { /* two may have asked for the same */
        while (c->oldest && c->bytes + bytes > c->bytes_max)
            drop_oldest(c);
        struct entry *e = mem_calloc(1, bytes), **at = find(c, key);
        e->key = *key;
        e->dim = dim;
        memcpy(e->v, v, dim * sizeof *v);
        *at = e;
        link_newest(c, e);
        c->bytes += bytes;
    }
    pthread_mutex_unlock(&c->lock);
}

size_t query_cache_bytes(struct query_cache *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->bytes;
    pthread_mutex_unlock(&c->lock);
    return n;
}
