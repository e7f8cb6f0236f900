/* Reading documents, versions and chunks back; and what ingest asks before it works. */
#include "base/clock.h"
#include "store/documents.h"
#include "store/map.h"
#include "store/stmts.h"
#include "store/tx.h"

/* Keys are looked up one by one within the statement (OFFSET 0 keeps the subquery apart): a table that grows faster
 * than it is analysed would otherwise be scanned for them. The same in documents_put.c and documents_plan.c. */
static const struct store_stmt documents_probe = {
    "documents_probe",
    "SELECT d.* FROM unnest($2::text[]) AS k (key) CROSS JOIN LATERAL"
    " (SELECT key, deleted_at IS NOT NULL, version, bytes_hash, request_hash FROM documents"
    "   WHERE collection_id = $1 AND key = k.key OFFSET 0) d",
    2};

enum assay_code store_documents_probe(struct store *s, const struct call *call, int32_t collection,
                                      struct document_probe *probes, size_t n, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    struct map known;
    wire_i32(&args, collection);
    size_t mark = wire_array(&args, PG_TEXT, n);
    for (size_t i = 0; i < n; i++)
        wire_str(&args, probes[i].key);
    wire_array_end(&args, mark);
    TRY(store_query(s, call, &documents_probe, &args, &rows, err));
    map_init(&known, call->arena, (size_t)rows.n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, call->arena);
        map_put(&known, row_str(&r), i);
    }
    for (size_t i = 0; i < n; i++) {
        struct document_probe *p = &probes[i];
        *p = (struct document_probe){.key = p->key};
        const int64_t *at = map_get(&known, p->key);
        if (!at)
            continue;
        struct row r = rows_at(&rows, (int)*at, call->arena);
        r.col = 1;
        p->exists = true;
        p->deleted = row_bool(&r);
        struct digest version = row_digest(&r);
        p->bytes_hash = row_digest(&r);
        p->request_hash = row_digest(&r);
        if (!p->deleted)
            p->version = version;
    }
    return ASSAY_OK;
}

static const struct store_stmt embeddings_find = {
    "embeddings_find",
    "SELECT DISTINCT ON (c.embed_hash) c.embed_hash, c.embedding FROM unnest($2::bytea[]) AS h (hash)"
    " CROSS JOIN LATERAL (SELECT embed_hash, embedding, id FROM chunks"
    "   WHERE collection_id = $1 AND embed_hash = h.hash AND embedder = $3 AND embedding IS NOT NULL"
    "     AND octet_length(embedding) = $4::integer"
    "   UNION ALL SELECT embed_hash, vector, chunk_id FROM vectors"
    "   WHERE collection_id = $1 AND embedder = $3 AND embed_hash = h.hash"
    "     AND octet_length(vector) = $4::integer OFFSET 0) c"
    " ORDER BY c.embed_hash, c.id",
    4};

enum assay_code store_embeddings_find(struct store *s, const struct call *call, int32_t collection,
                                      const struct digest *embedder, int dim, const struct digest *embed_hashes,
                                      size_t n, const float **found, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    struct map known;
    wire_i32(&args, collection);
    size_t mark = wire_array(&args, PG_BYTEA, n);
    for (size_t i = 0; i < n; i++)
        wire_digest(&args, &embed_hashes[i]);
    wire_array_end(&args, mark);
    wire_digest(&args, embedder);
    wire_i32(&args, dim * (int32_t)sizeof(float));
    TRY(store_query(s, call, &embeddings_find, &args, &rows, err));
    map_init(&known, call->arena, (size_t)rows.n);
    const float **vectors = ARENA_ARRAY(call->arena, const float *, (size_t)rows.n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, call->arena);
        size_t len;
        map_put(&known, row_str(&r), i);
        vectors[i] = row_floats(&r, &len);
    }
    for (size_t i = 0; i < n; i++) {
        const int64_t *at = map_get(&known, digest_key(&embed_hashes[i]));
        found[i] = at ? vectors[*at] : NULL;
    }
    return ASSAY_OK;
}

#define DOCUMENT_COLUMNS                                                                                               \
    "d.id, d.key, v.uri, v.title, v.media_type, v.language, v.metadata, v.grouping, s.name, d.version,"                \
    " d.deleted_at IS NOT NULL, s.active, d.acl IS NOT NULL, d.acl, d.modified_at, v.ingested_at, d.deadline,"         \
    " k.pending, k.active, k.quarantined, k.retired, v.bytes,"                                                         \
    " (SELECT count(*) FROM versions n WHERE n.collection_id = d.collection_id AND n.document_id = d.id),"             \
    " d.run::text, v.pipeline"
