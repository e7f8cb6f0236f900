#include <math.h>

#include "index/search.h"

static const float k1 = 1.2F, b = 0.75F;

/* ---- the query's terms ---- */

static size_t df_in(const struct view_seg *vs, size_t at)
{
    const struct inverted *terms = &vs->seg->terms;
    uint64_t from = terms->post_at[at], to = terms->post_at[at + 1];
    if (vs->vis.rows->by_state[CHUNK_RETIRED] == 0) {
        return (size_t)(to - from);
    }
    size_t n = 0;
    for (uint64_t i = from; i < to; i++) {
        n += bits_get(vs->vis.rows->live, terms->rows[i]) ? 1 : 0;
    }
    return n;
}

static double idf(size_t live, size_t df)
{
    return log(1 + ((double)live - (double)df + 0.5) / ((double)df + 0.5));
}

static double look_up(const struct view *view, struct str stem, size_t *places)
{
    size_t df = 0;
    for (size_t i = 0; i < view->n; i++) {
        size_t at = 0;
        bool found = inverted_find(&view->segs[i].seg->terms, stem, &at);
        df += found ? df_in(&view->segs[i], at) : 0;
        if (places != NULL) {
            places[i] = found ? at : SIZE_MAX;
        }
    }
    return idf(view->live_rows, df);
}

double lexical_idf(struct search *s, struct str stem)
{
    for (size_t i = 0; i < s->n_terms; i++) {
        if (str_eq(s->terms[i].stem, stem)) {
            return s->terms[i].idf;
        }
    }
    return look_up(s->view, stem, NULL);
}

static void add_term(struct search *s, struct str stem, bool stop)
{
    for (size_t i = 0; i < s->n_terms; i++) {
        if (str_eq(s->terms[i].stem, stem)) {
            s->terms[i].count++;
            return;
        }
    }
    if (stem.len > 0 && s->n_terms < TERMS_MAX) {
        s->terms[s->n_terms++] = (struct term){.stem = str_dup(s->arena, stem), .stop = stop, .count = 1};
    }
}

/* A word of the query stands for its stem in every language that the view has rows of. */
static void add_word(void *ctx, const struct word *word)
{
    struct search *s = ctx;
    bool stop = words_stop(word->folded);
    struct str stems[WORDS_LANGS_MAX];
    size_t n = 0;
    for (unsigned lang = 0; lang < WORDS_LANGS_MAX; lang++) {
        if ((s->view->langs >> lang & 1) == 0) {
            continue;
        }
        struct str stem = words_stem(s->scratch->words, lang, word);
        bool known = false;
        for (size_t i = 0; i < n && !known; i++) {
            known = str_eq(stems[i], stem);
        }
        if (!known) {
            stems[n++] = str_dup(s->arena, stem);
        }
    }
    for (size_t i = 0; i < n; i++) {
        add_term(s, stems[i], stop);
    }
}

void lexical_terms(struct search *s)
{
    s->terms = ARENA_ARRAY(s->arena, struct term, TERMS_MAX);
    words_each(s->scratch->words, s->q->text, add_word, s);
    size_t meaningful = 0, kept = 0;
    for (size_t i = 0; i < s->n_terms; i++) {
        meaningful += s->terms[i].stop ? 0 : 1;
    }
    for (size_t i = 0; i < s->n_terms; i++) {
        if (meaningful == 0 || !s->terms[i].stop) {
            s->terms[kept++] = s->terms[i];
        }
    }
    s->n_terms = kept;
    for (size_t i = 0; i < kept; i++) {
        s->terms[i].at = ARENA_ARRAY(s->arena, size_t, s->view->n + 1);
        s->terms[i].idf = look_up(s->view, s->terms[i].stem, s->terms[i].at);
    }
}

/* ---- scoring ---- */

/* Adds one term's contribution to the scores of a segment's rows; returns how many it visited. */
static size_t score_term(const struct segment *seg, const struct term *t, size_t at, float avg_length, float *scores)
{
    uint64_t from = seg->terms.post_at[at], to = seg->terms.post_at[at + 1];
    float gain = (float)t->idf * (float)t->count * (k1 + 1);
    float fixed = (float)SEG_UNIT * k1 * (1 - b), slope = (float)SEG_UNIT * k1 * b / avg_length;
    for (uint64_t i = from; i < to; i++) {
        uint32_t row = seg->terms.rows[i];
        float tf = (float)seg->terms.freq[i];
        scores[row] += gain * tf / (tf + fixed + slope * (float)seg->length[row]);
    }
    return (size_t)(to - from);
}

static void offer(struct search *s, uint32_t seg_no, size_t row, float score)
{
    struct top *leg = &s->legs[LEG_LEXICAL];
    if (score > 0 && score >= top_floor(leg)) {
        const struct segment *seg = s->view->segs[seg_no].seg;
        top_offer(leg, &(struct candidate){score, seg_no, (uint32_t)row, &seg->rows[row].chunk});
    }
}

/* Few rows were touched: they are found again through the postings, and nothing else is looked at. */
static void collect_sparse(struct search *s, uint32_t seg_no, float *scores)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    for (size_t i = 0; i < s->n_terms; i++) {
        size_t at = s->terms[i].at[seg_no];
        if (at == SIZE_MAX) {
            continue;
        }
        for (uint64_t p = seg->terms.post_at[at]; p < seg->terms.post_at[at + 1]; p++) {
            uint32_t row = seg->terms.rows[p];
            if (bits_get(s->eligible[seg_no].bits, row)) {
                offer(s, seg_no, row, scores[row]);
            }
            scores[row] = 0;
        }
    }
}

static void collect_dense(struct search *s, uint32_t seg_no, float *scores)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    BITS_EACH(s->eligible[seg_no].bits, seg->n, row)
    {
        offer(s, seg_no, row, scores[row]);
    }
    memset(scores, 0, seg->n * sizeof(*scores));
}

void lexical_leg(struct search *s)
{
    float avg_length = s->view->live_rows > 0 ? (float)((double)s->view->live_length / (double)s->view->live_rows) : 1;
    avg_length = avg_length > 0 ? avg_length : 1;
    for (uint32_t i = 0; i < s->view->n; i++) {
        const struct segment *seg = s->view->segs[i].seg;
        size_t visited = 0;
        if (s->eligible[i].n == 0) {
            continue;
        }
        float *scores = scratch_scores(s->scratch, seg->n);
        for (size_t t = 0; t < s->n_terms; t++) {
            if (s->terms[t].at[i] != SIZE_MAX) {
                visited += score_term(seg, &s->terms[t], s->terms[t].at[i], avg_length, scores);
            }
        }
        if (visited == 0) {
            continue;
        }
        if (visited < seg->n / 8) {
            collect_sparse(s, i, scores);
        } else {
            collect_dense(s, i, scores);
        }
    }
    top_sort(&s->legs[LEG_LEXICAL]);
}
