#include "index/beam.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "index/bits.h"
#include "index/kernel.h"

enum {
    CACHE_LINE = 64,
    AHEAD = 2 * KERNEL_ROWS, /* rows whose vectors are fetched while others are scored */
    FEW = 8,                 /* not more than one neighbour in this many */
    THROUGH_MAX = 32         /* allowed rows to collect for one row of the beam when looking through hidden ones */
};

/* One of the best rows so far. */
struct place {
    float score;
    uint32_t row; /* with EXPANDED once its neighbours were looked at */
};
#define EXPANDED (UINT32_C(1) << 31)

/* The beam, in descending order of score. */
struct beam {
    struct place *at;
    size_t n, cap;
    size_t next; /* everything before it was expanded */
};

struct walk {
    const struct beam_graph *g;
    const float *query;
    const uint64_t *allowed;
    uint64_t *seen; /* rows that were scored or looked through */
    struct beam beam;
    uint32_t *batch; /* rows to score next */
    size_t n_batch;
};

static const float *vector_of(const struct beam_graph *g, uint32_t row)
{
    return g->vectors + (size_t)row * g->dim;
}

static void fetch_vector(const struct beam_graph *g, uint32_t row)
{
    const char *p = (const char *)vector_of(g, row);
    for (size_t i = 0; i < g->dim * sizeof(float); i += CACHE_LINE) {
        __builtin_prefetch(p + i);
    }
}

static const int32_t *ground_links(const struct beam_graph *g, uint32_t row)
{
    return g->links + g->offsets[row];
}

static const int32_t *upper_links(const struct beam_graph *g, uint32_t row, int level)
{
    return ground_links(g, row) + g->ground + (size_t)(level - 1) * g->upper;
}

static void insert(struct beam *b, float score, uint32_t row)
{
    if (b->n == b->cap && !(score > b->at[b->n - 1].score)) {
        return;
    }
    size_t lo = 0, hi = b->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (b->at[mid].score >= score) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    size_t moved = (b->n < b->cap ? b->n : b->cap - 1) - lo;
    memmove(&b->at[lo + 1], &b->at[lo], moved * sizeof(*b->at));
    b->at[lo] = (struct place){score, row};
    b->n += b->n < b->cap ? 1 : 0;
    b->next = lo < b->next ? lo : b->next;
}

/* Scores the batch, calling `insert` for each. */
static void score_batch(struct walk *w)
{
    const struct beam_graph *g = w->g;
    size_t i = 0;
    for (size_t ahead = 0; ahead < w->n_batch && ahead < AHEAD; ahead++) {
        fetch_vector(g, w->batch[ahead]);
    }
    for (; i + KERNEL_ROWS <= w->n_batch; i += KERNEL_ROWS) {
        const float *rows[KERNEL_ROWS];
        float scores[KERNEL_ROWS];
        for (size_t r = 0; r < KERNEL_ROWS; r++) {
            rows[r] = vector_of(g, w->batch[i + r]);
            if (i + r + AHEAD < w->n_batch) {
                fetch_vector(g, w->batch[i + r + AHEAD]);
            }
        }
        kernel_dot4(w->query, rows, g->dim, scores);
        for (size_t r = 0; r < KERNEL_ROWS; r++) {
            insert(&w->beam, scores[r], w->batch[i + r]);
        }
    }
    for (; i < w->n_batch; i++) {
        insert(&w->beam, kernel_dot(w->query, vector_of(g, w->batch[i]), g->dim), w->batch[i]);
    }
    w->n_batch = 0;
}

/* Goes down through the levels above the ground, at each to the nearest row that it can reach. */
static uint32_t descend(const struct beam_graph *g, const float *query)
{
    uint32_t at = (uint32_t)g->entry;
    float best = kernel_dot(query, vector_of(g, at), g->dim);
    for (int level = g->max_level; level > 0; level--) {
        for (bool moved = true; moved;) {
            const int32_t *links = upper_links(g, at, level);
            moved = false;
            for (size_t i = 0; i < g->upper && links[i] >= 0; i++) {
                fetch_vector(g, (uint32_t)links[i]);
            }
            for (size_t i = 0; i < g->upper && links[i] >= 0; i++) {
                float score = kernel_dot(query, vector_of(g, (uint32_t)links[i]), g->dim);
                if (score > best) {
                    best = score;
                    at = (uint32_t)links[i];
                    moved = true;
                }
            }
        }
    }
    return at;
}

/* Marks a row as seen; true when it was not. */
static bool meet(struct walk *w, uint32_t row)
{
    if (bits_get(w->seen, row)) {
        return false;
    }
    bits_put(w->seen, row, true);
    return true;
}

