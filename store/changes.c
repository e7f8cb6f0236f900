#include "store/changes.h"

#include "base/clock.h"
#include "store/stmts.h"
#include "store/tx.h"

/* The last commit within the limit, or the next one when it alone is larger. */
static const struct store_stmt changes_upto = {
    "changes_upto",
    "SELECT seq, id FROM commits WHERE collection_id = $1 AND seq = coalesce("
    " (SELECT max(seq) FROM commits WHERE collection_id = $1 AND seq > $2 AND seq <= $2 + $3),"
    " (SELECT min(seq) FROM commits WHERE collection_id = $1 AND seq > $2))",
    3};
static const struct store_stmt changes_read = {
    "changes_read",
    "SELECT h.seq, h.kind, h.state, h.chunk_id, h.document_id, h.source_id, h.acl IS NOT NULL, h.acl, h.modified_at,"
    " h.source_active, h.max_age_us, s.name, c.chunk, c.version, c.pipeline, d.key, v.uri, v.title, c.text, c.heading,"
    " v.metadata, v.media_type, v.language, c.run::text, v.grouping, c.span_from, c.span_to, c.page, c.quality, "
    "c.embedding"
    " FROM changes h"
    " LEFT JOIN sources s ON s.collection_id = h.collection_id AND s.id = h.source_id"
    " LEFT JOIN LATERAL (SELECT * FROM chunks"
    "   WHERE h.kind = 0 AND collection_id = $1 AND id = h.chunk_id OFFSET 0) c ON true"
    " LEFT JOIN LATERAL (SELECT key FROM documents WHERE collection_id = $1 AND id = c.document_id OFFSET 0) d ON true"
    " LEFT JOIN LATERAL (SELECT uri, title, metadata, media_type, language, grouping FROM versions"
    "   WHERE collection_id = $1 AND document_id = c.document_id AND version = c.version OFFSET 0) v ON true"
    " WHERE h.collection_id = $1 AND h.seq > $2 AND h.seq <= $3 ORDER BY h.seq",
    3};

static void read_payload(struct row *r, struct vindex_change *c)
{
    size_t dim;
    c->chunk_id = row_digest(r);
    c->version = row_digest(r);
    c->pipeline = row_digest(r);
    c->key = row_str(r);
    c->uri = row_str(r);
    c->title = row_str(r);
    c->text = row_str(r);
    c->heading = row_str(r);
    c->metadata_json = row_str(r);
    c->media_type = row_str(r);
    c->language = row_str(r);
    c->run = row_str(r);
    c->group = row_str(r);
    c->from = (size_t)row_int(r);
    c->to = (size_t)row_int(r);
    c->page = (int)row_int(r);
    c->quality = row_f64(r);
    c->embedding = row_floats(r, &dim);
}

static void read_change(struct row r, struct vindex_change *c)
{
    c->seq = row_int(&r);
    c->kind = (enum vindex_change_kind)row_int(&r);
    c->state = (enum chunk_state)row_int(&r);
    c->chunk = row_int(&r);
    c->document = row_int(&r);
    c->source = (int32_t)row_int(&r);
    c->has_acl = row_bool(&r);
    c->acl = row_texts(&r);
    c->modified_at_us = row_time(&r);
    c->source_active = row_bool(&r);
    bool ageless = row_null(&r);
    int64_t max_age_us = row_int(&r);
    c->max_age_us = ageless ? CLOCK_NEVER : max_age_us;
    c->source_name = row_str(&r);
    if (c->kind == VINDEX_ADD)
        read_payload(&r, c);
}

struct read_work {
    int32_t collection;
    int64_t after;
    size_t limit;
    struct vindex_change **out;
    size_t *n;
    int64_t *upto;
    struct digest *commit;
};

/* Two statements without a transaction: rows of the log never change, so the second sees what the first promised. */
static enum assay_code read_body(struct tx *tx, void *ctx, struct err *err)
{
    struct read_work *w = ctx;
    struct buf args = {0};
    struct rows rows = {0};
    *w->n = 0;
    *w->out = NULL;
    *w->upto = w->after;
    wire_i32(&args, w->collection);
    wire_i64(&args, w->after);
    wire_i64(&args, (int64_t)w->limit);
    TRY(tx_exec(tx, &changes_upto, &args, &rows, err));
    if (rows.n == 0)
        return ASSAY_OK;
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    *w->upto = row_int(&r);
    *w->commit = row_digest(&r);
    wire_i32(&args, w->collection);
    wire_i64(&args, w->after);
    wire_i64(&args, *w->upto);
    TRY(tx_exec(tx, &changes_read, &args, &rows, err));
    *w->n = (size_t)rows.n;
    *w->out = ARENA_ARRAY(tx_arena(tx), struct vindex_change, *w->n);
    for (int i = 0; i < rows.n; i++)
        read_change(rows_at(&rows, i, tx_arena(tx)), &(*w->out)[i]);
    return ASSAY_OK;
}

enum assay_code store_changes_read(struct store *s, const struct call *call, int32_t collection, int64_t after,
                                   size_t limit, struct vindex_change **out, size_t *n, int64_t *upto,
                                   struct digest *commit, struct err *err)
{
    struct read_work w = {collection, after, limit, out, n, upto, commit};
    return store_with(s, call, "changes.read", read_body, &w, err);
}

static const struct store_stmt change_heads = {"change_heads", "SELECT id, head_seq FROM collections ORDER BY id", 0};

enum assay_code store_change_heads(struct store *s, const struct call *call, struct change_head **out, size_t *n,
                                   struct err *err)
{
    struct rows rows = {0};
    TRY(store_query(s, call, &change_heads, NULL, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct change_head, *n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, call->arena);
        (*out)[i].collection = (int32_t)row_int(&r);
        (*out)[i].seq = row_int(&r);
    }
    return ASSAY_OK;
}

const struct store_stmt *const store_changes_stmts[] = {&changes_upto, &changes_read, &change_heads, NULL};
