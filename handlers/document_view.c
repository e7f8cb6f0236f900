#include "handlers/document_view.h"

#include "base/clock.h"
#include "server/access.h"
#include "server/server.h"

struct collection_query {
    struct str collection;
};
static const struct json_field collection_fields[] = {
    JSON_FIELD(struct collection_query, collection, JSON_FIELD_STR, .max = 63),
    JSON_FIELDS_END,
};

enum assay_code document_view_collection(struct request *req, struct collection **out, struct err *err)
{
    struct collection_query q = {0};
    TRY(request_query(req, collection_fields, &q, err));
    return catalog_get(req->server->catalog, q.collection, false, out, err);
}

enum assay_code document_view_find(struct request *req, struct collection *c, struct str key, bool deleted_too,
                                   struct document_row *out, struct err *err)
{
    TRY(store_document_get(req->server->store, &req->call, c->id, key, out, err));
    bool visible = access_allows(&req->actor, out->has_acl, &out->acl);
    if (out->deleted && !(deleted_too && access_steward(&req->actor)))
        visible = false;
    return visible ? ASSAY_OK : err_set(err, ASSAY_NOT_FOUND, "unknown-document", "There is no such document.");
}

bool document_view_text_allowed(const struct request *req, const struct document_row *d)
{
    if (access_steward(&req->actor))
        return true;
    return !d->deleted && d->source_active && d->fresh_until_us > clock_now_us() && d->states[CHUNK_ACTIVE] > 0 &&
           d->states[CHUNK_PENDING] == 0 && d->states[CHUNK_QUARANTINED] == 0 && d->states[CHUNK_RETIRED] == 0;
}

static void write_optional(struct jsonw *w, const char *key, struct str s)
{
    jsonw_kstr(w, key, s.len > 0 ? s : (struct str){0});
}

static void write_acl(struct jsonw *w, const struct document_row *d)
{
    jsonw_key(w, "acl");
    if (!d->has_acl) {
        jsonw_null(w);
        return;
    }
    jsonw_array(w);
    for (size_t i = 0; i < d->acl.n; i++)
        jsonw_str(w, d->acl.items[i]);
    jsonw_array_end(w);
}

void document_view_write(struct jsonw *w, const struct collection *c, const struct document_row *d)
{
    jsonw_object(w);
    jsonw_kstr(w, "id", d->key);
    jsonw_kstr(w, "collection", c->name);
    write_optional(w, "uri", d->uri);
    write_optional(w, "title", d->title);
    jsonw_kstr(w, "source", d->source);
    jsonw_kcstr(w, "source_state", d->source_active ? "active" : "blocked");
    jsonw_kdigest(w, "version", &d->version);
    jsonw_kint(w, "versions", (int64_t)d->n_versions);
    jsonw_kstr(w, "media_type", d->media_type);
    jsonw_kstr(w, "language", d->language);
    write_optional(w, "group", d->group);
    jsonw_kraw(w, "metadata", d->metadata_json);
    write_acl(w, d);
    jsonw_ktime(w, "modified_at", d->modified_at_us);
    jsonw_ktime(w, "ingested_at", d->ingested_at_us);
    jsonw_ktime(w, "fresh_until", d->fresh_until_us);
    jsonw_kint(w, "bytes", (int64_t)d->bytes);
    jsonw_key(w, "states");
    jsonw_object(w);
    for (int s = 0; s < CHUNK_STATE_COUNT; s++)
        jsonw_kint(w, chunk_state_name((enum chunk_state)s), (int64_t)d->states[s]);
    jsonw_object_end(w);
    jsonw_kbool(w, "deleted", d->deleted);
    jsonw_kdigest(w, "pipeline", &d->pipeline);
    jsonw_kstr(w, "run", d->run);
    jsonw_object_end(w);
}
