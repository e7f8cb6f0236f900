/* Versions of a document: each immutable content that it had. */
#include "base/clock.h"
#include "handlers/document_view.h"
#include "handlers/handlers.h"
#include "handlers/page.h"
#include "server/access.h"
#include "server/server.h"

static void write_members(struct jsonw *w, const struct document_row *d, const struct version_row *v)
{
    jsonw_kdigest(w, "version", &v->version);
    jsonw_kstr(w, "document", d->key);
    jsonw_kbool(w, "current", !d->deleted && digest_eq(&d->version, &v->version));
    jsonw_kstr(w, "title", v->title.len > 0 ? v->title : (struct str){0});
    jsonw_kstr(w, "media_type", v->media_type);
    jsonw_kstr(w, "language", v->language);
    jsonw_kraw(w, "metadata", v->metadata_json);
    jsonw_kdigest(w, "bytes_hash", &v->bytes_hash);
    jsonw_kint(w, "bytes", (int64_t)v->bytes);
    jsonw_kint(w, "chunks", (int64_t)v->chunks);
    jsonw_kdigest(w, "pipeline", &v->pipeline);
    jsonw_kstr(w, "run", v->run);
    jsonw_ktime(w, "ingested_at", v->ingested_at_us);
    jsonw_ktime(w, "retired_at", v->retired_at_us);
}

struct list_query {
    struct str collection, cursor;
    int64_t limit;
};
static const struct json_field list_fields[] = {
    JSON_FIELD(struct list_query, collection, JSON_FIELD_STR, .max = 63),
    PAGE_FIELDS(struct list_query),
    JSON_FIELDS_END,
};

enum assay_code handle_versions_list(struct request *req, struct reply *reply, struct err *err)
{
    struct list_query q = {.limit = PAGE_DEFAULT};
    struct collection *c;
    struct document_row doc;
    struct version_row *rows;
    struct str keyset;
    int64_t before_us = CLOCK_NEVER;
    size_t n;
    const char *next = NULL;
    struct jsonw w;
    TRY(request_query(req, list_fields, &q, err));
    TRY(catalog_get(req->server->catalog, q.collection, false, &c, err));
    if (q.cursor.len > 0) {
        TRY(request_cursor(req, q.cursor, &keyset, err));
        if (!str_to_i64(keyset, &before_us))
            return err_add_field(err, "?cursor", "It is not a cursor of this list.");
    }
    TRY(document_view_find(req, c, req->params[0], true, &doc, err));
    TRY(store_version_list(req->server->store, &req->call, c->id, doc.id, before_us, (size_t)q.limit + 1, &rows, &n,
                           err));
    bool more = page_cut(&n, q.limit);
    reply_list(reply, &w);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&w);
        write_members(&w, &doc, &rows[i]);
        jsonw_object_end(&w);
    }
    if (more) {
        const char *last = arena_printf(req->call.arena, "%lld", (long long)rows[n - 1].ingested_at_us);
        next = request_cursor_make(req, str_of(last));
    }
    reply_list_end(&w, next);
    return ASSAY_OK;
}

/* The canonical text goes to stewards, and to others only of the current version when all of it is being served: a
 * version's text must not be a way around quarantine. Otherwise "canonical" is null. */
enum assay_code handle_versions_get(struct request *req, struct reply *reply, struct err *err)
{
    struct collection *c;
    struct document_row doc;
    struct version_row row;
    struct digest version;
    struct jsonw w;
    TRY(document_view_collection(req, &c, err));
    TRY(document_view_find(req, c, req->params[0], true, &doc, err));
    if (!digest_from_hex(req->params[1], &version))
        return err_set(err, ASSAY_NOT_FOUND, "unknown-version", "The document has no such version.");
    TRY(store_version_get(req->server->store, &req->call, c->id, doc.id, &version, &row, err));
    bool shown =
        access_steward(&req->actor) || (digest_eq(&doc.version, &version) && document_view_text_allowed(req, &doc));
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    write_members(&w, &doc, &row);
    jsonw_kstr(&w, "canonical", shown ? row.canonical : (struct str){0});
    jsonw_object_end(&w);
    return ASSAY_OK;
}
