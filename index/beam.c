#include "index/beam.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "index/bits.h"
#include "index/code8.h"
#include "index/cold.h"
#include "index/kernel.h"

enum {
    CACHE_LINE = 64,
    AHEAD = 2 * KERNEL_ROWS, /* rows whose vectors are fetched while others are scored */
    THROUGH_MAX = 32,        /* allowed neighbours of a row, from when on hidden ones are not looked through */
    SURE = 4,                /* by codes: as many times k of the beam's best are scored by their vectors */
    SURE_MIN = 32,           /* and at least as many */
    QUEUE_MAX = 16384        /* hidden rows to look around for where to begin */
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
    struct code8_query code; /* of the query, when the graph has codes */
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

static void fetch(const void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += CACHE_LINE) {
        __builtin_prefetch((const char *)at + i);
    }
}

static const uint8_t *code_of(const struct walk *w, uint32_t row)
{
    return w->g->codes + (size_t)row * w->code.stride;
}

/* What the walk will read of a row to score it. */
static void fetch_row(const struct walk *w, uint32_t row)
{
    if (w->g->codes != NULL) {
        fetch(code_of(w, row), w->code.stride);
        __builtin_prefetch(&w->g->rows[row]);
    } else {
        fetch(vector_of(w->g, row), w->g->dim * sizeof(float));
    }
}

static float score_one(const struct walk *w, uint32_t row)
{
    return w->g->codes != NULL ? code8_score(&w->code, code_of(w, row), &w->g->rows[row])
                               : kernel_dot(w->query, vector_of(w->g, row), w->g->dim);
}

enum { ROWS = KERNEL_ROWS };
_Static_assert((int)KERNEL_ROWS == (int)CODE8_ROWS, "both kernels take as many rows at once");

static void score_rows(const struct walk *w, const uint32_t *rows, float *scores)
{
    if (w->g->codes != NULL) {
        const uint8_t *codes[ROWS];
        const struct code8_row *of[ROWS];
        for (size_t r = 0; r < ROWS; r++) {
            codes[r] = code_of(w, rows[r]);
            of[r] = &w->g->rows[rows[r]];
        }
        code8_score4(&w->code, codes, of, scores);
        return;
    }
    const float *vectors[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        vectors[r] = vector_of(w->g, rows[r]);
    }
    kernel_dot4(w->query, vectors, w->g->dim, scores);
}

static const int32_t *ground_links(const struct beam_graph *g, uint32_t row)
{
    return g->links + g->offsets[row];
}

static const int32_t *upper_links(const struct beam_graph *g, uint32_t row, int level)
{
    return ground_links(g, row) + g->ground + (size_t)(level - 1) * g->upper;
}

/* Puts a row in its place; where that is (cap: it has none). */
static size_t insert(struct beam *b, float score, uint32_t row)
{
    size_t lo = 0, hi = b->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (b->at[mid].score >= score) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == b->cap) {
        return lo;
    }
    size_t moved = (b->n < b->cap ? b->n : b->cap - 1) - lo;
    memmove(&b->at[lo + 1], &b->at[lo], moved * sizeof(*b->at));
    b->at[lo] = (struct place){score, row};
    b->n += b->n < b->cap ? 1 : 0;
    b->next = lo < b->next ? lo : b->next;
    return lo;
}

/* Most rows are no better than the worst of a full beam. One that comes first is expanded next: its links are fetched
 * while the rest of the batch is scored. */
static inline void offer(struct walk *w, float score, uint32_t row)
{
    struct beam *b = &w->beam;
    if (b->n == b->cap && !(score > b->at[b->n - 1].score)) {
        return;
    }
    if (insert(b, score, row) == b->next) {
        fetch(ground_links(w->g, row), w->g->ground * sizeof(int32_t));
    }
}

/* Scores the batch and offers each row to the beam. */
static void score_batch(struct walk *w)
{
    size_t i = 0;
    for (size_t ahead = 0; ahead < w->n_batch && ahead < AHEAD; ahead++) {
        fetch_row(w, w->batch[ahead]);
    }
    for (; i + ROWS <= w->n_batch; i += ROWS) {
        float scores[ROWS];
        for (size_t r = i + AHEAD; r < i + AHEAD + ROWS && r < w->n_batch; r++) {
            fetch_row(w, w->batch[r]);
        }
        score_rows(w, w->batch + i, scores);
        for (size_t r = 0; r < ROWS; r++) {
            offer(w, scores[r], w->batch[i + r]);
        }
    }
    for (; i < w->n_batch; i++) {
        offer(w, score_one(w, w->batch[i]), w->batch[i]);
    }
    w->n_batch = 0;
}

