/*
 * POST /search and GET /search: the hot path. It runs on the HTTP thread, asks PostgreSQL for nothing and takes no lock
 * that a writer can hold; only what waits for an endpoint moves to a worker thread, and a batch starts on one.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "handlers/handlers.h"
#include "handlers/search_batch.h"
#include "handlers/search_reply.h"
#include "server/access.h"
#include "server/problem.h"
#include "server/ranking.h"
#include "server/rerank.h"
#include "server/server.h"
#include "store/keys.h"

/* ---- from request to query ---- */

static enum assay_code check_rights(const struct request *req, const struct search_request *in, struct err *err)
{
    if (in->has_principal && !(req->actor.scopes & SCOPE_DELEGATE))
        return err_set(err, ASSAY_FORBIDDEN, "not-a-delegate",
                       "only a key with the scope delegate may search on behalf of others");
    if (in->include_quarantined && !access_steward(&req->actor))
        return err_set(err, ASSAY_FORBIDDEN, "not-a-steward",
                       "only a key with the scope steward may see what is quarantined");
    if (in->generation && !access_steward(&req->actor))
        return err_set(err, ASSAY_FORBIDDEN, "not-a-steward",
                       "only a key with the scope steward may search a generation that is not served");
    return ASSAY_OK;
}

/* A vector that is given has the collection's dimension; one that is needed and cannot be made is given. */
static enum assay_code check_vector(const struct search *s, struct err *err)
{
    const struct search_request *in = &s->in;
    const struct embedder_spec *spec = &s->collection->spec;
    const char *pointer = search_request_pointer(in, "vector");
    if (in->vector && in->dim != (size_t)spec->dim)
        return err_add_field(err, pointer, "has %zu numbers; the collection's vectors have %d", in->dim, spec->dim);
    if (in->vector || in->mode == VINDEX_LEXICAL || spec->kind != EMBEDDER_CLIENT)
        return ASSAY_OK;
    (void)err_set(err, ASSAY_UNPROCESSABLE, "vector-required",
                  "clients bring the vectors of this collection: give one, or search in mode lexical");
    return err_add_field(err, pointer, "is required in mode %s", search_mode_names[in->mode]);
}

static enum assay_code unknown_ref(const struct search_request *in, struct err *err)
{
    (void)err_set(err, ASSAY_UNPROCESSABLE, "unknown-ref", "only main and the commit at its head can be searched");
    return err_add_field(err, search_request_pointer(in, "at"), "is neither \"main\" nor the commit at its head");
}

static enum assay_code read_at(struct search *s, struct err *err)
{
    struct str at = s->in.at;
    if (!at.ptr || str_eqc(at, "main"))
        return ASSAY_OK;
    s->has_at = digest_from_hex(at, &s->at);
    return s->has_at ? ASSAY_OK : unknown_ref(&s->in, err);
}

static bool wants_embedding(const struct search *s)
{
    return !s->in.vector && s->in.mode != VINDEX_LEXICAL && s->collection->spec.kind == EMBEDDER_OPENAI;
}

static struct query_text query_text(struct request *req, const struct search *s)
{
    float *room = ARENA_ARRAY(req->call.arena, float, (size_t)s->collection->spec.dim);
    return (struct query_text){.collection = s->collection, .text = s->in.query, .out = room};
}

/* The endpoint's vector for the query. When it cannot be had, words alone answer, and the reply says `degraded`. */
static enum assay_code take_vector(struct search *s, const struct query_text *t, struct err *err)
{
    if (t->code == ASSAY_OK) {
        s->query.vector = t->out;
        return ASSAY_OK;
    }
    if (s->in.mode == VINDEX_VECTOR)
        return err_set(err, ASSAY_UNAVAILABLE, "embedder-unavailable",
                       "the collection's embedding endpoint did not give the query's vector");
    log_warn("query not embedded: searching by words alone", "code=%d", (int)t->code);
    s->in.mode = VINDEX_LEXICAL;
    s->query.mode = VINDEX_LEXICAL;
    s->degraded = true;
    return ASSAY_OK;
}

/* ASSAY_DEFER when an endpoint has to be asked and this is no worker thread. */
static enum assay_code embed(struct request *req, struct search *s, struct err *err)
{
    if (!wants_embedding(s))
        return ASSAY_OK;
    struct query_text t = query_text(req, s);
    if (req->on_worker)
        query_embed(req->server->query_embedder, &req->call, &t, 1);
    else if (!query_embed_cached(req->server->query_embedder, &t))
        return ASSAY_DEFER;
    return take_vector(s, &t, err);
}

static enum assay_code check_reranker(const struct search *s, struct err *err)
{
    if (!s->in.rerank || s->collection->rules.reranker.present)
        return ASSAY_OK;
    (void)err_set(err, ASSAY_UNPROCESSABLE, "no-reranker", "the policy of this collection names no reranker");
    return err_add_field(err, search_request_pointer(&s->in, "rerank"), "cannot be asked for in this collection");
}

