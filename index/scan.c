/*
 * The exact scan. Where a segment has codes, they are read first, a quarter of the bytes: only a row whose score might
 * reach the list, the code's error reckoned in, is scored by its vector. The hits and their scores are those of a scan
 * of the vectors, to the bit.
 */
#include "index/kernel.h"
#include "index/search.h"

enum {
    ROWS = KERNEL_ROWS,
    AHEAD = 8 /* rows fetched while others are scored */
};
_Static_assert((int)KERNEL_ROWS == (int)CODE8_ROWS && AHEAD % ROWS == 0, "both kernels take as many rows at once");

struct batch {
    uint32_t rows[AHEAD];
    size_t n;
};

struct scan {
    struct top *leg;
    const struct segment *seg;
    uint32_t seg_no;
    const float *query;
    struct code8_query code; /* of the query, where the segment has codes */
    float *room;             /* for one vector, where they are cold */
};

static const float *vector_of(const struct scan *sc, uint32_t row)
{
    return sc->seg->vectors + (size_t)row * sc->seg->dim;
}

static const uint8_t *code_of(const struct scan *sc, uint32_t row)
{
    return sc->seg->codes + (size_t)row * sc->code.stride;
}

static void fetch(const struct scan *sc, uint32_t row)
{
    enum { CACHE_LINE = 64 };
    bool coded = sc->seg->codes != NULL;
    const char *at = coded ? (const char *)code_of(sc, row) : (const char *)vector_of(sc, row);
    size_t bytes = coded ? sc->code.stride : sc->seg->dim * sizeof(float);
    for (size_t i = 0; i < bytes; i += CACHE_LINE) {
        __builtin_prefetch(at + i);
    }
}

static void keep(struct scan *sc, uint32_t row, float score)
{
    if (score >= top_floor(sc->leg)) {
        top_offer(sc->leg, &(struct candidate){score, sc->seg_no, row, &sc->seg->rows[row].chunk});
    }
}

static void keep_exact(struct scan *sc, uint32_t row)
{
    const struct segment *seg = sc->seg;
    const float *v = seg->cold.fd >= 0 ? cold_row(&seg->cold, row, sc->room) : vector_of(sc, row);
    keep(sc, row, kernel_dot(sc->query, v, seg->dim));
}

static void weigh(struct scan *sc, uint32_t row, float score)
{
    if (score + code8_bound(&sc->code, &sc->seg->code_rows[row]) >= top_floor(sc->leg)) {
        keep_exact(sc, row);
    }
}

static void four_codes(struct scan *sc, const uint32_t *rows)
{
    const uint8_t *codes[ROWS];
    const struct code8_row *of[ROWS];
    float scores[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        codes[r] = code_of(sc, rows[r]);
        of[r] = &sc->seg->code_rows[rows[r]];
    }
    code8_score4(&sc->code, codes, of, scores);
    for (size_t r = 0; r < ROWS; r++) {
        weigh(sc, rows[r], scores[r]);
    }
}

static void four_vectors(struct scan *sc, const uint32_t *rows)
{
    const float *vectors[ROWS];
    float scores[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        vectors[r] = vector_of(sc, rows[r]);
    }
    kernel_dot4(sc->query, vectors, sc->seg->dim, scores);
    for (size_t r = 0; r < ROWS; r++) {
        keep(sc, rows[r], scores[r]);
    }
}

static void scan_batch(struct scan *sc, struct batch *b)
{
    bool coded = sc->seg->codes != NULL;
    size_t i = 0;
    for (; i + ROWS <= b->n; i += ROWS) {
        if (coded) {
            four_codes(sc, b->rows + i);
        } else {
            four_vectors(sc, b->rows + i);
        }
    }
    for (; i < b->n; i++) {
        keep_exact(sc, b->rows[i]);
    }
    b->n = 0;
}

void scan_segment(struct search *s, uint32_t seg_no, const float *query)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    struct scan sc = {.leg = &s->legs[LEG_VECTOR], .seg = seg, .seg_no = seg_no, .query = query};
    struct batch two[2] = {{.n = 0}, {.n = 0}};
    struct arena_mark mark = arena_mark(s->arena);
    unsigned now = 0;
    if (seg->codes != NULL) {
        code8_make_query(query, seg->dim, arena_alloc(s->arena, code8_stride(seg->dim)), &sc.code);
        sc.room = arena_alloc(s->arena, seg->dim * sizeof(*sc.room));
    }
    BITS_EACH(s->eligible[seg_no].bits, seg->n, row)
    {
        fetch(&sc, (uint32_t)row);
        two[now].rows[two[now].n++] = (uint32_t)row;
        if (two[now].n == AHEAD) {
            now = 1 - now;
            scan_batch(&sc, &two[now]);
        }
    }
    scan_batch(&sc, &two[1 - now]);
    scan_batch(&sc, &two[now]);
    arena_rollback(s->arena, mark);
}
