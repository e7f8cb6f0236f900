/*
 * POST /search and GET /search: the hot path. It runs on the HTTP thread, asks PostgreSQL for nothing and takes no lock
 * that a writer can hold; only a collection whose queries are embedded by an endpoint moves to a worker thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/node_id.h"
#include "handlers/handlers.h"
#include "handlers/search_request.h"
#include "index/fuse.h"
#include "server/access.h"
#include "server/server.h"
#include "store/keys.h"

struct search {
    struct search_request in;
    struct collection *collection;
    struct vindex_query query;
    struct vindex_result result;
    char receipt[UUID_TEXT + 1];
    bool has_at;
    struct digest at;
    bool degraded;
    int64_t started_ns, took_us;
};

/* ---- from request to query ---- */

static enum assay_code check_rights(const struct request *req, const struct search_request *in, struct err *err)
{
    if (in->has_principal && !(req->actor.scopes & SCOPE_DELEGATE))
        return err_set(err, ASSAY_FORBIDDEN, "not-a-delegate",
                       "only a key with the scope delegate may search on behalf of others");
    if (in->include_quarantined && !access_steward(&req->actor))
        return err_set(err, ASSAY_FORBIDDEN, "not-a-steward",
                       "only a key with the scope steward may see what is quarantined");
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

/* The endpoint's vector for the query. When it cannot be had, words alone answer, and the reply says `degraded`. */
static enum assay_code embed(struct request *req, struct search *s, struct err *err)
{
    struct search_request *in = &s->in;
    if (in->vector || in->mode == VINDEX_LEXICAL || s->collection->spec.kind != EMBEDDER_OPENAI)
        return ASSAY_OK;
    if (!req->on_worker)
        return ASSAY_DEFER;
    float *v = ARENA_ARRAY(req->call.arena, float, (size_t)s->collection->spec.dim);
    enum assay_code code = intake_embed_query(req->server->intake, &req->call, s->collection, in->query, v, err);
    if (code == ASSAY_OK) {
        in->vector = v;
        return ASSAY_OK;
    }
    if (in->mode == VINDEX_VECTOR)
        return err_set(err, ASSAY_UNAVAILABLE, "embedder-unavailable",
                       "the collection's embedding endpoint did not give the query's vector");
    log_err(LOG_WARN, "query not embedded: searching by words alone", err);
    err_clear(err);
    in->mode = VINDEX_LEXICAL;
    s->degraded = true;
    return ASSAY_OK;
}

static enum assay_code prepare(struct request *req, struct search *s, struct err *err)
{
    struct search_request *in = &s->in;
    TRY(check_rights(req, in, err));
    TRY(catalog_get(req->server->catalog, in->collection, false, &s->collection, err));
    TRY(check_vector(s, err));
    TRY(read_at(s, err));
    const struct filter *filter = NULL;
    if (in->filter)
        TRY(filter_parse(req->call.arena, in->filter, search_request_pointer(in, "filter"), &filter, err));
    TRY(embed(req, s, err));
    s->query = (struct vindex_query){.mode = (enum vindex_mode)in->mode,
                                     .text = in->query,
                                     .vector = in->vector,
                                     .k = (size_t)in->k,
                                     .filter = filter,
                                     .min_quality = in->min_quality,
                                     .principals = in->has_principal ? in->principal : req->actor.groups,
                                     .exact = in->exact,
                                     .include_quarantined = in->include_quarantined,
                                     .highlight = in->highlight,
                                     .now_us = clock_now_us()};
    return ASSAY_OK;
}

/* ---- from result to reply ---- */

/* Scores are written with eight decimals: more than any comparison of hits needs, and many times cheaper than the
 * shortest text that reads back as the same double. */
static void write_decimal(struct jsonw *w, const char *key, double v)
{
    enum { DECIMALS = 8, SCALE = 100000000 };
    char text[40];
    jsonw_key(w, key);
    if (!(v > -1e9 && v < 1e9)) {
        jsonw_double(w, v);
        return;
    }
    uint64_t scaled = (uint64_t)((v < 0 ? -v : v) * SCALE + 0.5);
    uint64_t whole = scaled / SCALE, fraction = scaled % SCALE;
    char *p = text + sizeof text;
    for (int i = 0; i < DECIMALS; i++, fraction /= 10) {
        if (p != text + sizeof text || fraction % 10 != 0)
            *--p = (char)('0' + fraction % 10);
    }
    if (p != text + sizeof text)
        *--p = '.';
    do {
        *--p = (char)('0' + whole % 10);
        whole /= 10;
    } while (whole);
    if (v < 0 && scaled)
        *--p = '-';
    jsonw_raw(w, (struct str){p, (size_t)(text + sizeof text - p)});
}

/* The index keeps no difference between empty and absent. */
static void write_text(struct jsonw *w, const char *key, struct str s)
{
    jsonw_kstr(w, key, s.len ? s : STR_LIT(""));
}

static void write_optional(struct jsonw *w, const char *key, struct str s)
{
    jsonw_kstr(w, key, s.len ? s : (struct str){0});
}

static void write_provenance(struct jsonw *w, const struct search *s, const struct vindex_hit *h)
{
    char hex[DIGEST_HEX + 1];
    struct buf id = {0};
    digest_hex(&h->chunk, hex);
    node_id_format(&id, NODE_CHUNK, s->collection->name, (struct str){hex, DIGEST_HEX});
    jsonw_key(w, "provenance");
    jsonw_object(w);
    jsonw_kdigest(w, "pipeline", &h->pipeline);
    write_text(w, "run", h->run);
    jsonw_kdigest(w, "embedder", &s->collection->embedder);
    jsonw_kstr(w, "node_id", buf_str(&id));
    jsonw_object_end(w);
    buf_free(&id);
}

static void write_ranks(struct jsonw *w, const struct vindex_hit *h)
{
    static const char *const legs[] = {"vector", "lexical"};
    const int ranks[] = {h->vector_rank, h->lexical_rank};
    const double scores[] = {h->vector_score, h->lexical_score};
    jsonw_key(w, "explain");
    jsonw_object(w);
    for (size_t i = 0; i < sizeof legs / sizeof *legs; i++) {
        jsonw_key(w, legs[i]);
        if (ranks[i] == 0) {
            jsonw_null(w);
            continue;
        }
        jsonw_object(w);
        jsonw_kint(w, "rank", ranks[i]);
        write_decimal(w, "score", scores[i]);
        jsonw_object_end(w);
    }
    jsonw_object_end(w);
}

static void write_highlights(struct jsonw *w, const struct vindex_hit *h)
{
    jsonw_key(w, "highlights");
    jsonw_array(w);
    for (size_t i = 0; i < h->n_highlights; i++) {
        jsonw_array(w);
        jsonw_int(w, (int64_t)h->highlights[i].from);
        jsonw_int(w, (int64_t)h->highlights[i].to);
        jsonw_array_end(w);
    }
    jsonw_array_end(w);
}

static void write_hit(struct jsonw *w, const struct search *s, const struct vindex_hit *h)
{
    /* Of a blocked source, or past its deadline and not yet recorded by the sweeper: held back all the same. */
    bool held = h->state == CHUNK_ACTIVE && (!h->source_active || h->fresh_until_us <= s->query.now_us);
    jsonw_object(w);
    jsonw_kdigest(w, "chunk", &h->chunk);
    jsonw_kstr(w, "document", h->document);
    jsonw_kdigest(w, "version", &h->version);
    write_optional(w, "uri", h->uri);
    write_text(w, "title", h->title);
    write_text(w, "heading", h->heading);
    write_text(w, "text", h->text);
    jsonw_key(w, "span");
    jsonw_array(w);
    jsonw_int(w, (int64_t)h->from);
    jsonw_int(w, (int64_t)h->to);
    jsonw_array_end(w);
    if (h->page > 0)
        jsonw_kint(w, "page", h->page);
    write_decimal(w, "score", h->score);
    write_decimal(w, "quality", h->quality);
    jsonw_kcstr(w, "state", chunk_state_name(held ? CHUNK_QUARANTINED : h->state));
    jsonw_ktime(w, "fresh_until", h->fresh_until_us);
    jsonw_kstr(w, "source", h->source);
    jsonw_kraw(w, "metadata", h->metadata_json.len ? h->metadata_json : STR_LIT("{}"));
    write_text(w, "language", h->language);
    write_text(w, "media_type", h->media_type);
    write_provenance(w, s, h);
    if (s->in.explain)
        write_ranks(w, h);
    if (s->in.highlight)
        write_highlights(w, h);
    jsonw_object_end(w);
}

static void write_explain(struct jsonw *w, const struct search *s)
{
    jsonw_key(w, "explain");
    jsonw_object(w);
    jsonw_kcstr(w, "mode", search_mode_names[s->in.mode]);
    jsonw_kcstr(w, "plan", s->result.plan);
    jsonw_kint(w, "eligible", (int64_t)s->result.eligible);
    jsonw_kint(w, "seq", s->result.seq);
    jsonw_key(w, "fusion");
    if (s->in.mode == VINDEX_HYBRID) {
        jsonw_object(w);
        jsonw_kcstr(w, "method", "weighted reciprocal rank");
        jsonw_kint(w, "k", FUSE_K);
        jsonw_key(w, "weights");
        jsonw_object(w);
        jsonw_kdouble(w, "vector", vindex_vector_weight(s->collection->spec.kind));
        jsonw_kdouble(w, "lexical", 1);
        jsonw_object_end(w);
        jsonw_object_end(w);
    } else {
        jsonw_null(w);
    }
    jsonw_object_end(w);
}

static void write_reply(struct reply *reply, const struct search *s)
{
    static const struct digest none;
    struct jsonw w;
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    jsonw_key(&w, "hits");
    jsonw_array(&w);
    for (size_t i = 0; i < s->result.n; i++)
        write_hit(&w, s, &s->result.hits[i]);
    jsonw_array_end(&w);
    jsonw_kcstr(&w, "receipt", s->receipt);
    jsonw_key(&w, "commit");
    if (digest_eq(&s->result.commit, &none))
        jsonw_null(&w);
    else
        jsonw_digest(&w, &s->result.commit);
    if (s->in.explain)
        write_explain(&w, s);
    write_decimal(&w, "took_ms", (double)s->took_us / 1000.0);
    jsonw_kbool(&w, "degraded", s->degraded);
    jsonw_object_end(&w);
}

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
                            .embedder = s->collection->embedder,
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

/* ---- the operation ---- */

static enum assay_code search(struct request *req, struct reply *reply, struct search *s, struct err *err)
{
    TRY(prepare(req, s, err));
    struct vindex_collection *index = s->collection->index;
    TRY(vindex_search(index, &s->query, req->call.arena, &s->result, err));
    if (s->has_at && !digest_eq(&s->at, &s->result.commit)) {
        vindex_result_release(index, &s->result);
        return unknown_ref(&s->in, err);
    }
    s->degraded |= !follower_healthy(req->server->follower);
    s->took_us = (clock_mono_ns() - s->started_ns) / 1000;
    uuid_new(s->receipt);
    write_reply(reply, s);
    push_receipt(req, s);
    metrics_search(req->server->metrics, s->in.mode, s->degraded, s->result.n, s->took_us);
    vindex_result_release(index, &s->result);
    return ASSAY_OK;
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
