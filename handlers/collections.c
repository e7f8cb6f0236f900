/* Collections: what is governed together, under one embedder, one pipeline and one policy. */
#include "store/collections.h"
#include "handlers/handlers.h"
#include "handlers/page.h"
#include "server/policy.h"
#include "server/server.h"

enum { NAME_MAX_BYTES = 63, DESCRIPTION_MAX = 2000 };

struct create_in {
    struct str name, description;
    json_t *embedder, *pipeline, *policy;
};
static const struct json_field create_fields[] = {
    JSON_FIELD(struct create_in, name, JSON_FIELD_STR, .required = true, .min = 1, .max = NAME_MAX_BYTES),
    JSON_FIELD(struct create_in, description, JSON_FIELD_STR, .nullable = true, .max = DESCRIPTION_MAX),
    JSON_FIELD(struct create_in, embedder, JSON_FIELD_OBJECT, .nullable = true),
    JSON_FIELD(struct create_in, pipeline, JSON_FIELD_OBJECT, .nullable = true),
    JSON_FIELD(struct create_in, policy, JSON_FIELD_OBJECT, .nullable = true),
    JSON_FIELDS_END,
};

/* ^[a-z0-9][a-z0-9_-]{0,62}$ */
static bool name_valid(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (i == 0 || (c != '_' && c != '-')))
            return false;
    }
    return s.len > 0;
}

static bool digest_is_zero(const struct digest *d)
{
    const struct digest zero = {0};
    return digest_eq(d, &zero);
}

static void write_index(struct jsonw *w, struct collection *c)
{
    struct vindex_stats st;
    vindex_stats(c->index, &st);
    jsonw_key(w, "index");
    jsonw_object(w);
    jsonw_kint(w, "slots", (int64_t)st.slots);
    jsonw_kint(w, "segments", (int64_t)st.segments);
    jsonw_kint(w, "head_rows", (int64_t)st.head_rows);
    jsonw_kint(w, "terms", (int64_t)st.terms);
    jsonw_kint(w, "memory_bytes", (int64_t)st.memory_bytes);
    jsonw_kint(w, "mapped_bytes", (int64_t)st.mapped_bytes);
    jsonw_kint(w, "disk_bytes", (int64_t)st.disk_bytes);
    jsonw_kint(w, "seq", st.seq);
    jsonw_kint(w, "generation", (int64_t)st.generation);
    jsonw_key(w, "learned");
    if (digest_is_zero(&st.embedder))
        jsonw_null(w);
    else
        jsonw_digest(w, &st.embedder);
    jsonw_kbool(w, "learning", st.learning);
    jsonw_object_end(w);
}

static void write_collection(struct jsonw *w, struct catalog *catalog, const struct collection_row *row)
{
    struct collection *c = catalog_by_id(catalog, row->id);
    jsonw_object(w);
    jsonw_kstr(w, "name", row->name);
    jsonw_kstr(w, "description", row->description);
    jsonw_kraw(w, "embedder", row->embedder_json);
    jsonw_key(w, "embedder_id");
    if (c)
        jsonw_digest(w, &c->embedder);
    else
        jsonw_null(w); /* made by another server a moment ago */
    jsonw_kraw(w, "pipeline", row->pipeline_json);
    jsonw_kdigest(w, "pipeline_id", &row->pipeline);
    jsonw_kraw(w, "policy", row->policy_json);
    jsonw_ktime(w, "created_at", row->created_at_us);
    jsonw_key(w, "commit");
    if (digest_is_zero(&row->head_commit))
        jsonw_null(w);
    else
        jsonw_digest(w, &row->head_commit);
    jsonw_kint(w, "seq", row->head_seq);
    if (c)
        write_index(w, c);
    else
        jsonw_kcstr(w, "index", NULL);
    jsonw_object_end(w);
}

static enum assay_code read_declarations(struct request *req, const struct create_in *in, struct collection_new *out,
                                         struct err *err)
{
    struct arena *a = req->call.arena;
    struct embedder_spec spec;
    struct policy policy;
    struct pipeline pipeline;
    json_t *builtin = NULL;
    if (!in->embedder)
        TRY(json_parse(a, STR_LIT("{\"kind\":\"builtin\"}"), &builtin, err));
    TRY(embedder_spec_parse(a, in->embedder ? in->embedder : builtin, "/embedder", &spec, &out->embedder_json, err));
    TRY(catalog_resolve_embedder(req->server->catalog, a, "/embedder", &spec, &out->embedder_json, err));
    if (in->pipeline)
        TRY(pipeline_parse(a, in->pipeline, "/pipeline", &pipeline, err));
    else
        pipeline_default(a, &pipeline);
    TRY(policy_parse(a, in->policy, "/policy", spec.kind, &policy, &out->policy_json, err));
    out->pipeline = pipeline.id;
    out->pipeline_json = pipeline.json;
    return ASSAY_OK;
}

enum assay_code handle_collections_create(struct request *req, struct reply *reply, struct err *err)
{
    struct create_in in = {.description = STR_LIT("")};
    struct collection_new row = {0};
    struct collection_row made;
    struct jsonw w;
    TRY(request_no_query(req, err));
    TRY(request_json(req, create_fields, &in, err));
    if (!name_valid(in.name))
        return err_add_field(err, "/name", "It must match ^[a-z0-9][a-z0-9_-]{0,62}$.");
    TRY(read_declarations(req, &in, &row, err));
    row.name = in.name;
    row.description = in.description.ptr ? in.description : STR_LIT("");
    if (catalog_at(req->server->catalog, CATALOG_MAX - 1))
        return err_set(err, ASSAY_CONFLICT, "too-many-collections", "There are %d collections already.", CATALOG_MAX);
    TRY(store_collection_create(req->server->store, &req->call, &row, &made, err));
    TRY(catalog_refresh(req->server->catalog, &req->call, err));
    reply_json(reply, 201, &w);
    write_collection(&w, req->server->catalog, &made);
    reply_header(reply, "Location", "/collections/%.*s", STR_FMT(in.name));
    return ASSAY_OK;
}

struct list_query {
    struct str cursor;
    int64_t limit;
};
static const struct json_field list_fields[] = {
    PAGE_FIELDS(struct list_query),
    JSON_FIELDS_END,
};

enum assay_code handle_collections_list(struct request *req, struct reply *reply, struct err *err)
{
    struct list_query q = {.limit = PAGE_DEFAULT};
    struct str after = STR_LIT("");
    struct collection_row *rows;
    size_t n;
    struct jsonw w;
    TRY(request_query(req, list_fields, &q, err));
    if (q.cursor.len > 0)
        TRY(request_cursor(req, q.cursor, &after, err));
    TRY(store_collection_list(req->server->store, &req->call, after, (size_t)q.limit + 1, &rows, &n, err));
    bool more = page_cut(&n, q.limit);
    reply_list(reply, &w);
    for (size_t i = 0; i < n; i++)
        write_collection(&w, req->server->catalog, &rows[i]);
    reply_list_end(&w, more ? request_cursor_make(req, rows[n - 1].name) : NULL);
    return ASSAY_OK;
}

enum assay_code handle_collections_get(struct request *req, struct reply *reply, struct err *err)
{
    struct collection_row row;
    struct jsonw w;
    TRY(request_no_query(req, err));
    TRY(store_collection_get(req->server->store, &req->call, req->params[0], &row, err));
    reply_json(reply, 200, &w);
    write_collection(&w, req->server->catalog, &row);
    return ASSAY_OK;
}
