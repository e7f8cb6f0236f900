/* What becomes of each chunk of a round: retired with its version, known from before, held for a reason, or active. */
#include "store/put.h"
#include "store/stmts.h"

static bool chunk_new(const struct put_chunk *c)
{
    return !c->exists && !c->repeated;
}

static const struct store_stmt plan_carried = {
    "plan_carried",
    "SELECT DISTINCT ON (q.document_id) q.document_id, q.id::text, q.reason, q.note FROM quarantine q"
    "  JOIN documents d ON d.collection_id = q.collection_id AND d.id = q.document_id"
    " WHERE q.collection_id = $1 AND q.document_id = ANY ($2::bigint[]) AND q.state = 0 AND q.scope = 1"
    "   AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.collection_id = d.collection_id AND c.version = d.version"
    "     AND NOT c.retired_by_steward"
    "     AND NOT EXISTS (SELECT 1 FROM quarantine o WHERE o.collection_id = c.collection_id AND o.chunk_id = c.id"
    "                     AND o.state = 0 AND o.scope = 1))"
    " ORDER BY q.document_id, q.seq",
    2};

/* Finds documents whose every current chunk is held by a decision on the document as a whole. */
static enum assay_code find_carried(struct put *p, struct err *err)
{
    struct ids known = {.v = ARENA_ARRAY(p->arena, int64_t, p->n)};
    struct map at;
    struct buf args = {0};
    struct rows rows = {0};
    map_init(&at, p->arena, p->n);
    for (size_t i = 0; i < p->n; i++) {
        struct put_doc *d = &p->docs[i];
        if (d->action != PUT_VERSION || !d->exists)
            continue;
        known.v[known.n++] = d->id;
        map_put(&at, (struct str){(const char *)&d->id, sizeof d->id}, (int64_t)i);
    }
    if (known.n == 0)
        return ASSAY_OK;
    wire_i32(&args, p->in->collection);
    wire_ids(&args, &known);
    TRY(tx_exec(p->w.tx, &plan_carried, &args, &rows, err));
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, p->arena);
        int64_t id = row_int(&r);
        struct put_carry *carry = ARENA_NEW(p->arena, struct put_carry);
        carry->entry = row_str(&r);
        carry->reason = (enum quarantine_reason)row_int(&r);
        carry->note = row_str(&r);
        p->docs[*map_get(&at, (struct str){(const char *)&id, sizeof id})].carry = carry;
    }
    return ASSAY_OK;
}

static enum assay_code retire_old(struct put *p, struct err *err)
{
    struct digest *old = ARENA_ARRAY(p->arena, struct digest, p->n);
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct put_doc *d = &p->docs[i];
        if (d->action == PUT_VERSION && d->exists && !d->deleted)
            old[n++] = d->current;
    }
    return holds_retire_versions(&p->w, old, n, &p->left, err);
}

static const struct store_stmt plan_known = {
    "plan_known",
    "SELECT c.chunk, c.id, c.retired_by_steward,"
    " EXISTS (SELECT 1 FROM quarantine q WHERE q.collection_id = $1 AND q.chunk_id = c.id AND q.state = 0"
    "         AND q.reason NOT IN (0, 4)),"
    " EXISTS (SELECT 1 FROM quarantine q WHERE q.collection_id = $1 AND q.chunk_id = c.id AND q.state = 1"
    "         AND q.reason = 4 AND q.closed_by NOT LIKE 'system:%')"
    " FROM unnest($2::bytea[]) AS k (chunk) CROSS JOIN LATERAL (SELECT chunk, id, retired_by_steward FROM chunks"
    "   WHERE collection_id = $1 AND chunk = k.chunk OFFSET 0) c",
    2};
static const struct store_stmt plan_wake = {
    "plan_wake",
    "UPDATE quarantine SET dormant = false,"
    " state = CASE WHEN reason IN (0, 4) THEN 1 ELSE 0 END,"
    " closed_at = CASE WHEN reason IN (0, 4) THEN $3::timestamptz END,"
    " closed_by = CASE WHEN reason IN (0, 4) THEN 'system:ingest' ELSE '' END,"
    " close_note = CASE WHEN reason IN (0, 4) THEN 'Judged anew when the version came back.' ELSE '' END"
    " WHERE collection_id = $1 AND chunk_id = ANY ($2::bigint[]) AND state = 0",
    3};

/* Chunks of documents that are known may have been stored before: when their version comes back. */
static enum assay_code find_known(struct put *p, struct err *err)
{
    struct map at;
    struct rows rows = {0};
    struct buf args = {0};
    size_t n = 0;
    map_init(&at, p->arena, 64);
    for (size_t i = 0; i < p->n; i++) {
        struct put_doc *d = &p->docs[i];
        for (size_t k = 0; d->action == PUT_VERSION && d->exists && k < d->in->n_chunks; k++)
            n += !d->chunks[k].repeated;
    }
    if (n == 0)
        return ASSAY_OK;
    wire_i32(&args, p->in->collection);
    size_t mark = wire_array(&args, PG_BYTEA, n);
    struct put_chunk **chunks = ARENA_ARRAY(p->arena, struct put_chunk *, n);
    n = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct put_doc *d = &p->docs[i];
        for (size_t k = 0; d->action == PUT_VERSION && d->exists && k < d->in->n_chunks; k++) {
            if (d->chunks[k].repeated)
                continue;
            wire_digest(&args, &d->chunks[k].in->id);
            map_put(&at, digest_key(&d->chunks[k].in->id), (int64_t)n);
            chunks[n++] = &d->chunks[k];
        }
    }
    wire_array_end(&args, mark);
    TRY(tx_exec(p->w.tx, &plan_known, &args, &rows, err));
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, p->arena);
        const int64_t *slot = map_get(&at, row_str(&r));
        struct put_chunk *c = chunks[*slot];
        c->exists = true;
        c->id = row_int(&r);
        c->barred = row_bool(&r);
        c->held = row_bool(&r);
        c->dup_known = row_bool(&r);
    }
    if (rows.n == 0)
        return ASSAY_OK;
    struct ids known = rows_ids(&rows, 1, p->arena);
    wire_i32(&args, p->in->collection);
    wire_ids(&args, &known);
    wire_time(&args, p->w.now_us);
    return tx_exec(p->w.tx, &plan_wake, &args, NULL, err);
}

