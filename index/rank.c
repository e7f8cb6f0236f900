/*
 * From candidates to hits: fusion, then the scaling by quality and age, then the limit for each document.
 */
#include <math.h>

#include "index/search.h"

/* What an adaptive weight is multiplied by until the built-in embedder has learned: hashed features know hardly more
 * than the words do, and settle near-ties. */
static const double HASHED_PART = 0.4;

/* (1 - w) + w * quality: with weight 1 the score is proportional to the quality, with 0 quality does not matter. */
static double quality_factor(const struct search *s, const struct fused *f)
{
    double w = s->ranking.quality_weight;
    return 1 - w + w * s->view->segs[f->seg].seg->quality[f->row];
}

/* 2 ^ (-age / half-life), by the time that freshness is judged by; what comes from the future is new. */
static double freshness_factor(const struct search *s, const struct fused *f)
{
    double age = (double)s->q->now_us - (double)s->view->segs[f->seg].vis.age->modified[f->row];
    return s->ranking.half_life_us > 0 && age > 0 ? exp2(-age / (double)s->ranking.half_life_us) : 1;
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
        .quality = seg->quality[f->row],
        .state = (enum chunk_state)vs->vis.rows->state[f->row],
        .source_active = source != NULL && source->active,
        .fresh_until_us = vs->vis.age->deadline[f->row],
        .vector_rank = f->ranks[LEG_VECTOR],
        .lexical_rank = f->ranks[LEG_LEXICAL],
        .vector_score = (double)f->scores[LEG_VECTOR],
        .lexical_score = (double)f->scores[LEG_LEXICAL],
        .score = f->score,
        .base_score = f->base,
        .quality_factor = quality_factor(s, f),
        .freshness_factor = freshness_factor(s, f),
    };
}

/* A factor below 1 lowers a score, also one below zero (a cosine may be), which a plain product would raise. */
static double scaled(const struct search *s, const struct fused *f, double base)
{
    double by = quality_factor(s, f) * freshness_factor(s, f);
    return base >= 0 ? base * by : base * (2 - by);
}

static double vector_weight(const struct search *s)
{
    const struct vindex_ranking *r = &s->ranking;
    double part = s->hashed ? HASHED_PART : 1;
    return r->vector_weight * (r->method == FUSE_ADAPTIVE ? part * s->agreement * s->agreement : 1);
}

/* The candidates of both legs in their final order. A single leg keeps its own scores. */
static size_t order(struct search *s, struct fused *f)
{
    const struct vindex_ranking *r = &s->ranking;
    const struct fuse_rule rule = {
        r->method, r->k, {[LEG_LEXICAL] = r->lexical_weight, [LEG_VECTOR] = vector_weight(s)}};
    size_t n = fuse_lists(s->legs, &rule, f);
    bool single = s->q->mode != VINDEX_HYBRID, scales = r->quality_weight > 0 || r->half_life_us > 0;
    int leg = s->q->mode == VINDEX_VECTOR ? LEG_VECTOR : LEG_LEXICAL;
    for (size_t i = 0; i < n && (single || scales); i++) {
        f[i].base = single ? (double)f[i].scores[leg] : f[i].base;
        f[i].score = scaled(s, &f[i], f[i].base);
    }
    if (single || scales) {
        fuse_sort(f, n);
    }
    return n;
}

static bool document_is_full(const struct search *s, const int64_t *documents, size_t n, int64_t document)
{
    size_t has = 0;
    for (size_t i = 0; i < n && has < s->q->max_per_document; i++) {
        has += documents[i] == document;
    }
    return s->q->max_per_document > 0 && has == s->q->max_per_document;
}

void rank_hits(struct search *s, struct vindex_result *out)
{
    struct fused *f = ARENA_ARRAY(s->arena, struct fused, s->legs[0].n + s->legs[1].n + 1);
    size_t n = order(s, f), max = n < s->q->k ? n : s->q->k;
    int64_t *documents = ARENA_ARRAY(s->arena, int64_t, max + 1);
    out->vector_weight = vector_weight(s);
    out->hits = ARENA_ARRAY(s->arena, struct vindex_hit, max + 1);
    for (size_t i = 0; i < n && out->n < s->q->k; i++) {
        const struct view_seg *vs = &s->view->segs[f[i].seg];
        int64_t document = vs->seg->document[f[i].row];
        if (!vis_may_see(&vs->vis, vs->seg, f[i].row, s->view->sources, &s->who) ||
            document_is_full(s, documents, out->n, document)) {
            continue;
        }
        documents[out->n] = document;
        struct vindex_hit *h = &out->hits[out->n++];
        fill(s, &f[i], h);
        context_find(s, &f[i], h);
    }
}
