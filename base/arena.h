/*
 * Arena: memory that lives as long as one request, job step or batch, freed at once.
 *
 * malloc returning NULL is fatal (the process logs and aborts): no caller could do better, and
 * PostgreSQL holds every acknowledged byte. Sizes that come from outside are bounded before they get
 * here. Not thread-safe: an arena belongs to one thread at a time.
 */
#ifndef ASSAY_BASE_ARENA_H
#define ASSAY_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct arena;
struct arena_mark {
    void *block;
    size_t used;
    void *defers;
};

struct arena *arena_new(size_t first_block);
/* Runs the deferred functions, newest first, and frees everything. NULL is ignored. */
void arena_free(struct arena *a);
/* As arena_free, but keeps the first block for reuse. */
void arena_reset(struct arena *a);

/* Never NULL; aligned to 16; not zeroed. n == 0 gives a valid unique pointer. */
void *arena_alloc(struct arena *a, size_t n) MUST_USE;
/* Never NULL; zeroed; aborts on overflow of n * size. */
void *arena_calloc(struct arena *a, size_t n, size_t size) MUST_USE;
char *arena_strndup(struct arena *a, const char *s, size_t n) MUST_USE; /* NUL-terminated copy */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define ARENA_NEW(a, type) ((type *)arena_calloc((a), 1, sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_calloc((a), (n), sizeof(type)))

/* Calls fn(ptr) when the arena is freed, reset or rolled back past this point: ties a foreign resource to it. */
void arena_defer(struct arena *a, void (*fn)(void *), void *ptr);

/* Marks and rolls back (a retried transaction leaves nothing behind). */
struct arena_mark arena_mark(struct arena *a);
void arena_rollback(struct arena *a, struct arena_mark mark);

/* Bytes reserved from malloc, for limits and tests. */
size_t arena_reserved(const struct arena *a);

/* malloc/calloc/realloc/strdup that never return NULL (fatal instead). Freed with free(). The only malloc in the house.
 */
void *mem_alloc(size_t n) MUST_USE;
void *mem_calloc(size_t n, size_t size) MUST_USE;
void *mem_aligned(size_t align, size_t n) MUST_USE; /* align: a power of two; not zeroed */
void *mem_realloc(void *p, size_t n) MUST_USE;
char *mem_strdup(const char *s) MUST_USE;
char *mem_strndup(const char *s, size_t n) MUST_USE;

#endif
