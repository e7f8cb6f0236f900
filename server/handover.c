#include "server/handover.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"

enum { WAITING_MAX = 4 }; /* batches: what bounds the memory */

struct item {
    int32_t collection;
    int64_t from;
    struct handed what;
};

struct handover {
    pthread_mutex_t lock;           /* held for moments */
    struct item items[WAITING_MAX]; /* the oldest first */
    size_t n;
};

struct handover *handover_new(void)
{
    struct handover *h = mem_calloc(1, sizeof *h);
    if (pthread_mutex_init(&h->lock, NULL) != 0) {
        log_error("a lock cannot be made", "%s", "");
        abort();
    }
    return h;
}

void handover_free(struct handover *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++)
        arena_free(h->items[i].what.arena);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static void remove_at(struct handover *h, size_t i)
{
    for (h->n--; i < h->n; i++)
        h->items[i] = h->items[i + 1];
}

void handover_give(struct handover *h, int32_t collection, const struct documents_written *written, struct arena *arena)
{
    pthread_mutex_lock(&h->lock);
    bool taken = h->n < WAITING_MAX;
    if (taken)
        h->items[h->n++] =
            (struct item){collection,
                          written->from,
                          {written->changes, written->n, written->upto, written->commit, written->embedder, arena}};
    pthread_mutex_unlock(&h->lock);
    if (!taken)
        arena_free(arena);
}

/* Moves the collection's items that `applied` has passed out of the list; the caller frees them, without the lock. */
static size_t take_stale(struct handover *h, int32_t collection, int64_t applied, struct arena *stale[WAITING_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < h->n;) {
        if (h->items[i].collection == collection && h->items[i].from < applied) {
            stale[n++] = h->items[i].what.arena;
            remove_at(h, i);
        } else {
            i++;
        }
    }
    return n;
}

bool handover_take(struct handover *h, int32_t collection, int64_t applied, struct handed *out)
{
    struct arena *stale[WAITING_MAX];
    bool found = false;
    pthread_mutex_lock(&h->lock);
    size_t n = take_stale(h, collection, applied, stale);
    for (size_t i = 0; i < h->n && !found; i++) {
        found = h->items[i].collection == collection && h->items[i].from == applied;
        if (found) {
            *out = h->items[i].what;
            remove_at(h, i);
        }
    }
    pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; i < n; i++)
        arena_free(stale[i]);
    return found;
}

void handover_drop(struct handover *h, int32_t collection)
{
    struct arena *stale[WAITING_MAX];
    pthread_mutex_lock(&h->lock);
    size_t n = take_stale(h, collection, INT64_MAX, stale);
    pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; i < n; i++)
        arena_free(stale[i]);
}
