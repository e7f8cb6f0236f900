#include "index/view.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"

struct view *view_new(const struct view_seg *segs, size_t n, struct sources *sources, int64_t seq,
                      const struct digest *commit)
{
    struct view *v = mem_calloc(1, sizeof(*v));
    v->seq = seq;
    v->commit = *commit;
    v->n = n;
    v->segs = mem_calloc(n + 1, sizeof(*v->segs));
    v->sources = sources_ref(sources);
    for (size_t i = 0; i < n; i++) {
        v->segs[i] = segs[i];
        segment_ref(segs[i].seg);
        vis_ref(&segs[i].vis);
        const struct vis_rows *rows = segs[i].vis.rows;
        for (size_t s = 0; s < CHUNK_STATE_COUNT; s++) {
            v->by_state[s] += rows->by_state[s];
        }
        v->rows += rows->n;
        v->flat_rows += segs[i].seg->graph == NULL ? rows->n : 0;
        v->live_rows += rows->n - rows->by_state[CHUNK_RETIRED];
        v->live_length += rows->live_length;
        v->langs |= segs[i].seg->langs;
        v->terms += segs[i].seg->terms.n_keys;
    }
    return v;
}

static void view_free(struct view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        vis_unref(&v->segs[i].vis);
        segment_unref(v->segs[i].seg);
    }
    sources_unref(v->sources);
    lsa_unref(v->lsa);
    free(v->segs);
    free(v);
}

float *scratch_scores(struct scratch *s, size_t n)
{
    if (n > s->n_scores) {
        free(s->scores);
        s->n_scores = n + n / 2;
        s->scores = mem_calloc(s->n_scores, sizeof(*s->scores));
    }
    return s->scores;
}

void views_init(struct views *v, struct view *first)
{
    atomic_init(&v->current, first);
    v->retired = NULL;
    for (size_t i = 0; i < VIEW_SLOTS; i++) {
        atomic_init(&v->slots[i].view, NULL);
        v->slots[i].scratch = (struct scratch){0};
    }
}

static bool pinned(struct views *v, const struct view *view)
{
    for (size_t i = 0; i < VIEW_SLOTS; i++) {
        const struct view *held = atomic_load(&v->slots[i].view);
        if (held != NULL && (view == NULL || held == view)) {
            return true;
        }
    }
    return false;
}

static void collect(struct views *v)
{
    struct view **link = &v->retired;
    while (*link != NULL) {
        struct view *view = *link;
        if (pinned(v, view)) {
            link = &view->next_retired;
        } else {
            *link = view->next_retired;
            view_free(view);
        }
    }
}

void views_clear(struct views *v)
{
    while (pinned(v, NULL)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    collect(v);
    view_free(atomic_load(&v->current));
    for (size_t i = 0; i < VIEW_SLOTS; i++) {
        struct scratch *s = &v->slots[i].scratch;
        words_free(s->words);
        embedder_free(s->embedder);
        free(s->scores);
    }
}

/* Each thread begins at a place of its own, so that it meets the same slot (and its warm memory) again. */
static size_t first_slot(void)
{
    uint64_t h = (uint64_t)pthread_self() * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(h >> 32) % VIEW_SLOTS;
}

static struct view_slot *claim(struct views *v, struct view *view)
{
    size_t first = first_slot();
    for (;;) {
        for (size_t i = 0; i < VIEW_SLOTS; i++) {
            struct view_slot *slot = &v->slots[(first + i) % VIEW_SLOTS];
            struct view *none = NULL;
            if (atomic_load_explicit(&slot->view, memory_order_relaxed) == NULL &&
                atomic_compare_exchange_strong(&slot->view, &none, view)) {
                return slot;
            }
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}

struct view_slot *views_pin(struct views *v)
{
    struct view *view = atomic_load(&v->current);
    struct view_slot *slot = claim(v, view);
    /* The view may have been retired and freed before the slot named it. If it is current still, it was not. */
    for (;;) {
        struct view *now = atomic_load(&v->current);
        if (now == view) {
            break;
        }
        view = now;
        atomic_store(&slot->view, view);
    }
    if (slot->scratch.words == NULL) {
        slot->scratch.words = words_new();
        slot->scratch.embedder = embedder_new();
    }
    return slot;
}

void views_unpin(struct view_slot *slot)
{
    atomic_store_explicit(&slot->view, NULL, memory_order_release);
}

void views_publish(struct views *v, struct view *next)
{
    struct view *old = atomic_exchange(&v->current, next);
    old->next_retired = v->retired;
    v->retired = old;
    collect(v);
}