/* How many candidates are wanted: what the reranker is to see, when it is asked. */
static size_t candidates(const struct search *s)
{
    size_t k = (size_t)s->in.k, top = (size_t)s->collection->rules.reranker.top_n;
    return s->in.rerank && top > k ? top : k;
}

/* Keeps the index that is searched from being closed; `let_go` ends that. */
static enum assay_code hold(struct request *req, struct search *s, struct err *err)
{
    struct collection *c;
    TRY(catalog_get(req->server->catalog, s->in.collection, false, &c, err));
    s->collection = s->in.generation ? collection_hold_generation(c, (int32_t)s->in.generation) : collection_hold(c);
    if (s->collection)
        return ASSAY_OK;
    (void)err_set(err, ASSAY_UNPROCESSABLE, "unknown-generation", "this server has no such generation of the index");
    return err_add_field(err, search_request_pointer(&s->in, "generation"), "is not open");
}

static void let_go(struct search *s)
{
    if (s->collection)
        collection_release(s->collection);
    s->collection = NULL;
}

static enum assay_code prepare(struct request *req, struct search *s, struct err *err)
{
    struct search_request *in = &s->in;
    TRY(check_rights(req, in, err));
    TRY(hold(req, s, err));
    TRY(check_vector(s, err));
    TRY(read_at(s, err));
    const struct filter *filter = NULL;
    if (in->filter)
        TRY(filter_parse(req->call.arena, in->filter, search_request_pointer(in, "filter"), &filter, err));
    TRY(check_reranker(s, err));
    s->ranking = s->collection->rules.ranking;
    if (in->fusion)
        TRY(ranking_parse(req->call.arena, in->fusion, search_request_pointer(in, "fusion"), &s->ranking, err));
    s->query = (struct vindex_query){.mode = (enum vindex_mode)in->mode,
                                     .text = in->query,
                                     .vector = in->vector,
                                     .k = candidates(s),
                                     .filter = filter,
                                     .min_quality = in->min_quality,
                                     .principals = in->has_principal ? in->principal : req->actor.groups,
                                     .exact = in->exact,
                                     .include_quarantined = in->include_quarantined,
                                     .highlight = in->highlight,
                                     .ranking = &s->ranking,
                                     .max_per_document = (size_t)in->max_per_document,
                                     .context = (size_t)in->context};
    return ASSAY_OK;
}

/* ---- the record ---- */

/* The text of the query is not kept, only its digest (of the vector's bytes when there was no text). */
static void push_receipt(struct request *req, const struct search *s)
{
    struct receipt_hit hits[RECEIPT_HITS_MAX];
    size_t n = s->result.n < RECEIPT_HITS_MAX ? s->result.n : RECEIPT_HITS_MAX;
    for (size_t i = 0; i < n; i++)
        hits[i] = (struct receipt_hit){s->result.hits[i].chunk, s->result.hits[i].score};
    struct receipt_put r = {.collection = s->collection->id,
                            .at_us = s->query.now_us,
                            .commit = s->result.commit,
                            .policy = s->collection->policy,
                            .embedder = s->result.learned ? s->result.embedder : s->collection->embedder,
                            .seq = s->result.seq,
                            .mode = s->in.mode,
                            .k = (int)s->in.k,
                            .exact = s->in.exact,
                            .degraded = s->degraded,
                            .took_us = s->took_us,
                            .hits = hits,
                            .n_hits = n};
    memcpy(r.id, s->receipt, sizeof r.id);
    memcpy(r.key_id, req->actor.key_id, sizeof r.key_id);
    if (s->in.has_query)
        digest_sha256(s->in.query.ptr, s->in.query.len, &r.query_hash);
    else
        digest_sha256(s->in.vector, s->in.dim * sizeof *s->in.vector, &r.query_hash);
    (void)receipts_push(req->server->receipts, &r); /* a full ring drops it, and counts that */
}

/* ---- the operations ---- */

/* Waiting takes time: what went stale meanwhile is no longer served. */
static void drop_stale(struct search *s)
{
    struct vindex_result *r = &s->result;
    int64_t now = clock_now_us();
    size_t kept = 0;
    for (size_t i = 0; i < r->n && !s->in.include_quarantined; i++) {
        if (r->hits[i].fresh_until_us <= now)
            continue;
        if (s->places)
            s->places[kept] = s->places[i];
        r->hits[kept++] = r->hits[i];
    }
    r->n = s->in.include_quarantined ? r->n : kept;
}

/* The reranker's order, or the order there is: the reply then says `degraded`, and explain why. */
static void rerank(struct request *req, struct search *s)
{
    struct err err = {0};
    struct vindex_result *r = &s->result;
    if (!s->in.rerank)
        return;
    int *places = ARENA_ARRAY(req->call.arena, int, r->n + 1);
    s->reranked = r->n;
    if (rerank_hits(req->server, &req->call, s->collection, s->in.query, r, places, &err) == ASSAY_OK) {
        s->places = places;
    } else {
        log_err(LOG_WARN, "hits not reranked: serving the fused order", &err);
        s->rerank_error = err_slug(&err);
        s->degraded = true;
    }
    err_clear(&err);
    drop_stale(s);
    r->n = r->n < (size_t)s->in.k ? r->n : (size_t)s->in.k;
}

