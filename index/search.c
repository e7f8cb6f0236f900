#include "index/search.h"

#include <string.h>

#include "index/collection.h"
#include "index/kernel.h"

/*
 * Weight of the vector leg beside 1 of the lexical leg. Trained embeddings count as much as words. The built-in one
 * knows hardly more than the words themselves, so it may settle near-ties and find what shares no whole word, and no
 * more: measured on public test collections, equal weights cost ranking quality and this does not.
 */
static const double vector_weight[] = {[EMBEDDER_BUILTIN] = 0.02, [EMBEDDER_CLIENT] = 1, [EMBEDDER_OPENAI] = 1};

double vindex_vector_weight(enum embedder_kind kind)
{
    return vector_weight[kind];
}

/* How many candidates each leg hands to fusion: enough that an item good in one list is looked up in the other. */
enum { FUSE_DEPTH = 100 };

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
    if (q->text.len > VINDEX_QUERY_MAX) {
        return err_set(err, ASSAY_INVALID, NULL, "the query is longer than %d bytes", VINDEX_QUERY_MAX);
    }
    if (q->mode == VINDEX_LEXICAL && q->text.ptr == NULL) {
        return err_set(err, ASSAY_INVALID, NULL, "a lexical search needs the text of a query");
    }
    if (q->mode == VINDEX_VECTOR && q->vector == NULL && c->spec.kind != EMBEDDER_BUILTIN) {
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
static enum assay_code query_vector(struct search *s, enum embedder_kind kind, const float **out, struct err *err)
{
    *out = NULL;
    if (!wants_vector(s->q)) {
        return ASSAY_OK;
    }
    float *v = arena_alloc(s->arena, s->dim * sizeof(*v));
    if (s->q->vector != NULL) {
        TRY(kernel_normalise(s->q->vector, s->dim, v, err));
        *out = v;
    } else if (kind == EMBEDDER_BUILTIN &&
               embed_query(s->scratch->embedder, s->scratch->words, s->q->text, s->dim, query_idf, s, v)) {
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

static void fill(const struct search *s, const struct fused *f, struct vindex_hit *h)
{
    const struct view_seg *vs = &s->view->segs[f->seg];
    const struct segment *seg = vs->seg;
    const struct seg_row *row = &seg->rows[f->row];
    const struct source *source = sources_find(s->view->sources, seg->source[f->row]);
    *h = (struct vindex_hit){
        .chunk = row->chunk,
        .version = row->version,
        .pipeline = row->pipeline,
        .document = segment_string(seg, f->row, SEG_KEY),
        .uri = segment_string(seg, f->row, SEG_URI),
        .title = segment_string(seg, f->row, SEG_TITLE),
        .text = segment_string(seg, f->row, SEG_TEXT),
        .heading = segment_string(seg, f->row, SEG_HEADING),
        .source = source != NULL ? source->name : (struct str){NULL, 0},
        .metadata_json = segment_string(seg, f->row, SEG_METADATA),
        .media_type = segment_string(seg, f->row, SEG_MEDIA_TYPE),
        .language = segment_string(seg, f->row, SEG_LANGUAGE),
        .run = segment_string(seg, f->row, SEG_RUN),
        .from = (size_t)row->from,
        .to = (size_t)row->to,
        .page = row->page,
        .score = f->score,
        .quality = seg->quality[f->row],
        .state = (enum chunk_state)vs->vis.rows->state[f->row],
        .source_active = source != NULL && source->active,
        .fresh_until_us = vs->vis.age->deadline[f->row],
        .vector_rank = f->ranks[LEG_VECTOR],
        .lexical_rank = f->ranks[LEG_LEXICAL],
        .vector_score = (double)f->scores[LEG_VECTOR],
        .lexical_score = (double)f->scores[LEG_LEXICAL],
    };
}

/* Turns the legs' candidates into hits. What does not pass the last check is left out, whatever found it. */
static void answer(struct search *s, enum embedder_kind kind, struct vindex_result *out)
{
    const double weights[2] = {[LEG_LEXICAL] = 1, [LEG_VECTOR] = vector_weight[kind]};
    struct fused *f = ARENA_ARRAY(s->arena, struct fused, s->legs[0].n + s->legs[1].n + 1);
    size_t n = fuse_rrf(s->legs, weights, f);
    out->hits = ARENA_ARRAY(s->arena, struct vindex_hit, (n < s->q->k ? n : s->q->k) + 1);
    for (size_t i = 0; i < n && out->n < s->q->k; i++) {
        const struct view_seg *vs = &s->view->segs[f[i].seg];
        if (!vis_may_see(&vs->vis, vs->seg, f[i].row, s->view->sources, &s->who)) {
            continue;
        }
        struct vindex_hit *h = &out->hits[out->n++];
        fill(s, &f[i], h);
        h->score = s->q->mode == VINDEX_VECTOR    ? h->vector_score
                   : s->q->mode == VINDEX_LEXICAL ? h->lexical_score
                                                  : h->score;
    }
}

static enum assay_code run(struct search *s, enum embedder_kind kind, struct vindex_result *out, struct err *err)
{
    const float *vector = NULL;
    size_t depth = s->q->mode != VINDEX_HYBRID ? s->q->k : 2 * s->q->k > FUSE_DEPTH ? 2 * s->q->k : FUSE_DEPTH;
    out->plan = "none";
    principals(s);
    eligible_compile(s);
    out->eligible = s->n_eligible;
    if (s->q->text.ptr != NULL) {
        lexical_terms(s);
    }
    TRY(query_vector(s, kind, &vector, err));
    if (s->n_eligible > 0 && wants_text(s->q) && s->q->text.ptr != NULL) {
        leg_init(s, LEG_LEXICAL, depth);
        lexical_leg(s);
    }
    if (s->n_eligible > 0 && vector != NULL) {
        leg_init(s, LEG_VECTOR, depth);
        TRY(nearest_leg(s, vector, err));
        out->plan = s->graph_used ? "graph" : "exact";
    }
    answer(s, kind, out);
    highlight_hits(s, out);
    return ASSAY_OK;
}

enum assay_code vindex_search(struct vindex_collection *c, const struct vindex_query *q, struct arena *a,
                              struct vindex_result *out, struct err *err)
{
    *out = (struct vindex_result){.plan = "none"};
    TRY(check(c, q, err));
    struct view_slot *slot = views_pin(&c->views);
    struct search s = {.q = q,
                       .view = atomic_load_explicit(&slot->view, memory_order_relaxed),
                       .scratch = &slot->scratch,
                       .arena = a,
                       .dim = (size_t)c->spec.dim,
                       .ef = c->v->cfg.ef_search};
    out->pin = slot;
    out->seq = s.view->seq;
    out->commit = s.view->commit;
    enum assay_code code = run(&s, c->spec.kind, out, err);
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
