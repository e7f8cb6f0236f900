/*
 * Vectors of queries that an endpoint embedded lately, the least recently used given up first. Bounded in bytes, keys
 * and book-keeping included. Any thread.
 */
#ifndef ASSAY_SERVER_QUERY_CACHE_H
#define ASSAY_SERVER_QUERY_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"

struct query_cache;
/* bytes_max 0: keeps nothing. */
struct query_cache *query_cache_new(size_t bytes_max);
void query_cache_free(struct query_cache *c); /* NULL is ignored */
/* Copies the vector (dim floats) of a key; false when it is not there, or has another dimension. */
bool query_cache_get(struct query_cache *c, const struct digest *key, float *out, size_t dim);
/* Keeps a copy, unless there is one. One that would fill more than a quarter of the cache is not kept. */
void query_cache_put(struct query_cache *c, const struct digest *key, const float *v, size_t dim);
size_t query_cache_bytes(struct query_cache *c);

#endif