/* The unseen neighbours of a row go into the batch. */
static void look(struct walk *w, uint32_t row)
{
    const int32_t *links = ground_links(w->g, row);
    for (size_t i = 0; i < w->g->ground && links[i] >= 0; i++) {
        if (meet(w, (uint32_t)links[i])) {
            w->batch[w->n_batch++] = (uint32_t)links[i];
        }
    }
}

/* The unseen neighbours that are allowed; and, where more than a few are hidden, those behind the hidden ones. */
static void look_through(struct walk *w, uint32_t row)
{
    const int32_t *links = ground_links(w->g, row);
    size_t n = 0, hidden = 0;
    for (; n < w->g->ground && links[n] >= 0; n++) {
        if (!bits_get(w->allowed, (uint32_t)links[n])) {
            __builtin_prefetch(ground_links(w->g, (uint32_t)links[n]));
            hidden++;
        } else if (meet(w, (uint32_t)links[n])) {
            w->batch[w->n_batch++] = (uint32_t)links[n];
        }
    }
    if (hidden * FEW <= n) {
        return;
    }
    for (size_t i = 0; i < n && w->n_batch < THROUGH_MAX; i++) {
        if (bits_get(w->allowed, (uint32_t)links[i]) || !meet(w, (uint32_t)links[i])) {
            continue;
        }
        const int32_t *far = ground_links(w->g, (uint32_t)links[i]);
        for (size_t k = 0; k < w->g->ground && far[k] >= 0; k++) {
            if (bits_get(w->allowed, (uint32_t)far[k]) && meet(w, (uint32_t)far[k])) {
                w->batch[w->n_batch++] = (uint32_t)far[k];
            }
        }
    }
}

/* Where the walk over allowed rows begins: the first that a breadth-first look around `from` finds. */
static void begin(struct walk *w, uint32_t from, uint32_t *queue, size_t cap)
{
    size_t n = 0;
    (void)meet(w, from);
    if (w->allowed == NULL || bits_get(w->allowed, from)) {
        w->batch[w->n_batch++] = from;
        return;
    }
    queue[n++] = from;
    for (size_t i = 0; i < n && w->n_batch < w->g->ground; i++) {
        const int32_t *links = ground_links(w->g, queue[i]);
        for (size_t k = 0; k < w->g->ground && links[k] >= 0 && w->n_batch < w->g->ground; k++) {
            uint32_t row = (uint32_t)links[k];
            if (!meet(w, row)) {
                continue;
            }
            if (bits_get(w->allowed, row)) {
                w->batch[w->n_batch++] = row;
            } else if (n < cap) {
                queue[n++] = row;
            }
        }
    }
}

size_t beam_search(const struct beam_graph *g, const float *query, size_t k, size_t ef, const uint64_t *allowed,
                   struct arena *a, int64_t *rows, float *scores)
{
    if (g->entry < 0 || k == 0) {
        return 0;
    }
    struct arena_mark mark = arena_mark(a);
    size_t words = bits_words(g->n), queue_cap = g->n < 65536 ? g->n : 65536;
    struct walk w = {.g = g, .query = query, .allowed = allowed};
    w.seen = arena_alloc(a, words * sizeof(*w.seen));
    memset(w.seen, 0, words * sizeof(*w.seen));
    w.beam.cap = ef > k ? ef : k;
    w.beam.at = arena_alloc(a, (w.beam.cap + 1) * sizeof(*w.beam.at));
    w.batch = arena_alloc(a, (2 * g->ground + THROUGH_MAX) * sizeof(*w.batch));
    uint32_t *queue = allowed != NULL ? arena_alloc(a, queue_cap * sizeof(*queue)) : NULL;
    begin(&w, descend(g, query), queue, queue_cap);
    score_batch(&w);
    while (w.beam.next < w.beam.n) {
        struct place *p = &w.beam.at[w.beam.next++];
        if (p->row & EXPANDED) {
            continue;
        }
        uint32_t row = p->row;
        p->row |= EXPANDED;
        if (allowed != NULL) {
            look_through(&w, row);
        } else {
            look(&w, row);
        }
        score_batch(&w);
    }
    size_t found = w.beam.n < k ? w.beam.n : k;
    for (size_t i = 0; i < found; i++) {
        rows[i] = (int64_t)(w.beam.at[i].row & ~EXPANDED);
        scores[i] = w.beam.at[i].score;
    }
    arena_rollback(a, mark);
    return found;
}
