#include "store/collections.h"

#include "base/clock.h"
#include "store/stmts.h"
#include "store/writer.h"

#define COLLECTION_COLUMNS                                                                                             \
    "c.id, c.name, c.description, c.embedder, c.identity, c.pipeline, p.declaration, c.policy, c.created_at,"          \
    " c.index_params, c.generation, c.reverted, c.revision, c.head_seq, c.head_commit FROM collections c JOIN "        \
    "pipelines p ON p.id = c.pipeline"

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
    out->index_json = row_str(&r);
    out->generation = (int32_t)row_int(&r);
    out->has_reverted = !row_null(&r);
    out->reverted = row_digest(&r);
    out->revision = row_int(&r);
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
    "WITH c AS (INSERT INTO collections (name, description, embedder, policy, identity, pipeline, created_at,"
    "                                    index_params)"
    "           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id)"
    " INSERT INTO generations (collection_id, number, embedder, embedder_id, index_params, state, created_by,"
    "                          created_at, ready_at, served_at)"
    " SELECT id, 1, $3, $9, $8, 3, $10, $7, $7, $7 FROM c",
    10};
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
    TRY(insert_pipeline(tx, w->in, now_us, err));
    struct buf args = {0};
    wire_str(&args, w->in->name);
    wire_str(&args, w->in->description);
    wire_str(&args, w->in->embedder_json);
    wire_str(&args, w->in->policy_json.len ? w->in->policy_json : STR_LIT("{}"));
    wire_digest(&args, &identity);
    wire_digest(&args, &w->in->pipeline);
    wire_time(&args, now_us);
    wire_str(&args, w->in->index_json.len ? w->in->index_json : STR_LIT("{}"));
    wire_digest(&args, &w->in->embedder);
    wire_cstr(&args, tx_call(tx)->actor);
    TRY(tx_exec(tx, &collection_insert, &args, NULL, err));
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

/* ---- changes of what is declared ---- */

static const struct store_stmt collection_update = {
    "collection_update", "UPDATE collections SET description = $2, policy = $3, revision = revision + 1 WHERE id = $1",
    3};

struct patch_work {
    struct str name;
    const struct collection_patch *in;
    struct collection_row *out;
};

static enum assay_code patch_body(struct tx *tx, void *ctx, struct err *err)
{
    struct patch_work *p = ctx;
    const struct collection_patch *in = p->in;
    struct collection_row row = {0};
    struct writer w;
    struct buf args = {0};
    TRY(get_collection(tx, p->name, &row, err)); /* for its number; read again under the lock */
    TRY(writer_begin(tx, row.id, &w, err));
    TRY(get_collection(tx, p->name, &row, err));
    if (in->if_revision && in->if_revision != row.revision)
        return err_set(err, ASSAY_PRECONDITION, NULL, "The collection has been changed since it was read.");
    wire_i32(&args, row.id);
    wire_str(&args, in->has_description ? in->description : row.description);
    wire_str(&args, in->has_policy ? in->policy_json : row.policy_json);
    TRY(tx_exec(tx, &collection_update, &args, NULL, err));
    TRY(get_collection(tx, p->name, p->out, err));
    return tx_audit(tx, row.id, w.now_us, "collection.change", p->name, (struct str){0}, err);
}

enum assay_code store_collection_patch(struct store *s, const struct call *call, struct str name,
                                       const struct collection_patch *in, struct collection_row *out, struct err *err)
{
    struct patch_work w = {name, in, out};
    return store_transact(s, call, "collection.change", patch_body, &w, err);
}

static const struct store_stmt collection_revert = {
    "collection_revert", "UPDATE collections SET reverted = $2, revision = revision + 1 WHERE id = $1", 2};

struct revert_work {
    int32_t collection;
    const struct digest *learned;
};

static enum assay_code revert_body(struct tx *tx, void *ctx, struct err *err)
{
    struct revert_work *r = ctx;
    struct writer w;
    struct buf args = {0};
    char hex[DIGEST_HEX + 1];
    TRY(writer_begin(tx, r->collection, &w, err));
    wire_i32(&args, r->collection);
    wire_digest(&args, r->learned);
    TRY(tx_exec(tx, &collection_revert, &args, NULL, err));
    digest_hex(r->learned, hex);
    return tx_audit(tx, r->collection, w.now_us, "embedder.revert", str_of(hex), (struct str){0}, err);
}

enum assay_code store_collection_revert(struct store *s, const struct call *call, int32_t collection,
                                        const struct digest *learned, struct err *err)
{
    struct revert_work w = {collection, learned};
    return store_transact(s, call, "embedder.revert", revert_body, &w, err);
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

const struct store_stmt *const store_collections_stmts[] = {&pipeline_insert, &collection_insert, &collection_get,
                                                            &collection_list, &collection_update, &collection_revert,
                                                            &pipeline_get,    &pipeline_list,     NULL};
