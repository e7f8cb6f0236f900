#include "index/search.h"

#include <string.h>

#include "base/clock.h"
#include "index/collection.h"
#include "index/kernel.h"
#include "index/static_model.h"

/*
 * Weight of the vector leg beside 1 of the lexical leg. Trained embeddings count as much as words. The built-in one
 * learned from the collection alone: half as much at most, and less for a query that the legs disagree on. What was
 * measured, and on what, is in docs/finding.md.
 */
static const double vector_weight[] = {
    [EMBEDDER_BUILTIN] = 0.5, [EMBEDDER_CLIENT] = 1, [EMBEDDER_OPENAI] = 1, [EMBEDDER_STATIC] = 1};

struct vindex_ranking vindex_ranking_default(enum embedder_kind kind)
{
    if (kind == EMBEDDER_BUILTIN) {
        return (struct vindex_ranking){
            .method = FUSE_ADAPTIVE, .k = FUSE_K, .vector_weight = vector_weight[kind], .lexical_weight = 1};
    }
    return (struct vindex_ranking){
        .method = FUSE_RRF, .k = FUSE_K, .vector_weight = vector_weight[kind], .lexical_weight = 1};
}

enum {
    FUSE_DEPTH = 100, /* candidates of each leg at least: an item good in one list is looked up in the other */
    DEPTH_GROWTH = 8, /* when one document has so many of them that others are missed */
    DEPTH_MAX = 1 << 16
};

static bool wants_vector(const struct vindex_query *q)
{
    return q->mode != VINDEX_LEXICAL;
}

static bool wants_text(const struct vindex_query *q)
{
    return q->mode != VINDEX_VECTOR;
}

static enum assay_code check(const struct vindex_collection *c, const struct vindex_query *q, struct err *err)
{
    if (q->k < 1 || q->k > VINDEX_K_MAX) {
        return err_set(err, ASSAY_INVALID, NULL, "k must be from 1 to %d", VINDEX_K_MAX);
    }
    if (q->context > VINDEX_CONTEXT_MAX || (q->context > 0 && q->k > VINDEX_CONTEXT_K_MAX)) {
        return err_set(err, ASSAY_INVALID, NULL, "context is at most %d, and k with it at most %d", VINDEX_CONTEXT_MAX,
                       VINDEX_CONTEXT_K_MAX);
    }
    if (q->text.len > VINDEX_QUERY_MAX) {
        return err_set(err, ASSAY_INVALID, NULL, "the query is longer than %d bytes", VINDEX_QUERY_MAX);
    }
    if (q->mode == VINDEX_LEXICAL && q->text.ptr == NULL) {
        return err_set(err, ASSAY_INVALID, NULL, "a lexical search needs the text of a query");
    }
    if (q->mode == VINDEX_VECTOR && q->vector == NULL && c->spec.kind != EMBEDDER_BUILTIN &&
        c->spec.kind != EMBEDDER_STATIC) {
        return err_set(err, ASSAY_INVALID, NULL, "a vector search needs a vector: this collection's come from outside");
    }
    if (q->text.ptr == NULL && q->vector == NULL) {
        return err_set(err, ASSAY_INVALID, NULL, "a search needs a query or a vector");
    }
    return ASSAY_OK;
}

static double query_idf(void *ctx, struct str stem)
{
    return lexical_idf(ctx, stem);
}

/* The unit vector to search by; *out is NULL when there is none (a query without words, or a foreign embedder). */
static enum assay_code query_vector(struct search *s, const struct vindex_spec *spec, const float **out,
                                    struct err *err)
{
    *out = NULL;
    if (!wants_vector(s->q)) {
        return ASSAY_OK;
    }
    float *v = arena_alloc(s->arena, s->dim * sizeof(*v));
    if (s->q->vector != NULL) {
        TRY(kernel_normalise(s->q->vector, s->dim, v, err));
        *out = v;
    } else if (spec->kind == EMBEDDER_BUILTIN && s->view->lsa != NULL) {
        memset(v, 0, s->dim * sizeof(*v));
        for (size_t i = 0; i < s->n_terms; i++) {
            lsa_query_term(s->view->lsa, s->terms[i].stem, s->terms[i].count, v);
        }
        *out = lsa_query_finish(s->view->lsa, v) ? v : NULL;
    } else if (spec->kind == EMBEDDER_BUILTIN &&
               embed_query(s->scratch->embedder, s->scratch->words, s->q->text, s->dim, query_idf, s, v)) {
        *out = v;
    } else if (spec->kind == EMBEDDER_STATIC && static_model_embed(spec->model, s->q->text, v)) {
        *out = v;
    }
    return ASSAY_OK;
}

