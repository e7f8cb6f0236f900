#include "store/vectors.h"

#include "store/stmts.h"
#include "store/tx.h"

static const struct store_stmt vectors_claim = {
    "vectors_claim",
    "UPDATE generations SET leased_by = $3, leased_until = now() + $4::integer * interval '1 second'"
    " WHERE collection_id = $1 AND number = $2 AND state IN (0, 2, 3, 4)"
    "   AND (leased_by = $3 OR leased_until IS NULL OR leased_until < now())"
    " RETURNING filled_seq",
    4};

enum assay_code store_vectors_claim(struct store *s, const struct call *call, const struct vectors_lease *lease,
                                    int seconds, bool *granted, int64_t *filled, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    *granted = false;
    *filled = 0;
    wire_i32(&args, lease->collection);
    wire_i32(&args, lease->generation);
    wire_uuid(&args, str_of(lease->holder));
    wire_i32(&args, seconds);
    TRY(store_query(s, call, &vectors_claim, &args, &rows, err));
    if (rows.n == 0)
        return ASSAY_OK;
    struct row r = rows_at(&rows, 0, call->arena);
    *granted = true;
    *filled = row_int(&r);
    return ASSAY_OK;
}

/* How far a look goes: the log's end is read first, so that what comes in meanwhile is not passed over. */
static const struct store_stmt vectors_end = {
    "vectors_end", "SELECT least(head_seq, $2::bigint + $3::bigint) FROM collections WHERE id = $1", 3};
static const struct store_stmt vectors_wanted = {
    "vectors_wanted",
    "SELECT h.seq, c.id, v.title, c.heading, c.text FROM changes h"
    "  JOIN chunks c ON c.collection_id = h.collection_id AND c.id = h.chunk_id"
    "  JOIN versions v ON v.collection_id = c.collection_id AND v.document_id = c.document_id"
    "                 AND v.version = c.version"
    " WHERE h.collection_id = $1 AND h.seq > $2 AND h.seq <= $3 AND h.kind = 0 AND c.state <> 3"
    "   AND (c.embedder <> $4 OR c.embedding IS NULL)"
    "   AND NOT EXISTS (SELECT FROM vectors e WHERE e.collection_id = c.collection_id AND e.embedder = $4"
    "                      AND e.chunk_id = c.id)"
    " ORDER BY h.seq LIMIT $5",
    5};

struct wanted_work {
    int32_t collection;
    const struct digest *embedder;
    int64_t after, window;
    size_t limit;
    struct vector_want **out;
    size_t *n;
    int64_t *upto;
};

static enum assay_code read_end(struct tx *tx, const struct wanted_work *w, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    *w->upto = w->after;
    wire_i32(&args, w->collection);
    wire_i64(&args, w->after);
    wire_i64(&args, w->window);
    TRY(tx_exec(tx, &vectors_end, &args, &rows, err));
    if (rows.n > 0) {
        struct row r = rows_at(&rows, 0, tx_arena(tx));
        int64_t end = row_int(&r);
        *w->upto = end > w->after ? end : w->after;
    }
    return ASSAY_OK;
}

static enum assay_code wanted_body(struct tx *tx, void *ctx, struct err *err)
{
    struct wanted_work *w = ctx;
    struct buf args = {0};
    struct rows rows = {0};
    *w->n = 0;
    TRY(read_end(tx, w, err));
    if (*w->upto == w->after)
        return ASSAY_OK;
    wire_i32(&args, w->collection);
    wire_i64(&args, w->after);
    wire_i64(&args, *w->upto);
    wire_digest(&args, w->embedder);
    wire_i64(&args, (int64_t)w->limit);
    TRY(tx_exec(tx, &vectors_wanted, &args, &rows, err));
    *w->n = (size_t)rows.n;
    *w->out = ARENA_ARRAY(tx_arena(tx), struct vector_want, *w->n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, tx_arena(tx));
        struct vector_want *want = &(*w->out)[i];
        int64_t seq = row_int(&r);
        want->chunk = row_int(&r);
        want->title = row_str(&r);
        want->heading = row_str(&r);
        want->text = row_str(&r);
        if (*w->n == w->limit)
            *w->upto = seq; /* there may be more in this window */
    }
    return ASSAY_OK;
}

