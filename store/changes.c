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
    "c.state, CASE WHEN c.embedder = $4 THEN c.embedding ELSE (SELECT e.vector"
    "  FROM vectors e WHERE e.collection_id = c.collection_id AND e.embedder = $4 AND e.chunk_id = c.id) END"
    " FROM changes h"
    " LEFT JOIN sources s ON s.collection_id = h.collection_id AND s.id = h.source_id"
    " LEFT JOIN LATERAL (SELECT * FROM chunks"
    "   WHERE h.kind = 0 AND collection_id = $1 AND id = h.chunk_id OFFSET 0) c ON true"
    " LEFT JOIN LATERAL (SELECT key FROM documents WHERE collection_id = $1 AND id = c.document_id OFFSET 0) d ON true"
    " LEFT JOIN LATERAL (SELECT uri, title, metadata, media_type, language, grouping FROM versions"
    "   WHERE collection_id = $1 AND document_id = c.document_id AND version = c.version OFFSET 0) v ON true"
    " WHERE h.collection_id = $1 AND h.seq > $2 AND h.seq <= $3 ORDER BY h.seq",
    4};
static const struct store_stmt changes_before = {
    "changes_before",
    "SELECT seq, id FROM commits WHERE collection_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT 1", 3};

/* *now: the chunk's state by now. */
static void read_payload(struct row *r, const struct change_vectors *vectors, struct vindex_change *c,
                         enum chunk_state *now)
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
    *now = (enum chunk_state)row_int(r);
    c->embedding = row_floats(r, &dim);
    if (dim != (size_t)vectors->dim)
        c->embedding = NULL;
}

static void read_change(struct row r, const struct change_vectors *vectors, struct vindex_change *c,
                        enum chunk_state *now)
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
        read_payload(&r, vectors, c, now);
}

struct read_work {
    int32_t collection;
    int64_t after;
    size_t limit;
    const struct change_vectors *vectors;
    struct changes_read *out;
};

/* Where the reading ends: fills upto and commit. */
static enum assay_code find_end(struct tx *tx, const struct read_work *w, const struct store_stmt *stmt, int64_t bound,
                                struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    w->out->upto = w->after;
    wire_i32(&args, w->collection);
    wire_i64(&args, w->after);
    wire_i64(&args, bound);
    TRY(tx_exec(tx, stmt, &args, &rows, err));
    if (rows.n == 0)
        return ASSAY_OK;
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    w->out->upto = row_int(&r);
    w->out->commit = row_digest(&r);
    return ASSAY_OK;
}

/* Takes the rows until one lacks its vector; gives its number, or 0. */
static int64_t take_changes(const struct read_work *w, const struct rows *rows, struct arena *a)
{
    struct changes_read *out = w->out;
    out->changes = ARENA_ARRAY(a, struct vindex_change, (size_t)rows->n);
    for (int i = 0; i < rows->n; i++) {
        struct vindex_change *c = &out->changes[out->n];
        enum chunk_state now = CHUNK_ACTIVE;
        read_change(rows_at(rows, i, a), w->vectors, c, &now);
        if (!w->vectors->needed || c->kind != VINDEX_ADD || c->embedding)
            out->n++;
        else if (now != CHUNK_RETIRED)
            return c->seq;
        else
            *c = (struct vindex_change){0}; /* it will not be searched again unless it is added again */
    }
    return 0;
}

static enum assay_code end_before(struct tx *tx, const struct read_work *w, int64_t lacking, struct err *err)
{
    struct changes_read *out = w->out;
    out->starved = true;
    TRY(find_end(tx, w, &changes_before, lacking, err));
    while (out->n > 0 && out->changes[out->n - 1].seq > out->upto)
        out->n--;
    return ASSAY_OK;
}

/* Statements without a transaction: rows of the log never change, so the second sees what the first promised. */
static enum assay_code read_body(struct tx *tx, void *ctx, struct err *err)
{
    struct read_work *w = ctx;
    struct buf args = {0};
    struct rows rows = {0};
    *w->out = (struct changes_read){0};
    TRY(find_end(tx, w, &changes_upto, (int64_t)w->limit, err));
    if (w->out->upto == w->after)
        return ASSAY_OK;
    wire_i32(&args, w->collection);
    wire_i64(&args, w->after);
    wire_i64(&args, w->out->upto);
    wire_digest(&args, &w->vectors->embedder);
    TRY(tx_exec(tx, &changes_read, &args, &rows, err));
    int64_t lacking = take_changes(w, &rows, tx_arena(tx));
    return lacking ? end_before(tx, w, lacking, err) : ASSAY_OK;
}

enum assay_code store_changes_read(struct store *s, const struct call *call, int32_t collection, int64_t after,
                                   size_t limit, const struct change_vectors *vectors, struct changes_read *out,
                                   struct err *err)
{
    struct read_work w = {collection, after, limit, vectors, out};
    return store_with(s, call, "changes.read", read_body, &w, err);
}

static const struct store_stmt change_heads = {"change_heads",
                                               "SELECT id, head_seq, revision FROM collections ORDER BY id", 0};

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
        (*out)[i].revision = row_int(&r);
    }
    return ASSAY_OK;
}

const struct store_stmt *const store_changes_stmts[] = {&changes_upto, &changes_read, &changes_before, &change_heads,
                                                        NULL};