static void principals(struct search *s)
{
    struct acl_key *keys = ARENA_ARRAY(s->arena, struct acl_key, s->q->principals.n + 1);
    for (size_t i = 0; i < s->q->principals.n; i++) {
        keys[i] = acl_key(s->q->principals.items[i]);
    }
    s->who = (struct viewer){
        .keys = keys, .n_keys = s->q->principals.n, .steward = s->q->include_quarantined, .now_us = s->q->now_us};
}

/* Room for at most as many candidates as there are rows to find. */
static void leg_init(struct search *s, int leg, size_t depth)
{
    struct top *t = &s->legs[leg];
    t->cap = depth < s->n_eligible ? depth : s->n_eligible;
    t->items = arena_alloc(s->arena, (t->cap + 1) * sizeof(*t->items));
}

/* Runs the legs to a depth and ranks what they found. */
static void find(struct search *s, const float *vector, size_t depth, struct vindex_result *out)
{
    out->n = 0;
    s->agreement = 1;
    s->legs[LEG_LEXICAL] = s->legs[LEG_VECTOR] = (struct top){0};
    if (s->n_eligible > 0 && wants_text(s->q) && s->q->text.ptr != NULL) {
        leg_init(s, LEG_LEXICAL, depth);
        lexical_leg(s);
    }
    if (s->n_eligible > 0 && vector != NULL) {
        leg_init(s, LEG_VECTOR, depth);
        vector = feedback_vector(s, vector);
        nearest_leg(s, vector);
        s->agreement = legs_agreement(s, vector);
        out->plan = s->graph_used ? "graph" : "exact";
    }
    rank_hits(s, out);
    highlight_hits(s, out);
}

/* Where the order is not that of one leg, a hit may come from further down. */
static size_t first_depth(const struct search *s)
{
    bool scaled = s->ranking.quality_weight > 0 || s->ranking.half_life_us > 0;
    bool own_order = s->q->mode != VINDEX_HYBRID && !scaled && s->q->max_per_document == 0;
    size_t wide = (scaled || s->q->max_per_document > 0 ? 4 : 2) * s->q->k;
    return own_order ? s->q->k : wide > FUSE_DEPTH ? wide : FUSE_DEPTH;
}

static bool more_to_find(const struct search *s, const struct vindex_result *out, size_t depth)
{
    bool cut = s->legs[0].n == depth || s->legs[1].n == depth;
    return s->q->max_per_document > 0 && out->n < s->q->k && cut && depth < s->n_eligible && depth < DEPTH_MAX;
}

static enum assay_code run(struct search *s, const struct vindex_spec *spec, struct vindex_result *out, struct err *err)
{
    const float *vector = NULL;
    s->hashed = spec->kind == EMBEDDER_BUILTIN && s->view->lsa == NULL;
    s->ranking = s->q->ranking != NULL ? *s->q->ranking : vindex_ranking_default(spec->kind);
    out->plan = "none";
    principals(s);
    eligible_compile(s);
    out->eligible = s->n_eligible;
    if (s->q->text.ptr != NULL) {
        lexical_terms(s);
    }
    TRY(query_vector(s, spec, &vector, err));
    for (size_t depth = first_depth(s);; depth *= DEPTH_GROWTH) {
        find(s, vector, depth, out);
        if (!more_to_find(s, out, depth)) {
            return ASSAY_OK;
        }
    }
}

/* A store only now and then: threads that search share the line. */
static void note_search(struct vindex_collection *c)
{
    int64_t now_us = clock_mono_us();
    if (now_us - atomic_load_explicit(&c->searched_us, memory_order_relaxed) > WATCHED_US) {
        atomic_store_explicit(&c->searched_us, now_us, memory_order_relaxed);
    }
}

enum assay_code vindex_search(struct vindex_collection *c, const struct vindex_query *q, struct arena *a,
                              struct vindex_result *out, struct err *err)
{
    *out = (struct vindex_result){.plan = "none"};
    TRY(check(c, q, err));
    if (wants_vector(q)) {
        note_search(c);
    }
    struct view_slot *slot = views_pin(&c->views);
    struct search s = {.q = q,
                       .view = atomic_load_explicit(&slot->view, memory_order_relaxed),
                       .scratch = &slot->scratch,
                       .arena = a,
                       .dim = (size_t)c->spec.dim,
                       .ef = c->spec.params.ef_search};
    out->pin = slot;
    out->seq = s.view->seq;
    out->commit = s.view->commit;
    if (s.view->lsa != NULL) {
        out->learned = true;
        lsa_id(s.view->lsa, &out->embedder);
    }
    enum assay_code code = run(&s, &c->spec, out, err);
    if (code != ASSAY_OK) {
        vindex_result_release(c, out);
    }
    return code;
}

void vindex_result_release(struct vindex_collection *c, struct vindex_result *r)
{
    (void)c;
    if (r->pin != NULL) {
        views_unpin(r->pin);
    }
    *r = (struct vindex_result){.plan = "none"};
}
