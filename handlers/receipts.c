/*
 * GET /lineage/receipts/{receipt}: everything behind one answer, from the passages back to source, bytes, pipeline and
 * run. A receipt belongs to the key that got it; stewards see all of them. Other keys see no hits in documents that
 * they may not see (any more).
 */
#include <string.h>

#include "base/clock.h"
#include "base/node_id.h"
#include "handlers/handlers.h"
#include "handlers/search_request.h"
#include "server/access.h"
#include "server/server.h"
#include "store/lineage_access.h"

enum { FLUSH_MAX_S = 3 };

static enum assay_code unknown_receipt(struct err *err)
{
    return err_set(err, ASSAY_NOT_FOUND, "unknown-receipt", "there is no such receipt");
}

static void write_optional(struct jsonw *w, const char *key, struct str s)
{
    jsonw_kstr(w, key, s.len ? s : (struct str){0});
}

static void write_node_id(struct jsonw *w, enum node_kind kind, struct str collection, struct str key)
{
    struct buf id = {0};
    node_id_format(&id, kind, collection, key);
    jsonw_kstr(w, "node_id", buf_str(&id));
    buf_free(&id);
}

static void write_hit(struct jsonw *w, struct str collection, const struct receipt_trace_hit *h)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(&h->chunk, hex);
    jsonw_object(w);
    jsonw_kdigest(w, "chunk", &h->chunk);
    write_node_id(w, NODE_CHUNK, collection, (struct str){hex, DIGEST_HEX});
    jsonw_kdouble(w, "score", h->score);
    jsonw_kcstr(w, "state_now", h->state_now);
    jsonw_kstr(w, "document", h->document);
    jsonw_kdigest(w, "version", &h->version);
    jsonw_kspan(w, "span", h->from, h->to);
    write_optional(w, "uri", h->uri);
    jsonw_kstr(w, "title", h->title);
    jsonw_kstr(w, "media_type", h->media_type);
    jsonw_kdigest(w, "bytes_hash", &h->bytes_hash);
    jsonw_kstr(w, "source", h->source);
    write_optional(w, "source_owner", h->source_owner);
    write_optional(w, "source_licence", h->source_licence);
    jsonw_kdigest(w, "pipeline", &h->pipeline);
    jsonw_kstr(w, "run", h->run);
    jsonw_ktime(w, "modified_at", h->modified_at_us);
    jsonw_ktime(w, "ingested_at", h->ingested_at_us);
    jsonw_object_end(w);
}

static enum assay_code judge(struct request *req, const struct receipt_row *row, bool **visible, struct err *err)
{
    struct arena *a = req->call.arena;
    size_t n = row->n_trace;
    if (access_steward(&req->actor)) {
        *visible = ARENA_ARRAY(a, bool, n);
        memset(*visible, 1, n * sizeof **visible);
        return ASSAY_OK;
    }
    struct lineage_node *nodes = ARENA_ARRAY(a, struct lineage_node, n);
    for (size_t i = 0; i < n; i++)
        nodes[i] =
            (struct lineage_node){.kind = NODE_DOCUMENT, .collection = row->collection, .key = row->trace[i].document};
    struct lineage_reader reader = {req->actor.groups, str_of(req->actor.key_id)};
    return store_lineage_visible(req->server->store, &req->call, &reader, nodes, n, visible, err);
}

static void write_receipt(struct jsonw *w, const struct receipt_row *row)
{
    const struct receipt_put *r = &row->r;
    jsonw_kcstr(w, "receipt", r->id);
    write_node_id(w, NODE_RECEIPT, row->collection, str_of(r->id));
    jsonw_kstr(w, "collection", row->collection);
    jsonw_ktime(w, "at", r->at_us);
    jsonw_kdigest(w, "query_hash", &r->query_hash);
    jsonw_key(w, "commit");
    if (r->seq)
        jsonw_digest(w, &r->commit);
    else
        jsonw_null(w);
    jsonw_kint(w, "seq", r->seq);
    jsonw_kdigest(w, "policy", &r->policy);
    jsonw_kdigest(w, "embedder", &r->embedder);
    jsonw_kcstr(w, "mode", r->mode >= 0 && r->mode <= VINDEX_LEXICAL ? search_mode_names[r->mode] : NULL);
    jsonw_kint(w, "k", r->k);
    jsonw_kbool(w, "exact", r->exact);
    jsonw_kbool(w, "degraded", r->degraded);
    jsonw_kdouble(w, "took_ms", (double)r->took_us / 1000.0);
    jsonw_kcstr(w, "key", r->key_id);
}

enum assay_code handle_receipts_get(struct request *req, struct reply *reply, struct err *err)
{
    struct receipt_row row;
    bool *visible;
    TRY(request_no_query(req, err));
    if (!uuid_valid(req->params[0]))
        return unknown_receipt(err);
    /* The receipt of a search that was answered a moment ago may still be in the ring. */
    int64_t until_us = clock_mono_us() + FLUSH_MAX_S * CLOCK_SECOND;
    (void)receipts_flush(req->server->receipts, until_us < req->call.deadline_us ? until_us : req->call.deadline_us);
    TRY(store_receipt_get(req->server->store, &req->call, req->params[0], &row, err));
    if (!access_steward(&req->actor) && strcmp(row.r.key_id, req->actor.key_id) != 0)
        return unknown_receipt(err);
    TRY(judge(req, &row, &visible, err));
    struct jsonw w;
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    write_receipt(&w, &row);
    jsonw_key(&w, "hits");
    jsonw_array(&w);
    for (size_t i = 0; i < row.n_trace; i++) {
        if (visible[i])
            write_hit(&w, row.collection, &row.trace[i]);
    }
    jsonw_array_end(&w);
    jsonw_object_end(&w);
    return ASSAY_OK;
}
