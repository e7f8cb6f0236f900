/*
 * Scoring rows by BM25. Small segments are scored term by term. In large ones, blocks of rows are visited in the order
 * of what they can reach at most, and within a block the terms are parted (MaxScore: Turtle and Flood 1995): those that
 * together cannot lift a row to the worst of the best so far are only looked up for rows that another term brings.
 *
 * Both give the same hits and the same scores to the bit: a row's score is always summed in the order of the terms.
 */
#include <stdlib.h>

#include "index/search.h"

/* Bounds are computed in another order than scores: this covers the rounding of either. */
static const float slack = 1.0001F;

enum { LOOK_UP_COST = 8 /* finding a row among a block's postings, in postings read in order */ };

static void offer(struct search *s, uint32_t seg_no, size_t row, float score)
{
    struct top *leg = &s->legs[LEG_LEXICAL];
    if (score > 0 && score >= top_floor(leg)) {
        const struct segment *seg = s->view->segs[seg_no].seg;
        if (s->n_phrases > 0 && !phrase_match(s, seg_no, (uint32_t)row)) {
            return;
        }
        top_offer(leg, &(struct candidate){score, seg_no, (uint32_t)row, &seg->rows[row].chunk});
    }
}

static float weight(const struct term *t)
{
    return (float)t->idf * (float)t->count * (BM25_K1 + 1);
}

/* ---- term by term ---- */

/* Few rows were touched: they are found again through the postings, and nothing else is looked at. */
static void collect_sparse(struct search *s, uint32_t seg_no, const uint64_t *bits, float *scores)
{
    for (size_t t = 0; t < s->n_terms; t++) {
        const struct postings *p = &s->terms[t].in[seg_no];
        for (size_t i = 0; i < p->n; i++) {
            if (bits_get(bits, p->rows[i])) {
                offer(s, seg_no, p->rows[i], scores[p->rows[i]]);
            }
            scores[p->rows[i]] = 0;
        }
    }
}

static void score_plainly(struct search *s, uint32_t seg_no, const uint64_t *bits, const struct bm25 *m)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    float *scores = scratch_scores(s->scratch, seg->n);
    size_t visited = 0;
    for (size_t t = 0; t < s->n_terms; t++) {
        const struct postings *p = &s->terms[t].in[seg_no];
        float gain = weight(&s->terms[t]);
        for (size_t i = 0; i < p->n; i++) {
            uint32_t row = p->rows[i];
            if (!term_counts(&s->terms[t], p, i)) {
                continue;
            }
            scores[row] += gain * bm25_gain(m, (float)p->freq[i], (float)seg->length[row]);
        }
        visited += p->n;
    }
    if (visited < seg->n / 8) {
        collect_sparse(s, seg_no, bits, scores);
        return;
    }
    BITS_EACH(bits, seg->n, row)
    {
        offer(s, seg_no, row, scores[row]);
    }
    memset(scores, 0, seg->n * sizeof(*scores));
}

/* ---- block by block ---- */

/* A term in a block. */
struct slice {
    uint32_t from, to; /* of its postings */
    float most;        /* what it adds to a row at most; 0: it has none here */
    bool needed;       /* the rows it has are candidates by themselves */
};

struct block {
    float most;
    uint32_t number;
};

struct pruner {
    struct search *s;
    const struct segment *seg;
    const uint64_t *bits;
    struct bm25 m;
    uint32_t seg_no;
    size_t n; /* terms */
    const struct postings **in;
    float *gains;
    struct bound *whole;
    struct slice *slices;      /* of all blocks: n for each */
    float rest;                /* what the terms that are not needed add together at most */
    float scores[BOUNDS_ROWS]; /* of the block's rows, by the needed terms */
    uint64_t touched[BOUNDS_ROWS / 64];
};

static size_t lower_row(const uint32_t *rows, size_t from, size_t to, size_t row)
{
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (rows[mid] < row) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from;
}

static float most_of(const struct pruner *x, float gain, const struct bound *b)
{
    return b->freq > 0 ? gain * slack / (1 + x->m.fixed / b->freq + x->m.slope * b->ratio) : 0;
}