static const struct store_stmt plan_originals = {
    "plan_originals",
    "SELECT DISTINCT ON (c.text_hash) c.text_hash, c.chunk FROM unnest($2::bytea[]) AS h (hash)"
    " CROSS JOIN LATERAL (SELECT text_hash, chunk, id, document_id FROM chunks"
    "   WHERE collection_id = $1 AND text_hash = h.hash AND state = 1 OFFSET 0) c"
    " CROSS JOIN LATERAL (SELECT source_id FROM documents WHERE collection_id = $1 AND id = c.document_id OFFSET 0) d"
    " JOIN sources s ON s.collection_id = $1 AND s.id = d.source_id"
    " WHERE s.active ORDER BY c.text_hash, c.id",
    2};

/* text hash -> the active chunk that has it, as an index into `originals`. */
static enum assay_code find_originals(struct put *p, struct map *map, struct digest **originals, size_t *n_originals,
                                      size_t n_chunks, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    map_init(map, p->arena, n_chunks);
    wire_i32(&args, p->in->collection);
    size_t mark = wire_array(&args, PG_BYTEA, n_chunks);
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; p->docs[i].action == PUT_VERSION && k < p->docs[i].in->n_chunks; k++)
            wire_digest(&args, &p->docs[i].in->chunks[k].text_hash);
    wire_array_end(&args, mark);
    TRY(tx_exec(p->w.tx, &plan_originals, &args, &rows, err));
    *originals = ARENA_ARRAY(p->arena, struct digest, (size_t)rows.n + n_chunks);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, p->arena);
        map_put(map, row_str(&r), i);
        (*originals)[i] = row_digest(&r);
    }
    *n_originals = (size_t)rows.n;
    return ASSAY_OK;
}

/* Sets duplicate and state of every chunk, in order: the first of equal texts stays active. */
static enum assay_code decide(struct put *p, size_t n_chunks, struct err *err)
{
    struct map map;
    struct digest *originals = NULL;
    size_t n = 0;
    if (p->in->check_duplicates && n_chunks)
        TRY(find_originals(p, &map, &originals, &n, n_chunks, err));
    for (size_t i = 0; i < p->n; i++) {
        struct put_doc *d = &p->docs[i];
        for (size_t k = 0; d->action == PUT_VERSION && k < d->in->n_chunks; k++) {
            struct put_chunk *c = &d->chunks[k];
            if (c->barred || c->repeated) {
                c->state = CHUNK_RETIRED;
                continue;
            }
            bool held = c->held || d->stale || d->carry || (c->in->failed && !c->exists);
            const int64_t *at = originals ? map_get(&map, digest_key(&c->in->text_hash)) : NULL;
            if (at && !c->dup_known) {
                c->duplicate = held = true;
                c->duplicate_of = originals[*at];
            }
            c->state = held ? CHUNK_QUARANTINED : CHUNK_ACTIVE;
            if (originals && !held && !at) {
                originals[n] = c->in->id;
                map_put(&map, digest_key(&c->in->text_hash), (int64_t)n++);
            }
        }
    }
    return ASSAY_OK;
}

enum assay_code put_plan(struct put *p, struct err *err)
{
    size_t n_chunks = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct put_doc *d = &p->docs[i];
        if (d->action != PUT_VERSION)
            continue;
        struct map seen;
        map_init(&seen, p->arena, d->in->n_chunks);
        n_chunks += d->in->n_chunks;
        d->chunks = ARENA_ARRAY(p->arena, struct put_chunk, d->in->n_chunks);
        for (size_t k = 0; k < d->in->n_chunks; k++) {
            d->chunks[k].in = &d->in->chunks[k];
            d->chunks[k].repeated = !map_put(&seen, digest_key(&d->in->chunks[k].id), 1);
        }
    }
    TRY(find_carried(p, err));
    TRY(retire_old(p, err));
    TRY(find_known(p, err));
    TRY(decide(p, n_chunks, err));
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; p->docs[i].action == PUT_VERSION && k < p->docs[i].in->n_chunks; k++)
            if (chunk_new(&p->docs[i].chunks[k]))
                p->docs[i].chunks[k].id = ++p->w.last_chunk;
    return ASSAY_OK;
}

const struct store_stmt *const store_documents_plan_stmts[] = {&plan_carried, &plan_known, &plan_wake, &plan_originals,
                                                               NULL};