#define DOCUMENT_JOINS                                                                                                 \
    " JOIN versions v ON v.collection_id = d.collection_id AND v.document_id = d.id AND v.version = d.version"         \
    " JOIN sources s ON s.collection_id = d.collection_id AND s.id = d.source_id"                                      \
    " CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE c.state = 0) AS pending,"                                      \
    "   count(*) FILTER (WHERE c.state = 1) AS active, count(*) FILTER (WHERE c.state = 2) AS quarantined,"            \
    "   count(*) FILTER (WHERE c.state = 3) AS retired FROM chunks c"                                                  \
    "   WHERE c.collection_id = d.collection_id AND c.version = d.version) k"

static void read_document(struct row r, struct document_row *out)
{
    *out = (struct document_row){0};
    out->id = row_int(&r);
    out->key = row_str(&r);
    out->uri = row_str(&r);
    out->title = row_str(&r);
    out->media_type = row_str(&r);
    out->language = row_str(&r);
    out->metadata_json = row_str(&r);
    out->group = row_str(&r);
    out->source = row_str(&r);
    out->version = row_digest(&r);
    out->deleted = row_bool(&r);
    out->source_active = row_bool(&r);
    out->has_acl = row_bool(&r);
    out->acl = row_texts(&r);
    out->modified_at_us = row_time(&r);
    out->ingested_at_us = row_time(&r);
    out->fresh_until_us = row_time(&r);
    for (size_t i = 0; i < CHUNK_STATE_COUNT; i++)
        out->states[i] = (size_t)row_int(&r);
    out->bytes = (size_t)row_int(&r);
    out->n_versions = (size_t)row_int(&r);
    out->run = row_str(&r);
    out->pipeline = row_digest(&r);
}

static const struct store_stmt document_get = {
    "document_get",
    "SELECT " DOCUMENT_COLUMNS " FROM documents d" DOCUMENT_JOINS " WHERE d.collection_id = $1 AND d.key = $2", 2};

