/*
 * GET /quality: the quality index with its parts, weights and evidence, and the usable ratio, of a collection and of
 * each of its sources. A part that nothing measures yet is null and takes no part in the mean: unknown is not bad.
 */
#include <math.h>

#include "base/clock.h"
#include "handlers/handlers.h"
#include "server/server.h"
#include "store/quality.h"

struct query {
    struct str collection;
};
static const struct json_field query_fields[] = {
    JSON_FIELD(struct query, collection, JSON_FIELD_STR, .max = 128),
    JSON_FIELDS_END,
};

static void add(struct quality_source_row *sum, const struct quality_source_row *r)
{
    for (int s = 0; s < CHUNK_STATE_COUNT; s++) {
        sum->chunks[s] += r->chunks[s];
        sum->bytes[s] += r->bytes[s];
    }
    sum->usable_chunks += r->usable_chunks;
    sum->usable_bytes += r->usable_bytes;
    sum->with_lineage += r->with_lineage;
    sum->validated += r->validated;
    sum->fresh += r->fresh;
    sum->unique += r->unique;
}

/* Chunks or bytes that count: what is retired has left the collection. */
static int64_t current(const int64_t by_state[CHUNK_STATE_COUNT])
{
    return by_state[CHUNK_PENDING] + by_state[CHUNK_ACTIVE] + by_state[CHUNK_QUARANTINED];
}

static void write_parts(struct jsonw *w, const struct quality_source_row *r, const struct quality_weights *weights)
{
    int64_t of = current(r->chunks);
    const int64_t passed[QUALITY_PART_COUNT] = {[QUALITY_LINEAGE] = r->with_lineage,
                                                [QUALITY_VALIDATION] = r->validated,
                                                [QUALITY_FRESHNESS] = r->fresh,
                                                [QUALITY_SAFETY] = -1, /* no check measures it yet */
                                                [QUALITY_UNIQUENESS] = r->unique};
    struct quality_parts parts;
    for (int p = 0; p < QUALITY_PART_COUNT; p++)
        parts.v[p] = passed[p] < 0 ? (double)NAN : quality_rate(passed[p], of);
    jsonw_kdouble(w, "quality_index", quality_index(&parts, weights));
    jsonw_key(w, "parts");
    jsonw_array(w);
    for (int p = 0; p < QUALITY_PART_COUNT; p++) {
        bool measured = !isnan(parts.v[p]);
        jsonw_object(w);
        jsonw_kcstr(w, "name", quality_part_name((enum quality_part)p));
        jsonw_kdouble(w, "value", parts.v[p]);
        jsonw_kdouble(w, "weight", weights->w[p]);
        jsonw_kbool(w, "measured", measured);
        jsonw_key(w, "evidence");
        if (measured) {
            jsonw_object(w);
            jsonw_kint(w, "passed", passed[p]);
            jsonw_kint(w, "of", of);
            jsonw_object_end(w);
        } else {
            jsonw_null(w);
        }
        jsonw_object_end(w);
    }
    jsonw_array_end(w);
}

/* The members that a collection and a source have in common. */
static void write_figures(struct jsonw *w, const struct quality_source_row *r, const struct quality_weights *weights)
{
    double by_chunks = quality_usable_ratio(r->usable_chunks, current(r->chunks));
    write_parts(w, r, weights);
    jsonw_key(w, "usable_ratio");
    jsonw_object(w);
    jsonw_kdouble(w, "chunks", by_chunks);
    jsonw_kdouble(w, "bytes", quality_usable_ratio(r->usable_bytes, current(r->bytes)));
    jsonw_object_end(w);
    jsonw_kcstr(w, "tier", quality_tier(by_chunks));
    jsonw_key(w, "chunks");
    jsonw_object(w);
    for (int s = 0; s < CHUNK_STATE_COUNT; s++)
        jsonw_kint(w, chunk_state_name((enum chunk_state)s), r->chunks[s]);
    jsonw_object_end(w);
}

enum assay_code handle_quality_get(struct request *req, struct reply *reply, struct err *err)
{
    struct query q = {0};
    struct collection *c;
    struct quality_source_row *rows, sum = {0};
    size_t n;
    TRY(request_query(req, query_fields, &q, err));
    TRY(catalog_get(req->server->catalog, q.collection, false, &c, err));
    TRY(store_quality_sources(req->server->store, &req->call, c->id, clock_now_us(), &rows, &n, err));
    for (size_t i = 0; i < n; i++)
        add(&sum, &rows[i]);
    struct jsonw w;
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    jsonw_kstr(&w, "collection", c->name);
    write_figures(&w, &sum, &c->rules.weights);
    jsonw_key(&w, "sources");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&w);
        jsonw_kstr(&w, "source", rows[i].source);
        jsonw_kcstr(&w, "state", rows[i].source_active ? "active" : "blocked");
        jsonw_kint(&w, "documents", rows[i].documents);
        write_figures(&w, &rows[i], &c->rules.weights);
        jsonw_object_end(&w);
    }
    jsonw_array_end(&w);
    jsonw_object_end(&w);
    return ASSAY_OK;
}
