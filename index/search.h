/*
 * One search under way: the pinned view, who asks, the rows that may be returned, and what each leg found. Private to
 * the files of the search path (search.c, eligible.c, lexical.c, nearest.c).
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

/* A term of the query. */
struct term {
    struct str stem;
    bool stop;
    double idf;
    unsigned count;
    size_t *at; /* its place in each segment's dictionary; SIZE_MAX: not there */
};
enum { TERMS_MAX = 128 };

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
    size_t dim;
    int ef;
    bool graph_used;
    struct top legs[2];
    struct vindex_ranking ranking;
};

/* The predicate, compiled: state, source, deadline, access, filter and min_quality into one bitmap per segment, which
 * both legs use. Costs nothing where a view's own set is the answer. */
void eligible_compile(struct search *s);

/* Cuts the query into terms and weighs them by the live rows of the whole view (BM25's inverse document frequency), so
 * that statistics do not depend on how rows are spread over segments. */
void lexical_terms(struct search *s);
/* ln(1 + (N - df + 0.5) / (df + 0.5)) of a stem (Robertson and Zaragoza 2009, kept positive as in Lucene). */
double lexical_idf(struct search *s, struct str stem);
/* Offers every eligible row with a term of the query, scored by BM25 (k1 = 1.2, b = 0.75), to legs[LEG_LEXICAL]. */
void lexical_leg(struct search *s);

/* Offers the nearest eligible rows to legs[LEG_VECTOR], by graph or exactly, whichever is cheaper for each segment;
 * exactly when the query asks for it or the graph starves. Scores are kernel_dot's either way. */
void nearest_leg(struct search *s, const float *query);

/* Turns the legs' candidates into hits: fusion, then quality and age, then what a document may have. What does not pass
 * the last check is left out, whatever found it. */
void rank_hits(struct search *s, struct vindex_result *out);

/* Finds the neighbours of a hit, when the query wants any: the nearest rows of its version that the caller may see and
 * that have min_quality. */
void context_find(const struct search *s, const struct fused *f, struct vindex_hit *h);

#endif
