/*
 * One search under way: the pinned view, who asks, the rows that may be returned, and what each leg found. Private to
 * the files of the search path (search.c, eligible.c, terms.c, lexical.c, score.c, proximity.c, grams.c, phrase.c,
 * prefix.c, highlight.c, nearest.c, scan.c, feedback.c, rank.c).
 */
#ifndef ASSAY_INDEX_SEARCH_H
#define ASSAY_INDEX_SEARCH_H

#include "index/fuse.h"
#include "index/view.h"

/* The rows of one segment that passed every predicate. */
struct eligible {
    const uint64_t *bits; /* NULL: none */
    size_t n;
};

/* A term's postings in one segment. */
struct postings {
    const uint32_t *rows;
    const uint16_t *freq;
    size_t n;
    size_t key;          /* place in the segment's dictionary; SIZE_MAX: gathered from several */
    const uint8_t *lang; /* NULL: every row counts; else the segment's column, and rows count in the term's languages */
};

/* A term of the query: a stem, or every stem of words that begin with `prefix`. */
struct term {
    struct str stem;
    struct str prefix; /* folded, without accents; absent: a stem */
    uint32_t langs;    /* in which a word of the query has this stem: it counts in rows of these */
    size_t group;      /* the first term of the same word: they share one weight */
    size_t df;
    bool stop;
    double idf;
    unsigned count;
    struct postings *in; /* for each segment of the view */
};
enum { TERMS_MAX = 128 };
static inline bool term_counts(const struct term *t, const struct postings *p, size_t i)
{
    return p->lang == NULL || (t->langs >> p->lang[p->rows[i]] & 1) != 0;
}

/* Two words that stand side by side in the query (stop words left out), by their terms; stems[i] are their words in
 * SEC_WORDS, one for each language of the view. */
struct pair {
    double idf; /* of the less telling word */
    const uint16_t *words[2];
    size_t n[2];
};

/* A word of the query as it is written, folded; stop words are left out. */
struct spelt {
    struct str text;
    double idf;
};

/* "words in quotes": rows of which title, heading or text has these words side by side, in this order. */
struct phrase {
    struct str *words; /* folded */
    bool *pair;        /* struct word's */
    size_t n;
};

enum { LEG_LEXICAL, LEG_VECTOR };

struct search {
    const struct vindex_query *q;
    const struct view *view;
    struct scratch *scratch;
    struct arena *arena;
    struct viewer who;
    struct eligible *eligible; /* view->n */
    size_t n_eligible;
    struct term *terms;
    size_t n_terms;
    struct pair *pairs;
    size_t n_pairs;
    struct spelt *spelt;
    size_t n_spelt;
    struct phrase *phrases;
    size_t n_phrases;
    size_t dim;
    int ef;
    bool graph_used;
    struct top legs[2];
    struct vindex_ranking ranking;
    double agreement; /* of the legs, 0..1 */
    bool hashed;      /* the built-in embedder has learned nothing yet */
};

/* The predicate, compiled: state, source, deadline, access, filter and min_quality into one bitmap per segment, which
 * both legs use. Costs nothing where a view's own set is the answer. */
void eligible_compile(struct search *s);

/* Cuts the query into terms, pairs and phrases, and weighs terms by the live rows of the whole view (BM25's inverse
 * document frequency), so that statistics do not depend on how rows are spread over segments. */
void lexical_terms(struct search *s);
/* ln(1 + (N - df + 0.5) / (df + 0.5)) of a stem (Robertson and Zaragoza 2009, kept positive as in Lucene). */
double lexical_idf(struct search *s, struct str stem);

/* The best eligible rows with a term of the query, into legs[LEG_LEXICAL]: by BM25 (k1 = 1.2, b = 0.75), and the first
 * RESCORE_DEPTH of them again with what closeness and parts of words add. With phrases, only rows that
 * have them all; when none has, as if there were no quotes. */
void lexical_leg(struct search *s);
/* BM25 of one term in one row is weight * (K1 + 1) * freq / (freq + fixed + slope * length), in eighths of words. */
#define BM25_K1 1.2F
#define BM25_B 0.75F
struct bm25 {
    float fixed, slope;
};
struct bm25 bm25_of(const struct view *view);
static inline float bm25_gain(const struct bm25 *m, float freq, float length)
{
    return freq / (freq + m->fixed + m->slope * length);
}

/* Offers every row of `eligible` to legs[LEG_LEXICAL] by BM25: what could not be among the best is not scored. */
void score_rows(struct search *s, const struct eligible *eligible);
/* Add to the scores of the first `n` items of a list what their pairs of words gain by standing close together, and
 * what they gain by having parts of words. */
enum { RESCORE_DEPTH = 32 };
void proximity_rescore(const struct search *s, struct top *list, size_t n);
void grams_rescore(const struct search *s, struct top *list, size_t n);

/* Takes from the eligible rows those that lack a word of a phrase; the result is the arena's. */
struct eligible *phrase_candidates(struct search *s);
/* Whether a row has every phrase of the query. */
bool phrase_match(const struct search *s, uint32_t seg, uint32_t row);
/* Whether a word of the row begins with a folded prefix. */
bool prefix_match(struct words *w, const struct segment *seg, uint32_t row, struct str prefix);
/* The postings of every stem of words that begin with the term's prefix. */
void prefix_expand(struct search *s, struct term *t);

/* For `highlight`: fills the hits' spans of words that the query asks for. */
void highlight_hits(struct search *s, struct vindex_result *out);

/* Offers every eligible row of a segment to legs[LEG_VECTOR], by kernel_dot. */
void scan_segment(struct search *s, uint32_t seg_no, const float *query);
/* Offers the nearest eligible rows to legs[LEG_VECTOR], by graph or exactly, whichever is cheaper for each segment;
 * exactly when the query asks for it or the graph starves. Scores are kernel_dot's either way. */
void nearest_leg(struct search *s, const float *query);

/* The unit vector for the vector leg of a hybrid search: `query` drawn towards what the lexical leg found, which has
 * run; `query` itself when there is nothing to learn from. */
const float *feedback_vector(struct search *s, const float *query);
/* How well the legs agree, 0..1; both have run. */
double legs_agreement(const struct search *s, const float *query);

/* Turns the legs' candidates into hits: fusion, then quality and age, then what a document may have. What does not pass
 * the last check is left out, whatever found it. */
void rank_hits(struct search *s, struct vindex_result *out);

/* Finds the neighbours of a hit, when the query wants any: the nearest rows of its version that the caller may see and
 * that have min_quality. */
void context_find(const struct search *s, const struct fused *f, struct vindex_hit *h);

#endif