/* Finds and orders; the result stays pinned until `finish`. The moment is that of the search, whatever was waited for
 * before it. */
static enum assay_code find(struct request *req, struct search *s, struct err *err)
{
    struct vindex_collection *index = s->collection->index;
    s->query.now_us = clock_now_us();
    TRY(vindex_search(index, &s->query, req->call.arena, &s->result, err));
    if (s->has_at && !digest_eq(&s->at, &s->result.commit)) {
        vindex_result_release(index, &s->result);
        return unknown_ref(&s->in, err);
    }
    s->degraded |= !follower_healthy(req->server->follower);
    rerank(req, s);
    s->took_us = (clock_mono_ns() - s->started_ns) / 1000;
    uuid_new(s->receipt);
    return ASSAY_OK;
}

static void finish(struct request *req, struct jsonw *w, struct search *s)
{
    search_reply_write(w, s);
    push_receipt(req, s);
    metrics_search(req->server->metrics, s->in.mode, s->degraded, s->result.n, s->took_us);
    vindex_result_release(s->collection->index, &s->result);
}

static enum assay_code answer(struct request *req, struct reply *reply, struct search *s, struct err *err)
{
    struct jsonw w;
    TRY(prepare(req, s, err));
    if (s->in.rerank && !req->on_worker)
        return ASSAY_DEFER;
    TRY(embed(req, s, err));
    TRY(find(req, s, err));
    reply_json(reply, 200, &w);
    finish(req, &w, s);
    return ASSAY_OK;
}

static enum assay_code search(struct request *req, struct reply *reply, struct search *s, struct err *err)
{
    enum assay_code code = answer(req, reply, s, err);
    let_go(s);
    return code;
}

enum assay_code handle_search_post(struct request *req, struct reply *reply, struct err *err)
{
    struct search s = {.started_ns = clock_mono_ns()};
    TRY(request_no_query(req, err));
    TRY(search_request_read(req->call.arena, req->body, &s.in, err));
    return search(req, reply, &s, err);
}

enum assay_code handle_search_get(struct request *req, struct reply *reply, struct err *err)
{
    struct search s = {.started_ns = clock_mono_ns()};
    TRY(search_request_read_params(req->call.arena, req->query, req->n_query, &s.in, err));
    return search(req, reply, &s, err);
}

struct batch_item {
    struct search s;
    enum assay_code code;
    struct err err;
};

/* Reads every query, and has those that need it embedded together. */
static void prepare_batch(struct request *req, struct batch_item *items, const struct str *bodies, size_t n)
{
    struct query_text texts[SEARCH_BATCH_MAX];
    struct batch_item *wants[SEARCH_BATCH_MAX];
    size_t n_texts = 0;
    for (size_t i = 0; i < n; i++) {
        struct batch_item *it = &items[i];
        it->s.started_ns = clock_mono_ns();
        it->code = search_request_read(req->call.arena, bodies[i], &it->s.in, &it->err);
        if (it->code == ASSAY_OK)
            it->code = prepare(req, &it->s, &it->err);
        if (it->code == ASSAY_OK && wants_embedding(&it->s)) {
            wants[n_texts] = it;
            texts[n_texts++] = query_text(req, &it->s);
        }
    }
    query_embed(req->server->query_embedder, &req->call, texts, n_texts);
    for (size_t i = 0; i < n_texts; i++)
        wants[i]->code = take_vector(&wants[i]->s, &texts[i], &wants[i]->err);
}

/* One of a batch: its reply, or its problem, in its place. */
static void search_item(struct request *req, struct jsonw *w, struct batch_item *it)
{
    struct arena_mark mark = arena_mark(req->call.arena);
    if (it->code == ASSAY_OK)
        it->code = find(req, &it->s, &it->err);
    if (it->code == ASSAY_OK)
        finish(req, w, &it->s);
    else
        problem_write(w, &it->err);
    let_go(&it->s);
    err_clear(&it->err);
    arena_rollback(req->call.arena, mark);
}

enum assay_code handle_search_batch(struct request *req, struct reply *reply, struct err *err)
{
    struct str bodies[SEARCH_BATCH_MAX];
    struct jsonw w;
    size_t n;
    TRY(request_no_query(req, err));
    TRY(search_batch_read(req->call.arena, req->body, bodies, &n, err));
    struct batch_item *items = ARENA_ARRAY(req->call.arena, struct batch_item, n);
    prepare_batch(req, items, bodies, n);
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    jsonw_key(&w, "results");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++)
        search_item(req, &w, &items[i]);
    jsonw_array_end(&w);
    jsonw_object_end(&w);
    return ASSAY_OK;
}