enum assay_code store_document_get(struct store *s, const struct call *call, int32_t collection, struct str key,
                                   struct document_row *out, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_str(&args, key);
    TRY(store_query(s, call, &document_get, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-document", "There is no such document in the collection.");
    read_document(rows_at(&rows, 0, call->arena), out);
    return ASSAY_OK;
}

/* The page is cut before anything is joined to it or counted for it. */
static const struct store_stmt document_list = {
    "document_list",
    "SELECT " DOCUMENT_COLUMNS " FROM (SELECT * FROM documents p"
    " WHERE p.collection_id = $1 AND p.deleted_at IS NULL AND p.key > $3"
    " AND ($2::text IS NULL OR p.source_id = (SELECT f.id FROM sources f WHERE f.collection_id = $1 AND f.name = $2))"
    " ORDER BY p.key LIMIT $4) d" DOCUMENT_JOINS " ORDER BY d.key",
    4};

enum assay_code store_document_list(struct store *s, const struct call *call, int32_t collection, struct str source,
                                    struct str after, size_t limit, struct document_row **out, size_t *n,
                                    struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    source.len ? wire_str(&args, source) : wire_null(&args);
    wire_str(&args, after);
    wire_i64(&args, (int64_t)limit);
    TRY(store_query(s, call, &document_list, &args, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct document_row, *n);
    for (int i = 0; i < rows.n; i++)
        read_document(rows_at(&rows, i, call->arena), &(*out)[i]);
    return ASSAY_OK;
}

#define VERSION_COLUMNS                                                                                                \
    "version, bytes_hash, pipeline, title, media_type, language, run::text, metadata, ingested_at, retired_at, "       \
    "bytes, chunks"

static void read_version(struct row *r, struct version_row *out)
{
    *out = (struct version_row){0};
    out->version = row_digest(r);
    out->bytes_hash = row_digest(r);
    out->pipeline = row_digest(r);
    out->title = row_str(r);
    out->media_type = row_str(r);
    out->language = row_str(r);
    out->run = row_str(r);
    out->metadata_json = row_str(r);
    out->ingested_at_us = row_time(r);
    out->retired_at_us = row_time(r);
    out->bytes = (size_t)row_int(r);
    out->chunks = (size_t)row_int(r);
}

static const struct store_stmt version_list = {
    "version_list",
    "SELECT " VERSION_COLUMNS " FROM versions WHERE collection_id = $1 AND document_id = $2"
    " AND ($3::timestamptz IS NULL OR ingested_at < $3) ORDER BY ingested_at DESC LIMIT $4",
    4};

enum assay_code store_version_list(struct store *s, const struct call *call, int32_t collection, int64_t document,
                                   int64_t before_us, size_t limit, struct version_row **out, size_t *n,
                                   struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_i64(&args, document);
    wire_time(&args, before_us);
    wire_i64(&args, (int64_t)limit);
    TRY(store_query(s, call, &version_list, &args, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct version_row, *n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, call->arena);
        read_version(&r, &(*out)[i]);
    }
    return ASSAY_OK;
}

static const struct store_stmt version_get = {
    "version_get",
    "SELECT " VERSION_COLUMNS
    ", canonical FROM versions WHERE collection_id = $1 AND document_id = $2 AND version = $3",
    3};

enum assay_code store_version_get(struct store *s, const struct call *call, int32_t collection, int64_t document,
                                  const struct digest *version, struct version_row *out, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_i64(&args, document);
    wire_digest(&args, version);
    TRY(store_query(s, call, &version_get, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-version", "The document has no such version.");
    struct row r = rows_at(&rows, 0, call->arena);
    read_version(&r, out);
    out->canonical = row_str(&r);
    return ASSAY_OK;
}

static const struct store_stmt chunk_get = {
    "chunk_get",
    "SELECT c.id, c.chunk, c.version, c.pipeline, c.document_id, d.key, c.text, c.heading, s.name, c.run::text,"
    " c.span_from, c.span_to, c.tokens, c.page, c.state, c.quality, d.deadline, c.checks_passed, d.acl IS NOT NULL, "
    "d.acl"
    " FROM chunks c JOIN documents d ON d.collection_id = c.collection_id AND d.id = c.document_id"
    " JOIN sources s ON s.collection_id = d.collection_id AND s.id = d.source_id"
    " WHERE c.collection_id = $1 AND c.chunk = $2",
    2};
static const struct store_stmt chunk_checks = {
    "chunk_checks",
    "SELECT name, outcome, expected, actual, span_from, span_to FROM checks WHERE collection_id = $1 AND chunk_id = $2"
    " ORDER BY ordinal",
    2};

struct chunk_work {
    int32_t collection;
    const struct digest *chunk;
    struct chunk_row *out;
};

/* Passes by name, then warnings and failures with what was found. */
static enum assay_code read_checks(struct tx *tx, const struct chunk_work *w, struct str_list passed, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, w->collection);
    wire_i64(&args, w->out->id);
    TRY(tx_exec(tx, &chunk_checks, &args, &rows, err));
    w->out->checks = ARENA_ARRAY(tx_arena(tx), struct check_put, passed.n + (size_t)rows.n);
    for (size_t i = 0; i < passed.n; i++)
        w->out->checks[w->out->n_checks++] = (struct check_put){.check = passed.items[i]};
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, tx_arena(tx));
        struct check_put *c = &w->out->checks[w->out->n_checks++];
        c->check = row_str(&r);
        c->outcome = (int)row_int(&r);
        c->expected = row_str(&r);
        c->actual = row_str(&r);
        c->from = (size_t)row_int(&r);
        c->to = (size_t)row_int(&r);
    }
    return ASSAY_OK;
}

static enum assay_code chunk_body(struct tx *tx, void *ctx, struct err *err)
{
    struct chunk_work *w = ctx;
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, w->collection);
    wire_digest(&args, w->chunk);
    TRY(tx_exec(tx, &chunk_get, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-chunk", "There is no such chunk in the collection.");
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    struct chunk_row *c = w->out;
    *c = (struct chunk_row){0};
    c->id = row_int(&r);
    c->chunk = row_digest(&r);
    c->version = row_digest(&r);
    c->pipeline = row_digest(&r);
    c->document = row_int(&r);
    c->document_key = row_str(&r);
    c->text = row_str(&r);
    c->heading = row_str(&r);
    c->source = row_str(&r);
    c->run = row_str(&r);
    c->from = (size_t)row_int(&r);
    c->to = (size_t)row_int(&r);
    c->tokens = (size_t)row_int(&r);
    c->page = (int)row_int(&r);
    c->state = (enum chunk_state)row_int(&r);
    c->quality = row_f64(&r);
    c->fresh_until_us = row_time(&r);
    struct str_list passed = row_texts(&r);
    c->has_acl = row_bool(&r);
    c->acl = row_texts(&r);
    return read_checks(tx, w, passed, err);
}

enum assay_code store_chunk_get(struct store *s, const struct call *call, int32_t collection,
                                const struct digest *chunk, struct chunk_row *out, struct err *err)
{
    struct chunk_work w = {collection, chunk, out};
    return store_with(s, call, "chunk.get", chunk_body, &w, err);
}

const struct store_stmt *const store_documents_read_stmts[] = {&documents_probe, &embeddings_find, &document_get,
                                                               &document_list,   &version_list,    &version_get,
                                                               &chunk_get,       &chunk_checks,    NULL};
