#include "store/collections.h"

#include "base/clock.h"
#include "store/stmts.h"
#include "store/writer.h"

#define COLLECTION_COLUMNS                                                                                             \
    "c.id, c.name, c.description, c.embedder, c.identity, c.pipeline, p.declaration, c.policy, c.created_at,"          \
    " c.head_seq, c.head_commit FROM collections c JOIN pipelines p ON p.id = c.pipeline"

static void read_collection(struct row r, struct collection_row *out)
{
    *out = (struct collection_row){0};
    out->id = (int32_t)row_int(&r);
    out->name = row_str(&r);
    out->description = row_str(&r);
    out->embedder_json = row_str(&r);
    out->identity = row_digest(&r);
    out->pipeline = row_digest(&r);
    out->pipeline_json = row_str(&r);
    out->policy_json = row_str(&r);
    out->created_at_us = row_time(&r);
    out->head_seq = row_int(&r);
    out->head_commit = row_digest(&r);
}

static const struct store_stmt pipeline_insert = {
    "pipeline_insert",
    "INSERT INTO pipelines (id, declaration, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING", 3};

static enum assay_code insert_pipeline(struct tx *tx, const struct collection_new *in, int64_t now_us, struct err *err)
{
    struct buf args = {0};
    wire_digest(&args, &in->pipeline);
    wire_str(&args, in->pipeline_json);
    wire_time(&args, now_us);
    return tx_exec(tx, &pipeline_insert, &args, NULL, err);
}

static const struct store_stmt collection_insert = {
    "collection_insert",
    "INSERT INTO collections (name, description, embedder, policy, identity, pipeline, created_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
    7};
static const struct store_stmt collection_get = {"collection_get", "SELECT " COLLECTION_COLUMNS " WHERE c.name = $1",
                                                 1};

static enum assay_code get_collection(struct tx *tx, struct str name, struct collection_row *out, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_str(&args, name);
    TRY(tx_exec(tx, &collection_get, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-collection", "There is no such collection.");
    read_collection(rows_at(&rows, 0, tx_arena(tx)), out);
    return ASSAY_OK;
}

struct create_work {
    const struct collection_new *in;
    struct collection_row *out;
};

/* SHA-256 over a random UUID and the embedder: another collection, or another embedder, is another identity. */
static struct digest new_identity(struct str embedder_json)
{
    char uuid[UUID_TEXT + 1];
    struct digest out;
    uuid_new(uuid);
    struct digest_ctx *c = digest_begin();
    digest_update_field(c, str_of(uuid));
    digest_update_field(c, embedder_json);
    digest_end(c, &out);
    return out;
}

static enum assay_code create_body(struct tx *tx, void *ctx, struct err *err)
{
    struct create_work *w = ctx;
    int64_t now_us = clock_now_us();
    struct digest identity = new_identity(w->in->embedder_json);
    struct rows rows = {0};
    TRY(insert_pipeline(tx, w->in, now_us, err));
    struct buf args = {0};
    wire_str(&args, w->in->name);
    wire_str(&args, w->in->description);
    wire_str(&args, w->in->embedder_json);
    wire_str(&args, w->in->policy_json.len ? w->in->policy_json : STR_LIT("{}"));
    wire_digest(&args, &identity);
    wire_digest(&args, &w->in->pipeline);
    wire_time(&args, now_us);
    TRY(tx_exec(tx, &collection_insert, &args, &rows, err));
    TRY(get_collection(tx, w->in->name, w->out, err));
    return tx_audit(tx, w->out->id, now_us, "collection.create", w->in->name, (struct str){0}, err);
}

enum assay_code store_collection_create(struct store *s, const struct call *call, const struct collection_new *in,
                                        struct collection_row *out, struct err *err)
{
    struct create_work w = {in, out};
    return store_transact(s, call, "collection.create", create_body, &w, err);
}

struct get_work {
    struct str name;
    struct collection_row *out;
};

static enum assay_code get_body(struct tx *tx, void *ctx, struct err *err)
{
    struct get_work *w = ctx;
    return get_collection(tx, w->name, w->out, err);
}

enum assay_code store_collection_get(struct store *s, const struct call *call, struct str name,
                                     struct collection_row *out, struct err *err)
{
    struct get_work w = {name, out};
    return store_with(s, call, "collection.get", get_body, &w, err);
}

static const struct store_stmt collection_list = {
    "collection_list", "SELECT " COLLECTION_COLUMNS " WHERE c.name > $1 ORDER BY c.name LIMIT $2", 2};

enum assay_code store_collection_list(struct store *s, const struct call *call, struct str after, size_t limit,
                                      struct collection_row **out, size_t *n, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_str(&args, after);
    wire_i64(&args, (int64_t)limit);
    TRY(store_query(s, call, &collection_list, &args, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct collection_row, *n);
    for (int i = 0; i < rows.n; i++)
        read_collection(rows_at(&rows, i, call->arena), &(*out)[i]);
    return ASSAY_OK;
}

static void read_pipeline(struct row r, struct pipeline_row *out)
{
    out->id = row_digest(&r);
    out->json = row_str(&r);
    out->created_at_us = row_time(&r);
}

static const struct store_stmt pipeline_get = {"pipeline_get",
                                               "SELECT id, declaration, created_at FROM pipelines WHERE id = $1", 1};

enum assay_code store_pipeline_get(struct store *s, const struct call *call, const struct digest *id,
                                   struct pipeline_row *out, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_digest(&args, id);
    TRY(store_query(s, call, &pipeline_get, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-pipeline", "There is no such pipeline.");
    read_pipeline(rows_at(&rows, 0, call->arena), out);
    return ASSAY_OK;
}

static const struct store_stmt pipeline_list = {
    "pipeline_list",
    "SELECT id, declaration, created_at FROM pipelines WHERE $1::bytea IS NULL OR id > $1 ORDER BY id LIMIT $2", 2};

enum assay_code store_pipeline_list(struct store *s, const struct call *call, const struct digest *after, size_t limit,
                                    struct pipeline_row **out, size_t *n, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    after ? wire_digest(&args, after) : wire_null(&args);
    wire_i64(&args, (int64_t)limit);
    TRY(store_query(s, call, &pipeline_list, &args, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct pipeline_row, *n);
    for (int i = 0; i < rows.n; i++)
        read_pipeline(rows_at(&rows, i, call->arena), &(*out)[i]);
    return ASSAY_OK;
}

const struct store_stmt *const store_collections_stmts[] = {
    &pipeline_insert, &collection_insert, &collection_get, &collection_list, &pipeline_get, &pipeline_list, NULL};
