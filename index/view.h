/*
 * Views: what a search sees, immutable once published. A reader pins the current view with a hazard pointer (M.
 * Michael, "Hazard pointers", IEEE TPDS 2004): it claims one of VIEW_SLOTS slots, writes the pointer into it and looks
 * whether the view is still current. The writer exchanges the current view, and frees an old one once no slot names it.
 * Neither ever waits for the other.
 *
 * A claimed slot belongs to one search until it is released, so it carries that search's reusable memory too.
 */
#ifndef ASSAY_INDEX_VIEW_H
#define ASSAY_INDEX_VIEW_H

#include <stdatomic.h>

#include "index/embed.h"
#include "index/lsa.h"
#include "index/visible.h"

struct view_seg {
    struct segment *seg;
    struct seg_vis vis;
};

struct view {
    int64_t seq;
    struct digest commit;
    size_t n;
    struct view_seg *segs;
    struct sources *sources;
    struct lsa *lsa; /* what the vectors of a built-in embedder are by; NULL: hashed features */
    uint64_t generation;
    /* statistics of the live (not retired) rows, whatever segments they lie in */
    size_t live_rows, by_state[CHUNK_STATE_COUNT], rows, flat_rows, terms;
    uint64_t live_length; /* eighths of words */
    uint32_t langs;
    struct view *next_retired; /* writer's */
};

/* Memory that one search after another reuses. */
struct scratch {
    struct words *words;
    struct embedder *embedder;
    float *scores; /* all zero between searches */
    size_t n_scores;
};
/* At least n zeroes. */
float *scratch_scores(struct scratch *s, size_t n);

enum { VIEW_SLOTS = 256, VIEW_SLOT_BYTES = 128 /* two cache lines: neighbours do not slow each other */ };
struct view_slot {
    _Atomic(struct view *) view;
    struct scratch scratch;
    char pad[VIEW_SLOT_BYTES - sizeof(struct scratch) - sizeof(void *)];
};
struct views {
    _Atomic(struct view *) current;
    char pad[VIEW_SLOT_BYTES];
    struct view_slot slots[VIEW_SLOTS];
    struct view *retired; /* writer's: no longer current, perhaps pinned */
};

/* `first` becomes current. */
void views_init(struct views *v, struct view *first);
/* Waits until nothing is pinned, then frees every view. */
void views_clear(struct views *v);

/* Reader: pins the current view. With all slots taken (that many results held at once) it waits for one. */
struct view_slot *views_pin(struct views *v);
void views_unpin(struct view_slot *slot);

/* Writer: makes `next` current and frees what nobody pins any more. */
void views_publish(struct views *v, struct view *next);

/* Makes a view of n segments, taking references to each and to the sources. */
struct view *view_new(const struct view_seg *segs, size_t n, struct sources *sources, int64_t seq,
                      const struct digest *commit);

#endif