/* Goes down through the levels above the ground, at each to the nearest row that it can reach. */
static uint32_t descend(const struct walk *w)
{
    const struct beam_graph *g = w->g;
    uint32_t at = (uint32_t)g->entry;
    float best = score_one(w, at);
    for (int level = g->max_level; level > 0; level--) {
        for (bool moved = true; moved;) {
            const int32_t *links = upper_links(g, at, level);
            moved = false;
            for (size_t i = 0; i < g->upper && links[i] >= 0; i++) {
                fetch_row(w, (uint32_t)links[i]);
            }
            for (size_t i = 0; i < g->upper && links[i] >= 0; i++) {
                float score = score_one(w, (uint32_t)links[i]);
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

static float score_by_vector(const struct walk *w, uint32_t row, float *room)
{
    const float *v = w->g->cold != NULL ? cold_row(w->g->cold, row, room) : vector_of(w->g, row);
    return kernel_dot(w->query, v, w->g->dim);
}

/* Scores the best of the beam by their vectors and puts these in order; how many they are. `room`: for one vector. */
static size_t rescore(struct walk *w, size_t k, float *room)
{
    enum { FETCHED = 4 };
    struct beam *b = &w->beam;
    size_t sure = SURE * k > SURE_MIN ? SURE * k : SURE_MIN, n = b->n < sure ? b->n : sure;
    struct beam exact = {.at = b->at, .cap = n};
    for (size_t i = 0; i < n; i++) {
        b->at[i].row &= ~EXPANDED;
    }
    bool near = w->g->cold == NULL;
    for (size_t i = 0; near && i < n && i < FETCHED; i++) {
        fetch(vector_of(w->g, b->at[i].row), w->g->dim * sizeof(float));
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t row = b->at[i].row;
        if (near && i + FETCHED < n) {
            fetch(vector_of(w->g, b->at[i + FETCHED].row), w->g->dim * sizeof(float));
        }
        /* At most i places are taken, so nothing that is still to be read is written over. */
        (void)insert(&exact, score_by_vector(w, row, room), row);
    }
    return n;
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

/* The unseen neighbours that are allowed; and, where they are few, those behind the hidden ones. */
static void look_through(struct walk *w, uint32_t row)
{
    const int32_t *links = ground_links(w->g, row);
    size_t n = 0, allowed = 0;
    for (; n < w->g->ground && links[n] >= 0; n++) {
        if (!bits_get(w->allowed, (uint32_t)links[n])) {
            __builtin_prefetch(ground_links(w->g, (uint32_t)links[n]));
            continue;
        }
        allowed++;
        if (meet(w, (uint32_t)links[n])) {
            w->batch[w->n_batch++] = (uint32_t)links[n];
        }
    }
    for (size_t i = 0; i < n && allowed < n && allowed < THROUGH_MAX; i++) {
        if (bits_get(w->allowed, (uint32_t)links[i]) || !meet(w, (uint32_t)links[i])) {
            continue;
        }
        const int32_t *far = ground_links(w->g, (uint32_t)links[i]);
        for (size_t k = 0; k < w->g->ground && far[k] >= 0; k++) {
            if (!bits_get(w->allowed, (uint32_t)far[k])) {
                continue;
            }
            allowed++;
            if (meet(w, (uint32_t)far[k])) {
                w->batch[w->n_batch++] = (uint32_t)far[k];
            }
        }
    }
}

/* Where the walk over allowed rows begins: those that a breadth-first look around a hidden row finds first. */
static void begin_around(struct walk *w, uint32_t from, struct arena *a)
{
    size_t n = 1, cap = w->g->n < QUEUE_MAX ? w->g->n : QUEUE_MAX;
    struct arena_mark mark = arena_mark(a);
    uint32_t *queue = arena_alloc(a, (cap + 1) * sizeof(*queue));
    queue[0] = from;
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
    arena_rollback(a, mark);
}

static void begin(struct walk *w, uint32_t from, struct arena *a)
{
    (void)meet(w, from);
    if (w->allowed == NULL || bits_get(w->allowed, from)) {
        w->batch[w->n_batch++] = from;
    } else {
        begin_around(w, from, a);
    }
}

size_t beam_search(const struct beam_graph *g, const float *query, size_t k, size_t ef, const uint64_t *allowed,
                   struct arena *a, int64_t *rows, float *scores)
{
    if (g->entry < 0 || k == 0) {
        return 0;
    }
    struct arena_mark mark = arena_mark(a);
    size_t words = bits_words(g->n);
    struct walk w = {.g = g, .query = query, .allowed = allowed};
    w.seen = arena_alloc(a, words * sizeof(*w.seen));
    memset(w.seen, 0, words * sizeof(*w.seen));
    w.beam.cap = ef > k ? ef : k;
    w.beam.at = arena_alloc(a, (w.beam.cap + 1) * sizeof(*w.beam.at));
    w.batch = arena_alloc(a, (2 * g->ground + THROUGH_MAX) * sizeof(*w.batch));
    if (g->codes != NULL) {
        code8_make_query(query, g->dim, arena_alloc(a, code8_stride(g->dim)), &w.code);
    }
    begin(&w, descend(&w), a);
    score_batch(&w);
    while (w.beam.next < w.beam.n) {
        struct place *p = &w.beam.at[w.beam.next++];
        if (p->row & EXPANDED) {
            continue;
        }
        uint32_t row = p->row;
        p->row |= EXPANDED;
        if (w.beam.next < w.beam.n && !(p[1].row & EXPANDED)) {
            fetch(ground_links(g, p[1].row), g->ground * sizeof(int32_t));
        }
        if (allowed != NULL) {
            look_through(&w, row);
        } else {
            look(&w, row);
        }
        score_batch(&w);
    }
    size_t found = g->codes != NULL ? rescore(&w, k, arena_alloc(a, g->dim * sizeof(float))) : w.beam.n;
    found = found < k ? found : k;
    for (size_t i = 0; i < found; i++) {
        rows[i] = (int64_t)(w.beam.at[i].row & ~EXPANDED);
        scores[i] = w.beam.at[i].score;
    }
    arena_rollback(a, mark);
    return found;
}
