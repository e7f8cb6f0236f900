/* Collections: what is governed together, under one embedder, one pipeline and one policy. */
#include "store/collections.h"
#include "handlers/handlers.h"
#include "handlers/page.h"
#include "server/index_spec.h"
#include "server/policy.h"
#include "server/server.h"

enum { NAME_MAX_BYTES = 63, DESCRIPTION_MAX = 2000 };

struct create_in {
    struct str name, description;
    json_t *embedder, *index, *pipeline, *policy;
};
static const struct json_field create_fields[] = {
    JSON_FIELD(struct create_in, name, JSON_FIELD_STR, .required = true, .min = 1, .max = NAME_MAX_BYTES),
    JSON_FIELD(struct create_in, description, JSON_FIELD_STR, .nullable = true, .max = DESCRIPTION_MAX),
    JSON_FIELD(struct create_in, embedder, JSON_FIELD_OBJECT, .nullable = true),
    JSON_FIELD(struct create_in, index, JSON_FIELD_OBJECT, .nullable = true),
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

static void write_index(struct jsonw *w, struct collection *c, struct str params)
{
    struct vindex_stats st;
    collection_stats(c, &st);
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
    jsonw_kraw(w, "params", params);
    jsonw_object_end(w);
}

static void write_collection(struct jsonw *w, struct catalog *catalog, const struct collection_row *row)
{
    struct collection *c = catalog_by_id(catalog, row->id);
    c = c ? collection_for_writing(c) : NULL;
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
    jsonw_kint(w, "generation", row->generation);
    jsonw_kint(w, "revision", row->revision);
    jsonw_ktime(w, "created_at", row->created_at_us);
    jsonw_key(w, "commit");
    if (digest_is_zero(&row->head_commit))
        jsonw_null(w);
    else
        jsonw_digest(w, &row->head_commit);
    jsonw_kint(w, "seq", row->head_seq);
    if (c)
        write_index(w, c, row->index_json);
    else
        jsonw_kcstr(w, "index", NULL);
    jsonw_object_end(w);
}

static enum assay_code read_declarations(struct request *req, const struct create_in *in, struct collection_new *out,
                                         struct err *err)
{
    struct arena *a = req->call.arena;
    struct embedder_spec spec;
    struct vindex_params index;
    struct policy policy;
    struct pipeline pipeline;
    json_t *builtin = NULL;
    if (!in->embedder)
        TRY(json_parse(a, STR_LIT("{\"kind\":\"builtin\"}"), &builtin, err));
    TRY(embedder_spec_parse(a, in->embedder ? in->embedder : builtin, "/embedder", &spec, &out->embedder_json, err));
    TRY(catalog_resolve_embedder(req->server->catalog, a, "/embedder", &spec, &out->embedder_json, err));
    embedder_spec_id(&spec, out->embedder_json, &out->embedder);
    TRY(index_spec_parse(a, in->index, "/index", &index, &out->index_json, err));
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
    reply_etag(reply, made.revision);
    reply_header(reply, "Location", "/collections/%.*s", STR_FMT(in.name));
    return ASSAY_OK;
}

enum assay_code handle_collections_list(struct request *req, struct reply *reply, struct err *err)
{
    struct page_query q = {.limit = PAGE_DEFAULT};
    struct str after = STR_LIT("");
    struct collection_row *rows;
    size_t n;
    struct jsonw w;
    TRY(request_query(req, page_fields, &q, err));
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
    struct collection_row row = {0};
    struct jsonw w;
    TRY(request_no_query(req, err));
    TRY(store_collection_get(req->server->store, &req->call, req->params[0], &row, err));
    reply_json(reply, 200, &w);
    write_collection(&w, req->server->catalog, &row);
    reply_etag(reply, row.revision);
    return ASSAY_OK;
}

/* ---- PATCH /collections/{name} ---- */

enum { PATCH_ATTEMPTS = 5 };

struct patch_in {
    json_t *policy; /* first: a present_offset of 0 would mean that there is none */
    struct str description;
    bool has_description;
};
static const struct json_field patch_fields[] = {
    {.name = "description",
     .type = JSON_FIELD_STR,
     .offset = offsetof(struct patch_in, description),
     .present_offset = offsetof(struct patch_in, has_description),
     .max = DESCRIPTION_MAX},
    JSON_FIELD(struct patch_in, policy, JSON_FIELD_OBJECT),
    JSON_FIELDS_END,
};

/* Members of the policy that are given take the place of what was there, null takes one away, the rest stays. */
static enum assay_code merge_policy(struct request *req, const struct collection_row *row, const json_t *change,
                                    struct str *out, struct err *err)
{
    struct arena *a = req->call.arena;
    struct policy policy;
    const char *name;
    json_t *merged, *value;
    const struct collection *c = catalog_by_id(req->server->catalog, row->id);
    TRY(json_parse(a, row->policy_json, &merged, err));
    json_object_foreach((json_t *)(uintptr_t)change, name, value) {
        int failed = json_is_null(value) ? json_object_del(merged, name) && json_object_get(merged, name)
                                         : json_object_set(merged, name, value);
        if (failed)
            return err_set(err, ASSAY_INTERNAL, NULL, "The policy cannot be put together.");
    }
    TRY(policy_parse(a, change, "/policy", c ? c->spec.kind : EMBEDDER_BUILTIN, &policy, out, err));
    return policy_parse(a, merged, "/policy", c ? c->spec.kind : EMBEDDER_BUILTIN, &policy, out, err);
}

/* A policy is merged into the one that was read, so it is stored only over that one. */
static enum assay_code patch(struct request *req, const struct patch_in *in, int64_t if_revision,
                             struct collection_row *out, struct err *err)
{
    struct collection_patch p = {
        .has_description = in->has_description, .description = in->description, .if_revision = if_revision};
    for (int attempt = 0;; attempt++) {
        struct collection_row row = {0};
        TRY(store_collection_get(req->server->store, &req->call, req->params[0], &row, err));
        if (in->policy) {
            p.has_policy = true;
            p.if_revision = if_revision ? if_revision : row.revision;
            TRY(merge_policy(req, &row, in->policy, &p.policy_json, err));
        }
        enum assay_code code = store_collection_patch(req->server->store, &req->call, req->params[0], &p, out, err);
        if (code != ASSAY_PRECONDITION || if_revision || attempt == PATCH_ATTEMPTS)
            return code;
        err_clear(err);
    }
}

enum assay_code handle_collections_patch(struct request *req, struct reply *reply, struct err *err)
{
    struct patch_in in = {0};
    struct collection_row row = {0};
    struct jsonw w;
    int64_t if_revision;
    TRY(request_no_query(req, err));
    TRY(request_json(req, patch_fields, &in, err));
    if (!in.has_description && !in.policy)
        return err_set(err, ASSAY_INVALID, NULL, "nothing to change: give description or policy");
    TRY(request_if_match(req, &if_revision, err));
    TRY(patch(req, &in, if_revision, &row, err));
    TRY(catalog_sync(req->server->catalog, &req->call, row.name, err));
    follower_notify(req->server->follower);
    reply_json(reply, 200, &w);
    write_collection(&w, req->server->catalog, &row);
    reply_etag(reply, row.revision);
    return ASSAY_OK;
}

/* ---- POST /collections/{name}/embedder/revert ---- */

/* Every server goes back when it sees the wish, and again when it has learned the same once more (an index made anew);
 * what is learned later is something else and stays. */
enum assay_code handle_collections_revert(struct request *req, struct reply *reply, struct err *err)
{
    static const struct json_field none[] = {JSON_FIELDS_END};
    struct collection *c;
    struct vindex_stats st;
    struct jsonw w;
    TRY(request_no_query(req, err));
    TRY(request_json(req, none, NULL, err));
    TRY(catalog_get(req->server->catalog, req->params[0], false, &c, err));
    collection_stats(c, &st);
    if (c->spec.kind != EMBEDDER_BUILTIN || st.generation == 0)
        return err_set(err, ASSAY_CONFLICT, "nothing-to-revert",
                       "The embedder of this collection has learned nothing.");
    if (st.learning)
        return err_set(err, ASSAY_CONFLICT, "embedder-busy",
                       "The embedder is learning or being exchanged: ask again when it is not.");
    TRY(store_collection_revert(req->server->store, &req->call, c->id, &st.embedder, err));
    TRY(catalog_sync(req->server->catalog, &req->call, c->name, err));
    follower_notify(req->server->follower);
    reply_json(reply, 202, &w);
    jsonw_object(&w);
    jsonw_kstr(&w, "collection", c->name);
    jsonw_key(&w, "reverted");
    if (digest_is_zero(&st.embedder))
        jsonw_null(&w);
    else
        jsonw_digest(&w, &st.embedder);
    jsonw_object_end(&w);
    return ASSAY_OK;
}
