#include "store/sources.h"

#include "base/clock.h"
#include "store/source_rows.h"
#include "store/stmts.h"

#define SOURCE_COLUMNS                                                                                                 \
    "s.id, s.name, s.owner, s.contact, s.licence, s.description, s.max_age, s.max_age_us, s.trust, s.active,"          \
    " s.block_reason, s.created_at, s.updated_at, s.revision"

static void read_source(struct row *r, struct source_row *out)
{
    *out = (struct source_row){0};
    out->id = (int32_t)row_int(r);
    out->name = row_str(r);
    out->owner = row_str(r);
    out->contact = row_str(r);
    out->licence = row_str(r);
    out->description = row_str(r);
    out->max_age = row_str(r);
    bool ageless = row_null(r);
    int64_t max_age_us = row_int(r);
    out->max_age_us = ageless ? CLOCK_NEVER : max_age_us;
    out->trust = row_f64(r);
    out->active = row_bool(r);
    out->block_reason = row_str(r);
    out->created_at_us = row_time(r);
    out->updated_at_us = row_time(r);
    out->revision = row_int(r);
}

static const struct store_stmt source_find = {
    "source_find", "SELECT " SOURCE_COLUMNS " FROM sources s WHERE s.collection_id = $1 AND s.name = $2", 2};

enum assay_code source_read(struct tx *tx, int32_t collection, struct str name, struct source_row *out, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_str(&args, name);
    TRY(tx_exec(tx, &source_find, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-source", "There is no such source in the collection.");
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    read_source(&r, out);
    return ASSAY_OK;
}

void source_note(struct writer *w, const struct source_row *s)
{
    struct change_note *n = writer_note(w, VINDEX_SOURCE);
    n->source = s->id;
    n->name = s->name;
    n->source_active = s->active;
    n->max_age_us = s->max_age_us;
}

static const struct store_stmt source_insert = {
    "source_insert",
    "INSERT INTO sources (collection_id, id, name, owner, contact, licence, description, max_age, max_age_us, trust,"
    " created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
    11};

struct create_work {
    int32_t collection;
    const struct source_new *in;
    struct source_row *out;
    struct store_commit *commit;
};

static enum assay_code create_body(struct tx *tx, void *ctx, struct err *err)
{
    struct create_work *c = ctx;
    struct writer w;
    TRY(writer_begin(tx, c->collection, &w, err));
    struct buf args = {0};
    wire_i32(&args, c->collection);
    wire_i32(&args, ++w.last_source);
    wire_str(&args, c->in->name);
    wire_str(&args, c->in->owner);
    wire_str(&args, c->in->contact);
    wire_str(&args, c->in->licence);
    wire_str(&args, c->in->description);
    wire_str(&args, c->in->max_age);
    c->in->max_age_us == CLOCK_NEVER ? wire_null(&args) : wire_i64(&args, c->in->max_age_us);
    wire_f64(&args, c->in->trust);
    wire_time(&args, w.now_us);
    TRY(tx_exec(tx, &source_insert, &args, NULL, err));
    TRY(source_read(tx, c->collection, c->in->name, c->out, err));
    source_note(&w, c->out);
    TRY(tx_audit(tx, c->collection, w.now_us, "source.create", c->in->name, (struct str){0}, err));
    return writer_commit(&w, "source.create", c->commit, err);
}

enum assay_code store_source_create(struct store *s, const struct call *call, int32_t collection,
                                    const struct source_new *in, struct source_row *out, struct store_commit *commit,
                                    struct err *err)
{
    struct create_work w = {collection, in, out, commit};
    return store_transact(s, call, "source.create", create_body, &w, err);
}

static const struct store_stmt source_get = {
    "source_get",
    "SELECT " SOURCE_COLUMNS ","
    " (SELECT count(*) FROM documents d WHERE d.collection_id = s.collection_id AND d.source_id = s.id"
    "  AND d.deleted_at IS NULL), k.chunks, k.active"
    " FROM sources s CROSS JOIN LATERAL"
    " (SELECT count(*) AS chunks, count(*) FILTER (WHERE c.state = 1) AS active"
    "    FROM documents d JOIN chunks c ON c.collection_id = d.collection_id AND c.version = d.version AND c.state <> 3"
    "   WHERE d.collection_id = s.collection_id AND d.source_id = s.id AND d.deleted_at IS NULL) k"
    " WHERE s.collection_id = $1 AND s.name = $2",
    2};

enum assay_code store_source_get(struct store *s, const struct call *call, int32_t collection, struct str name,
                                 struct source_row *out, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_str(&args, name);
    TRY(store_query(s, call, &source_get, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-source", "There is no such source in the collection.");
    struct row r = rows_at(&rows, 0, call->arena);
    read_source(&r, out);
    out->documents = row_int(&r);
    out->chunks = row_int(&r);
    out->active_chunks = row_int(&r);
    return ASSAY_OK;
}

static const struct store_stmt source_list = {
    "source_list",
    "SELECT " SOURCE_COLUMNS " FROM sources s WHERE s.collection_id = $1 AND s.name > $2 ORDER BY s.name LIMIT $3", 3};

enum assay_code store_source_list(struct store *s, const struct call *call, int32_t collection, struct str after,
                                  size_t limit, struct source_row **out, size_t *n, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_str(&args, after);
    wire_i64(&args, (int64_t)limit);
    TRY(store_query(s, call, &source_list, &args, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct source_row, *n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, call->arena);
        read_source(&r, &(*out)[i]);
    }
    return ASSAY_OK;
}

const struct store_stmt *const store_sources_stmts[] = {&source_find, &source_insert, &source_get, &source_list, NULL};