enum assay_code store_vectors_wanted(struct store *s, const struct call *call, int32_t collection,
                                     const struct digest *embedder, int64_t after, int64_t window, size_t limit,
                                     struct vector_want **out, size_t *n, int64_t *upto, struct err *err)
{
    struct wanted_work w = {collection, embedder, after, window, limit, out, n, upto};
    return store_with(s, call, "vectors.wanted", wanted_body, &w, err);
}

static const struct store_stmt vectors_insert = {
    "vectors_insert",
    "INSERT INTO vectors (collection_id, embedder, chunk_id, embed_hash, vector)"
    " SELECT $1, $2, b.chunk_id, b.embed_hash, b.vector"
    "   FROM unnest($3::bigint[], $4::bytea[], $5::bytea[]) AS b (chunk_id, embed_hash, vector)"
    " ON CONFLICT DO NOTHING",
    5};
static const struct store_stmt vectors_filled = {
    "vectors_filled",
    "UPDATE generations SET filled_seq = greatest(filled_seq, $3), error = ''"
    " WHERE collection_id = $1 AND number = $2",
    3};

struct put_work {
    const struct vectors_lease *lease;
    const struct digest *embedder;
    int dim;
    const struct vector_put *vectors;
    size_t n;
    int64_t filled;
};

static enum assay_code insert(struct tx *tx, const struct put_work *w, struct err *err)
{
    struct buf args = {0};
    wire_i32(&args, w->lease->collection);
    wire_digest(&args, w->embedder);
    size_t mark = wire_array(&args, PG_INT8, w->n);
    for (size_t i = 0; i < w->n; i++)
        wire_i64(&args, w->vectors[i].chunk);
    wire_array_end(&args, mark);
    mark = wire_array(&args, PG_BYTEA, w->n);
    for (size_t i = 0; i < w->n; i++)
        wire_digest(&args, &w->vectors[i].embed_hash);
    wire_array_end(&args, mark);
    mark = wire_array(&args, PG_BYTEA, w->n);
    for (size_t i = 0; i < w->n; i++)
        wire_floats(&args, w->vectors[i].vector, (size_t)w->dim);
    wire_array_end(&args, mark);
    return tx_exec(tx, &vectors_insert, &args, NULL, err);
}

static enum assay_code put_body(struct tx *tx, void *ctx, struct err *err)
{
    struct put_work *w = ctx;
    struct buf args = {0};
    if (w->n > 0)
        TRY(insert(tx, w, err));
    wire_i32(&args, w->lease->collection);
    wire_i32(&args, w->lease->generation);
    wire_i64(&args, w->filled);
    return tx_exec(tx, &vectors_filled, &args, NULL, err);
}

enum assay_code store_vectors_put(struct store *s, const struct call *call, const struct vectors_lease *lease,
                                  const struct digest *embedder, int dim, const struct vector_put *vectors, size_t n,
                                  int64_t filled, struct err *err)
{
    struct put_work w = {lease, embedder, dim, vectors, n, filled};
    return store_transact(s, call, "vectors.put", put_body, &w, err);
}

static const struct store_stmt vectors_trouble = {
    "vectors_trouble", "UPDATE generations SET error = $3 WHERE collection_id = $1 AND number = $2 AND error <> $3", 3};

enum assay_code store_vectors_trouble(struct store *s, const struct call *call, const struct vectors_lease *lease,
                                      struct str why, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, lease->collection);
    wire_i32(&args, lease->generation);
    wire_str(&args, why);
    return store_query(s, call, &vectors_trouble, &args, &rows, err);
}

static const struct store_stmt vectors_prune = {
    "vectors_prune",
    "DELETE FROM vectors WHERE ctid = ANY (ARRAY("
    "  SELECT e.ctid FROM vectors e WHERE e.collection_id = $1 AND NOT EXISTS ("
    "    SELECT FROM generations g WHERE g.collection_id = $1 AND g.embedder_id = e.embedder AND g.state <= 4)"
    "  LIMIT $2))",
    2};

enum assay_code store_vectors_prune(struct store *s, const struct call *call, int32_t collection, size_t limit,
                                    size_t *removed, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_i64(&args, (int64_t)limit);
    TRY(store_query(s, call, &vectors_prune, &args, &rows, err));
    *removed = (size_t)rows.affected;
    return ASSAY_OK;
}

const struct store_stmt *const store_vectors_stmts[] = {
    &vectors_claim,  &vectors_end,     &vectors_wanted, &vectors_insert,
    &vectors_filled, &vectors_trouble, &vectors_prune,  NULL};
