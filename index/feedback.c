/*
 * How the legs of a hybrid search help each other when the embedder learned from the collection.
 *
 * Feedback: a query's few words place it roughly among what was learned; the rows that the words found say where. The
 * vector leg searches by the sum of the query's vector and FEEDBACK_WEIGHT times the mean of the first FEEDBACK_ROWS
 * rows of the lexical leg, weighted by their scores (Rocchio 1971, alpha 1, beta 2, gamma 0; over vectors as in Li et
 * al., ACM TOIS 2023). Weights from 1.5 to 5 rank alike.
 *
 * Agreement: where the vector leg puts the lexical leg's first row, on its own candidates' scale of 0 to 1. A vector
 * leg that thinks little of what has the words of a query has not understood it and counts for little: its weight is
 * multiplied by the square. In the spirit of weighing fused systems by their agreement with each other, without
 * judgments (Wu and McClean, ECIR 2006).
 */
#include "index/kernel.h"
#include "index/search.h"

enum { FEEDBACK_ROWS = 3, FEEDBACK_WEIGHT = 2 };

/* A candidate's vector, in `room` (dim floats) or where it lies, and how many numbers it has. */
static const float *vector_of(const struct search *s, const struct candidate *c, float *room, size_t *dim)
{
    const struct segment *seg = s->view->segs[c->seg].seg;
    *dim = seg->dim;
    return seg->cold.fd >= 0 ? cold_row(&seg->cold, c->row, room) : seg->vectors + (size_t)c->row * seg->dim;
}

const float *feedback_vector(struct search *s, const float *query)
{
    const struct top *words = &s->legs[LEG_LEXICAL];
    size_t n = words->n < FEEDBACK_ROWS ? words->n : FEEDBACK_ROWS;
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += words->items[i].score;
    }
    if (s->view->lsa == NULL || s->q->mode != VINDEX_HYBRID || !(sum > 0)) {
        return query;
    }
    float *out = arena_alloc(s->arena, s->dim * sizeof(*out)), *room = arena_alloc(s->arena, s->dim * sizeof(*room));
    memcpy(out, query, s->dim * sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        size_t dim;
        const float *row = vector_of(s, &words->items[i], room, &dim);
        float share = FEEDBACK_WEIGHT * words->items[i].score / sum;
        for (size_t d = 0; d < dim; d++) {
            out[d] += share * row[d];
        }
    }
    struct err none = {.code = ASSAY_OK};
    return kernel_normalise(out, s->dim, out, &none) == ASSAY_OK ? out : query;
}

double legs_agreement(const struct search *s, const float *query)
{
    const struct top *words = &s->legs[LEG_LEXICAL], *near = &s->legs[LEG_VECTOR];
    if (words->n == 0 || near->n == 0 || !(near->items[0].score > near->items[near->n - 1].score)) {
        return 1;
    }
    double high = (double)near->items[0].score, low = (double)near->items[near->n - 1].score;
    float *room = arena_alloc(s->arena, s->dim * sizeof(*room));
    size_t dim;
    const float *first = vector_of(s, &words->items[0], room, &dim);
    double cosine = (double)kernel_dot(query, first, dim);
    double place = (cosine - low) / (high - low);
    return place < 0 ? 0 : place > 1 ? 1 : place;
}
