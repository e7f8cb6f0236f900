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
    const struct term *term;
    const struct postings *p;
    size_t from, to;
    float gain, most; /* what it adds to a row at most; 0: it has none here */
    bool needed;      /* the rows it has are candidates by themselves */
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
    struct bound *whole; /* of each term */
    struct slice *slices;
    size_t n;
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

/* What a term has in a block, without looking at more than the bounds where there are any. */
static void cut_slice(const struct pruner *x, size_t t, size_t block, struct slice *out)
{
    const struct term *term = &x->s->terms[t];
    const struct postings *p = &term->in[x->seg_no];
    const struct bounds *b = x->seg->bounds;
    const struct bound *bound = &x->whole[t];
    *out = (struct slice){.term = term, .p = p, .gain = weight(term)};
    if (p->n == 0) {
        return;
    }
    if (p->key != SIZE_MAX && b->dense[p->key] != BOUNDS_SPARSE) {
        const uint32_t *starts = b->starts + (size_t)b->dense[p->key] * (b->n_blocks + 1) + block;
        bound = &b->blocks[(size_t)b->dense[p->key] * b->n_blocks + block];
        out->from = starts[0];
        out->to = starts[1];
    } else {
        out->from = lower_row(p->rows, 0, p->n, block * BOUNDS_ROWS);
        out->to = lower_row(p->rows, out->from, p->n, (block + 1) * BOUNDS_ROWS);
    }
    out->most = out->from < out->to ? most_of(x, out->gain, bound) : 0;
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
static void part_terms(struct pruner *x, float floor)
{
    x->rest = 0;
    for (size_t i = 0; i < x->n; i++) {
        x->slices[i].needed = true;
    }
    for (;;) {
        struct slice *weakest = NULL;
        for (size_t i = 0; i < x->n; i++) {
            struct slice *c = &x->slices[i];
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

/* A row's whole score, summed over the terms in their order. */
static float full_score(const struct pruner *x, size_t row)
{
    float score = 0, length = (float)x->seg->length[row];
    for (size_t i = 0; i < x->n; i++) {
        const struct slice *c = &x->slices[i];
        size_t at = lower_row(c->p->rows, c->from, c->to, row);
        if (at < c->to && c->p->rows[at] == row && term_counts(c->term, c->p, at)) {
            score += c->gain * bm25_gain(&x->m, (float)c->p->freq[at], length);
        }
    }
    return score;
}

static void score_block(struct pruner *x, size_t block)
{
    size_t first = block * BOUNDS_ROWS;
    memset(x->touched, 0, sizeof(x->touched));
    for (size_t t = 0; t < x->n; t++) {
        const struct slice *c = &x->slices[t];
        for (size_t i = c->from; c->needed && i < c->to; i++) {
            size_t at = c->p->rows[i] - first;
            if (!term_counts(c->term, c->p, i)) {
                continue;
            }
            float before = bits_get(x->touched, at) ? x->scores[at] : 0;
            bits_put(x->touched, at, true);
            x->scores[at] =
                before + c->gain * bm25_gain(&x->m, (float)c->p->freq[i], (float)x->seg->length[c->p->rows[i]]);
        }
    }
    const uint64_t *eligible = x->bits + first / 64;
    size_t words = bits_words(x->seg->n) - first / 64;
    for (size_t w = 0; w < BOUNDS_ROWS / 64; w++) {
        x->touched[w] &= w < words ? eligible[w] : 0;
    }
    BITS_EACH(x->touched, BOUNDS_ROWS, at)
    {
        if (x->rest == 0) {
            offer(x->s, x->seg_no, first + at, x->scores[at]);
        } else if ((x->scores[at] + x->rest) * slack >= top_floor(&x->s->legs[LEG_LEXICAL])) {
            offer(x->s, x->seg_no, first + at, full_score(x, first + at));
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
    const struct bounds *b = x->seg->bounds;
    struct search *s = x->s;
    struct block *blocks = ARENA_ARRAY(s->arena, struct block, b->n_blocks);
    size_t n = 0;
    x->slices = ARENA_ARRAY(s->arena, struct slice, x->n + 1);
    for (size_t i = 0; i < b->n_blocks; i++) {
        struct block one = {0, (uint32_t)i};
        if (none_eligible(x, i)) {
            continue;
        }
        for (size_t t = 0; t < x->n; t++) {
            struct slice c;
            cut_slice(x, t, i, &c);
            one.most += c.most;
        }
        blocks[n] = one;
        n += one.most > 0 ? 1 : 0;
    }
    qsort(blocks, n, sizeof(*blocks), block_cmp);
    for (size_t i = 0; i < n; i++) {
        float floor = top_floor(&s->legs[LEG_LEXICAL]);
        if (blocks[i].most * slack < floor) {
            break;
        }
        for (size_t t = 0; t < x->n; t++) {
            cut_slice(x, t, blocks[i].number, &x->slices[t]);
        }
        part_terms(x, floor);
        score_block(x, blocks[i].number);
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
    x->whole = ARENA_ARRAY(s->arena, struct bound, s->n_terms + 1);
    for (size_t t = 0; t < s->n_terms; t++) {
        const struct postings *p = &s->terms[t].in[seg_no];
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