/* Cuts a term's postings into the blocks' slices. Where there are bounds for blocks, no posting is looked at. */
static void cut_slices(struct pruner *x, size_t t)
{
    const struct bounds *b = x->seg->bounds;
    const struct postings *p = x->in[t];
    bool dense = p->n > 0 && p->key != SIZE_MAX && b->dense[p->key] != BOUNDS_SPARSE;
    const uint32_t *starts = dense ? b->starts + (size_t)b->dense[p->key] * (b->n_blocks + 1) : NULL;
    const struct bound *blocks = dense ? b->blocks + (size_t)b->dense[p->key] * b->n_blocks : NULL;
    float most = p->n > 0 ? most_of(x, x->gains[t], &x->whole[t]) : 0;
    size_t at = 0;
    for (size_t i = 0; i < b->n_blocks; i++) {
        struct slice *c = &x->slices[i * x->n + t];
        if (dense) {
            *c = (struct slice){.from = starts[i], .to = starts[i + 1]};
            c->most = c->from < c->to ? most_of(x, x->gains[t], &blocks[i]) : 0;
            continue;
        }
        c->from = (uint32_t)at;
        while (at < p->n && p->rows[at] < (i + 1) * BOUNDS_ROWS) {
            at++;
        }
        c->to = (uint32_t)at;
        c->most = c->from < c->to ? most : 0;
    }
}

static int block_cmp(const void *pa, const void *pb)
{
    const struct block *a = pa, *c = pb;
    if (a->most != c->most) {
        return a->most > c->most ? -1 : 1;
    }
    return (a->number > c->number) - (a->number < c->number);
}

/* Parts the terms: the weakest that together stay below the floor are not needed. */
static void part_terms(struct pruner *x, struct slice *slices, float floor)
{
    x->rest = 0;
    for (size_t i = 0; i < x->n; i++) {
        slices[i].needed = true;
    }
    for (;;) {
        struct slice *weakest = NULL;
        for (size_t i = 0; i < x->n; i++) {
            struct slice *c = &slices[i];
            if (c->needed && c->most > 0 && (weakest == NULL || c->most < weakest->most)) {
                weakest = c;
            }
        }
        if (weakest == NULL || !((x->rest + weakest->most) * slack < floor)) {
            return;
        }
        x->rest += weakest->most;
        weakest->needed = false;
    }
}

/* A row's whole score, summed over the terms in their order. Rows are asked for in ascending order. */
static float full_score(const struct pruner *x, struct slice *slices, size_t row)
{
    float score = 0, length = (float)x->seg->length[row];
    for (size_t i = 0; i < x->n; i++) {
        struct slice *c = &slices[i];
        const struct postings *p = x->in[i];
        c->from = (uint32_t)lower_row(p->rows, c->from, c->to, row);
        if (c->from < c->to && p->rows[c->from] == row && term_counts(&x->s->terms[i], p, c->from)) {
            score += x->gains[i] * bm25_gain(&x->m, (float)p->freq[c->from], length);
        }
    }
    return score;
}

static void add_slice(struct pruner *x, size_t t, const struct slice *c, size_t first)
{
    const struct postings *p = x->in[t];
    float gain = x->gains[t];
    for (size_t i = c->from; i < c->to; i++) {
        size_t row = p->rows[i], at = row - first;
        if (term_counts(&x->s->terms[t], p, i)) {
            x->scores[at] += gain * bm25_gain(&x->m, (float)p->freq[i], (float)x->seg->length[row]);
            x->touched[at / 64] |= UINT64_C(1) << (at % 64);
        }
    }
}

/* Scores the block's eligible rows by the needed terms, or by all. */
static void add_slices(struct pruner *x, size_t first, const struct slice *slices, bool all)
{
    size_t words = bits_words(x->seg->n) - first / 64;
    const uint64_t *eligible = x->bits + first / 64;
    memset(x->touched, 0, sizeof(x->touched));
    memset(x->scores, 0, sizeof(x->scores));
    for (size_t t = 0; t < x->n; t++) {
        if (all || slices[t].needed) {
            add_slice(x, t, &slices[t], first);
        }
    }
    for (size_t w = 0; w < BOUNDS_ROWS / 64; w++) {
        x->touched[w] &= w < words ? eligible[w] : 0;
    }
}

/* Whether there are so many candidates that looking up the other terms for each costs more than reading them. */
static bool many_candidates(const struct pruner *x, const struct slice *slices, float floor)
{
    size_t candidates = 0, terms = 0, posts = 0;
    for (size_t t = 0; t < x->n; t++) {
        terms += slices[t].needed ? 0 : 1;
        posts += slices[t].needed ? 0 : slices[t].to - slices[t].from;
    }
    BITS_EACH(x->touched, BOUNDS_ROWS, at)
    {
        candidates += (x->scores[at] + x->rest) * slack >= floor ? 1 : 0;
    }
    return candidates * terms * LOOK_UP_COST > posts;
}

