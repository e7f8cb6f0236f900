#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Under AddressSanitizer the unused part of a block is poisoned and allocations are kept 16 bytes apart, so that an
 * overrun inside an arena is reported like one on the heap. */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
enum { REDZONE = 16 };
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
enum { REDZONE = 0 };
#endif

enum {
    ALIGN = 16,
    BLOCK_MIN = 1024,
    BLOCK_GROW_MAX = 256 * 1024, /* blocks double up to here; larger requests get a block of their own size */
};

struct block {
    struct block *prev;
    size_t size; /* of bytes */
    size_t used;
    size_t pad;
    char bytes[];
};
static_assert(offsetof(struct block, bytes) % ALIGN == 0, "allocations are aligned to 16");

struct defer {
    struct defer *prev;
    void (*fn)(void *);
    void *ptr;
};

struct arena {
    struct block *top;
    struct defer *defers; /* newest first */
    size_t reserved;
};

/* Memory may be gone, so the message takes no path that allocates. */
static _Noreturn void out_of_memory(void)
{
    static const char msg[] = "assayd: out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, msg, sizeof msg - 1);
    (void)ignored;
    abort();
}

void *mem_alloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *mem_aligned(size_t align, size_t n)
{
    void *p = aligned_alloc(align, (n / align + 1) * align);
    if (!p)
        out_of_memory();
    return p;
}

void *mem_calloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    if (!q)
        out_of_memory();
    return q;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_strndup(const char *s, size_t n)
{
    char *p = mem_alloc(n + 1);
    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

static void arena_push(struct arena *a, size_t size)
{
    struct block *b = mem_alloc(sizeof *b + size);
    *b = (struct block){.prev = a->top, .size = size};
    POISON(b->bytes, size);
    a->top = b;
    a->reserved += sizeof *b + size;
}

static void arena_pop(struct arena *a)
{
    struct block *b = a->top;
    a->top = b->prev;
    a->reserved -= sizeof *b + b->size;
    UNPOISON(b->bytes, b->size);
    free(b);
}

struct arena *arena_new(size_t first_block)
{
    struct arena *a = mem_calloc(1, sizeof *a);
    a->reserved = sizeof *a;
    arena_push(a, first_block < BLOCK_MIN ? BLOCK_MIN : first_block);
    return a;
}

static void run_defers(struct arena *a, const struct defer *until)
{
    while (a->defers && a->defers != until) {
        struct defer *d = a->defers;
        a->defers = d->prev;
        d->fn(d->ptr);
    }
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    run_defers(a, NULL);
    while (a->top)
        arena_pop(a);
    free(a);
}

void arena_reset(struct arena *a)
{
    run_defers(a, NULL);
    while (a->top->prev)
        arena_pop(a);
    a->top->used = 0;
    POISON(a->top->bytes, a->top->size);
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        out_of_memory();
    size_t need = ((n ? n : 1) + REDZONE + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (a->top->size - a->top->used < need) {
        size_t size = a->top->size < BLOCK_GROW_MAX / 2 ? a->top->size * 2 : BLOCK_GROW_MAX;
        arena_push(a, size < need ? need : size);
    }
    void *p = a->top->bytes + a->top->used;
    a->top->used += need;
    UNPOISON(p, n);
    return p;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        out_of_memory();
    void *p = arena_alloc(a, total);
    memset(p, 0, total);
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

void arena_defer(struct arena *a, void (*fn)(void *), void *ptr)
{
    struct defer *d = arena_alloc(a, sizeof *d);
    *d = (struct defer){.prev = a->defers, .fn = fn, .ptr = ptr};
    a->defers = d;
}

struct arena_mark arena_mark(struct arena *a)
{
    return (struct arena_mark){.block = a->top, .used = a->top->used, .defers = a->defers};
}

void arena_rollback(struct arena *a, struct arena_mark mark)
{
    run_defers(a, mark.defers);
    while (a->top != mark.block) {
        assert(a->top->prev);
        arena_pop(a);
    }
    assert(mark.used <= a->top->used);
    POISON(a->top->bytes + mark.used, a->top->size - mark.used);
    a->top->used = mark.used;
}

size_t arena_reserved(const struct arena *a)
{
    return a->reserved;
}
