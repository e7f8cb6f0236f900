#include "index/search.h"

struct bm25 bm25_of(const struct view *view)
{
    float average = view->live_rows > 0 ? (float)((double)view->live_length / (double)view->live_rows) : 1;
    average = average > 0 ? average : 1;
    return (struct bm25){(float)SEG_UNIT * BM25_K1 * (1 - BM25_B), (float)SEG_UNIT * BM25_K1 * BM25_B / average};
}

void lexical_leg(struct search *s)
{
    struct top *leg = &s->legs[LEG_LEXICAL], asked = *leg;
    size_t cap = asked.cap < RESCORE_DEPTH ? RESCORE_DEPTH : asked.cap;
    *leg = (struct top){.items = arena_alloc(s->arena, (cap + 1) * sizeof(*leg->items)), .cap = cap};
    score_rows(s, s->n_phrases > 0 ? phrase_candidates(s) : s->eligible);
    if (leg->n == 0 && s->n_phrases > 0) {
        s->n_phrases = 0;
        score_rows(s, s->eligible);
    }
    top_sort(leg);
    size_t first = leg->n < RESCORE_DEPTH ? leg->n : RESCORE_DEPTH;
    proximity_rescore(s, leg, first);
    grams_rescore(s, leg, first);
    top_sort(leg);
    asked.n = leg->n < asked.cap ? leg->n : asked.cap;
    if (asked.n > 0) {
        memcpy(asked.items, leg->items, asked.n * sizeof(*asked.items));
    }
    *leg = asked;
}