static void score_block(struct pruner *x, size_t block, struct slice *slices)
{
    const struct top *leg = &x->s->legs[LEG_LEXICAL];
    size_t first = block * BOUNDS_ROWS;
    float floor = top_floor(leg);
    add_slices(x, first, slices, false);
    if (x->rest > 0 && many_candidates(x, slices, floor)) {
        x->rest = 0;
        add_slices(x, first, slices, true);
    }
    BITS_EACH(x->touched, BOUNDS_ROWS, at)
    {
        if ((x->scores[at] + x->rest) * slack >= floor) {
            offer(x->s, x->seg_no, first + at, x->rest == 0 ? x->scores[at] : full_score(x, slices, first + at));
            floor = top_floor(leg);
        }
    }
}

static bool none_eligible(const struct pruner *x, size_t block)
{
    size_t from = block * (BOUNDS_ROWS / 64), words = bits_words(x->seg->n);
    uint64_t any = 0;
    for (size_t w = from; w < from + BOUNDS_ROWS / 64 && w < words; w++) {
        any |= x->bits[w];
    }
    return any == 0;
}

static void score_blocks(struct pruner *x)
{
    size_t n_blocks = x->seg->bounds->n_blocks, n = 0;
    struct block *blocks = ARENA_ARRAY(x->s->arena, struct block, n_blocks);
    x->slices = arena_alloc(x->s->arena, n_blocks * x->n * sizeof(*x->slices));
    for (size_t t = 0; t < x->n; t++) {
        cut_slices(x, t);
    }
    for (size_t i = 0; i < n_blocks; i++) {
        struct block one = {0, (uint32_t)i};
        for (size_t t = 0; t < x->n; t++) {
            one.most += x->slices[i * x->n + t].most;
        }
        if (one.most > 0 && !none_eligible(x, i)) {
            blocks[n++] = one;
        }
    }
    if (n > 1) {
        qsort(blocks, n, sizeof(*blocks), block_cmp);
    }
    for (size_t i = 0; i < n; i++) {
        float floor = top_floor(&x->s->legs[LEG_LEXICAL]);
        if (blocks[i].most * slack < floor) {
            break;
        }
        struct slice *slices = x->slices + blocks[i].number * x->n;
        part_terms(x, slices, floor);
        score_block(x, blocks[i].number, slices);
    }
}

static void score_pruned(struct search *s, uint32_t seg_no, const uint64_t *bits, const struct bm25 *m)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    struct arena_mark mark = arena_mark(s->arena);
    struct pruner *x = ARENA_NEW(s->arena, struct pruner);
    x->s = s;
    x->seg = seg;
    x->bits = bits;
    x->m = *m;
    x->seg_no = seg_no;
    x->n = s->n_terms;
    x->in = ARENA_ARRAY(s->arena, const struct postings *, s->n_terms + 1);
    x->gains = ARENA_ARRAY(s->arena, float, s->n_terms + 1);
    x->whole = ARENA_ARRAY(s->arena, struct bound, s->n_terms + 1);
    for (size_t t = 0; t < s->n_terms; t++) {
        const struct postings *p = &s->terms[t].in[seg_no];
        x->in[t] = p;
        x->gains[t] = weight(&s->terms[t]);
        x->whole[t] = p->key != SIZE_MAX ? seg->bounds->whole[p->key] : bound_of(p->rows, p->freq, p->n, seg->length);
    }
    score_blocks(x);
    arena_rollback(s->arena, mark);
}

void score_rows(struct search *s, const struct eligible *eligible)
{
    struct bm25 m = bm25_of(s->view);
    for (uint32_t i = 0; i < s->view->n; i++) {
        size_t posts = 0;
        for (size_t t = 0; t < s->n_terms; t++) {
            posts += s->terms[t].in[i].n;
        }
        if (eligible[i].n == 0 || posts == 0) {
            continue;
        }
        if (s->view->segs[i].seg->bounds != NULL) {
            score_pruned(s, i, eligible[i].bits, &m);
        } else {
            score_plainly(s, i, eligible[i].bits, &m);
        }
    }
}
