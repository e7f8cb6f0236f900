/* The set-based writes of a round of store_documents_put: COPY for what is new, a few statements for what changes. */
#include "base/clock.h"
#include "base/json_write.h"
#include "store/edges.h"
#include "store/put.h"
#include "store/stmts.h"

static struct str_list acl_of(const struct put_doc *d)
{
    return d->in->acl;
}

static void note_add(struct put *p, const struct put_doc *d, int64_t chunk, const struct digest *id,
                     enum chunk_state state)
{
    struct change_note *n = writer_note(&p->w, VINDEX_ADD);
    n->state = state;
    n->chunk = chunk;
    n->chunk_id = *id;
    n->document = d->id;
    n->source = d->source;
    n->has_acl = d->in->has_acl;
    n->acl = acl_of(d);
    n->modified_at_us = d->modified_at_us;
}

/* ---- documents ---- */
static const struct store_stmt documents_copy = {
    "documents_copy",
    "COPY documents (collection_id, id, key, source_id, version, bytes_hash, request_hash, modified_at, modified_given,"
    " deadline, stale_recorded, acl, run, created_at, updated_at) FROM STDIN (FORMAT binary)",
    0};
static const struct store_stmt document_update = {
    "document_update",
    "UPDATE documents SET source_id = $3, version = $4, bytes_hash = $5, request_hash = $6, modified_at = $7,"
    " modified_given = $8, deadline = $9, stale_recorded = $10, acl = $11, run = coalesce($12, run), updated_at = $13, "
    "deleted_at = NULL"
    " WHERE collection_id = $1 AND id = $2",
    13};
static const struct store_stmt document_remember = {
    "document_remember", "UPDATE documents SET bytes_hash = $3, request_hash = $4 WHERE collection_id = $1 AND id = $2",
    4};

/* The values that both a new and a changed document take, in the order of both statements. */
static void wire_document(struct buf *b, const struct put *p, const struct put_doc *d)
{
    wire_i32(b, d->source);
    wire_digest(b, &d->in->version);
    wire_digest(b, &d->in->bytes_hash);
    wire_digest(b, &d->in->request_hash);
    wire_time(b, d->modified_at_us);
    wire_bool(b, d->modified_given);
    wire_time(b, d->deadline_us);
    /* Of a new version the entries are written here and now; of a touched one by what follows. */
    wire_bool(b, d->stale && (d->action == PUT_VERSION || d->stale_recorded));
    d->in->has_acl ? wire_texts(b, acl_of(d)) : wire_null(b);
    wire_uuid(b, p->w.run);
}

static enum assay_code write_documents(struct put *p, struct err *err)
{
    struct buf rows = {0};
    for (size_t i = 0; i < p->n; i++) {
        const struct put_doc *d = &p->docs[i];
        struct buf args = {0};
        if (d->action == PUT_NOTHING)
            continue;
        struct buf *b = d->exists ? &args : &rows;
        if (!d->exists)
            wire_row(b, 15);
        wire_i32(b, p->in->collection);
        wire_i64(b, d->id);
        if (d->action == PUT_REMEMBER) {
            wire_digest(b, &d->in->bytes_hash);
            wire_digest(b, &d->in->request_hash);
            TRY(tx_exec(p->w.tx, &document_remember, &args, NULL, err));
            continue;
        }
        if (!d->exists)
            wire_str(b, d->in->key);
        wire_document(b, p, d);
        wire_time(b, p->w.now_us);
        if (d->exists)
            TRY(tx_exec(p->w.tx, &document_update, &args, NULL, err));
        else
            wire_time(b, p->w.now_us);
    }
    return tx_copy(p->w.tx, &documents_copy, &rows, err);
}

/* ---- versions ---- */
static const struct store_stmt versions_revive = {
    "versions_revive",
    "UPDATE versions v SET retired_at = NULL FROM unnest($2::bigint[], $3::bytea[]) AS b (document_id, version)"
    " WHERE v.collection_id = $1 AND v.document_id = b.document_id AND v.version = b.version RETURNING v.document_id",
    3};
static const struct store_stmt versions_copy = {
    "versions_copy",
    "COPY versions (collection_id, document_id, version, uri, title, media_type, language, metadata, grouping, "
    "canonical,"
    " bytes, bytes_hash, pipeline, run, chunks, ingested_at) FROM STDIN (FORMAT binary)",
    0};

static enum assay_code revive_versions(struct put *p, struct err *err)
{
    struct ids known = {.v = ARENA_ARRAY(p->arena, int64_t, p->n)};
    struct buf args = {0};
    struct rows rows = {0};
    struct map back;
    for (size_t i = 0; i < p->n; i++)
        if (p->docs[i].action == PUT_VERSION && p->docs[i].exists)
            known.v[known.n++] = p->docs[i].id;
    if (known.n == 0)
        return ASSAY_OK;
    wire_i32(&args, p->in->collection);
    wire_ids(&args, &known);
    size_t mark = wire_array(&args, PG_BYTEA, known.n);
    for (size_t i = 0; i < p->n; i++)
        if (p->docs[i].action == PUT_VERSION && p->docs[i].exists)
            wire_digest(&args, &p->docs[i].in->version);
    wire_array_end(&args, mark);
    TRY(tx_exec(p->w.tx, &versions_revive, &args, &rows, err));
    struct ids ids = rows_ids(&rows, 0, p->arena);
    map_init(&back, p->arena, ids.n);
    for (size_t i = 0; i < ids.n; i++)
        map_put(&back, (struct str){(const char *)&ids.v[i], sizeof ids.v[i]}, 1);
    for (size_t i = 0; i < p->n; i++) {
        struct put_doc *d = &p->docs[i];
        d->version_exists = map_get(&back, (struct str){(const char *)&d->id, sizeof d->id}) != NULL;
    }
    return ASSAY_OK;
}

static enum assay_code write_versions(struct put *p, struct err *err)
{
    struct buf b = {0};
    TRY(revive_versions(p, err));
    for (size_t i = 0; i < p->n; i++) {
        const struct put_doc *d = &p->docs[i];
        if (d->action != PUT_VERSION || d->version_exists)
            continue;
        wire_row(&b, 16);
        wire_i32(&b, p->in->collection);
        wire_i64(&b, d->id);
        wire_digest(&b, &d->in->version);
        wire_str(&b, d->in->uri);
        wire_str(&b, d->in->title);
        wire_str(&b, d->in->media_type);
        wire_str(&b, d->in->language);
        wire_str(&b, d->in->metadata_json.len ? d->in->metadata_json : STR_LIT("{}"));
        wire_str(&b, d->in->group);
        wire_str(&b, d->in->canonical);
        wire_i64(&b, (int64_t)d->in->bytes);
        wire_digest(&b, &d->in->bytes_hash);
        wire_digest(&b, &p->in->pipeline);
        wire_uuid(&b, p->w.run);
        wire_i64(&b, (int64_t)d->in->n_chunks);
        wire_time(&b, p->w.now_us);
    }
    return tx_copy(p->w.tx, &versions_copy, &b, err);
}

/* ---- chunks and their checks ---- */
static const struct store_stmt chunks_copy = {
    "chunks_copy",
    "COPY chunks (collection_id, id, chunk, document_id, version, pipeline, run, span_from, span_to, page, tokens, "
    "state,"
    " validated, quality, text_hash, embed_hash, embedder, heading, text, checks_passed, embedding, created_at)"
    " FROM STDIN (FORMAT binary)",
    0};
static const struct store_stmt checks_copy = {
    "checks_copy",
    "COPY checks (collection_id, chunk_id, ordinal, name, outcome, expected, actual, span_from, span_to)"
    " FROM STDIN (FORMAT binary)",
    0};

enum { CHECK_OUTCOME_PASS = 0 };

static void wire_checks_passed(struct buf *b, const struct chunk_put *c)
{
    size_t passed = 0;
    for (size_t i = 0; i < c->n_checks; i++)
        passed += c->checks[i].outcome == CHECK_OUTCOME_PASS;
    size_t mark = wire_array(b, PG_TEXT, passed);
    for (size_t i = 0; i < c->n_checks; i++)
        if (c->checks[i].outcome == CHECK_OUTCOME_PASS)
            wire_str(b, c->checks[i].check);
    wire_array_end(b, mark);
}

static void wire_chunk(struct buf *b, const struct put *p, const struct put_doc *d, const struct put_chunk *pc)
{
    const struct chunk_put *c = pc->in;
    wire_row(b, 22);
    wire_i32(b, p->in->collection);
    wire_i64(b, pc->id);
    wire_digest(b, &c->id);
    wire_i64(b, d->id);
    wire_digest(b, &d->in->version);
    wire_digest(b, &p->in->pipeline);
    wire_uuid(b, p->w.run);
    wire_i64(b, (int64_t)c->from);
    wire_i64(b, (int64_t)c->to);
    wire_i32(b, c->page);
    wire_i32(b, c->tokens > INT32_MAX ? INT32_MAX : (int32_t)c->tokens);
    wire_i16(b, (int)pc->state);
    wire_bool(b, c->n_checks > 0 && !c->failed);
    wire_f64(b, c->quality);
    wire_digest(b, &c->text_hash);
    wire_digest(b, &c->embed_hash);
    wire_digest(b, &p->in->embedder);
    wire_str(b, c->heading);
    wire_str(b, c->text);
    wire_checks_passed(b, c);
    wire_floats(b, c->embedding, (size_t)p->in->dim);
    wire_time(b, p->w.now_us);
}

static void wire_checks(struct buf *b, const struct put *p, const struct put_chunk *pc)
{
    for (size_t i = 0; i < pc->in->n_checks; i++) {
        const struct check_put *c = &pc->in->checks[i];
        if (c->outcome == CHECK_OUTCOME_PASS)
            continue;
        wire_row(b, 9);
        wire_i32(b, p->in->collection);
        wire_i64(b, pc->id);
        wire_i16(b, (int)i);
        wire_str(b, c->check);
        wire_i16(b, c->outcome);
        wire_str(b, c->expected);
        wire_str(b, c->actual);
        wire_i64(b, (int64_t)c->from);
        wire_i64(b, (int64_t)c->to);
    }
}

static const struct store_stmt chunks_revive = {
    "chunks_revive",
    "UPDATE chunks c SET state = b.state FROM unnest($2::bigint[], $3::smallint[]) AS b (id, state)"
    " WHERE c.collection_id = $1 AND c.id = b.id",
    3};

static enum assay_code revive_chunks(struct put *p, struct err *err)
{
    struct buf ids = {0}, states = {0}, args = {0};
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct put_doc *d = &p->docs[i];
        for (size_t k = 0; d->action == PUT_VERSION && k < d->in->n_chunks; k++) {
            if (!d->chunks[k].exists || d->chunks[k].barred)
                continue;
            wire_i64(&ids, d->chunks[k].id);
            wire_i16(&states, (int)d->chunks[k].state);
            n++;
        }
    }
    enum assay_code code = ASSAY_OK;
    if (n) {
        wire_i32(&args, p->in->collection);
        size_t mark = wire_array(&args, PG_INT8, n);
        buf_put(&args, ids.data, ids.len);
        wire_array_end(&args, mark);
        mark = wire_array(&args, PG_INT2, n);
        buf_put(&args, states.data, states.len);
        wire_array_end(&args, mark);
        code = tx_exec(p->w.tx, &chunks_revive, &args, NULL, err);
    }
    buf_free(&ids);
    buf_free(&states);
    return code;
}

static enum assay_code write_chunks(struct put *p, struct err *err)
{
    struct buf chunks = {0}, checks = {0};
    for (size_t i = 0; i < p->n; i++) {
        const struct put_doc *d = &p->docs[i];
        for (size_t k = 0; d->action == PUT_VERSION && k < d->in->n_chunks; k++) {
            const struct put_chunk *c = &d->chunks[k];
            if (c->barred || c->repeated)
                continue;
            note_add(p, d, c->id, &c->in->id, c->state);
            if (c->exists)
                continue;
            put_note_written(p, d, c);
            wire_chunk(&chunks, p, d, c);
            wire_checks(&checks, p, c);
        }
    }
    enum assay_code code = tx_copy(p->w.tx, &chunks_copy, &chunks, err);
    if (code != ASSAY_OK) {
        buf_free(&checks);
        return code;
    }
    TRY(tx_copy(p->w.tx, &checks_copy, &checks, err));
    return revive_chunks(p, err);
}

/* ---- entries ---- */
static const struct store_stmt entries_copy = {"entries_copy",
                                               "COPY quarantine (collection_id, seq, id, scope, chunk_id, document_id, "
                                               "source_id, reason, note, evidence, opened_at,"
                                               " opened_by) FROM STDIN (FORMAT binary)",
                                               0};

static void wire_entry(struct buf *b, struct put *p, const struct put_doc *d, const struct put_chunk *c,
                       const struct hold *hold)
{
    char id[UUID_TEXT + 1];
    uuid_new(id);
    wire_row(b, 12);
    wire_i32(b, p->in->collection);
    wire_i64(b, ++p->w.last_entry);
    wire_uuid(b, str_of(id));
    wire_i16(b, (int)hold->scope);
    wire_i64(b, c->id);
    wire_i64(b, d->id);
    wire_i32(b, d->source);
    wire_i16(b, (int)hold->reason);
    wire_str(b, hold->note);
    wire_str(b, hold->evidence_json);
    wire_time(b, p->w.now_us);
    wire_cstr(b, "system:ingest");
}

static void failed_evidence(struct buf *out, const struct chunk_put *c)
{
    struct jsonw w;
    jsonw_init(&w, out);
    jsonw_object(&w);
    jsonw_key(&w, "checks");
    jsonw_array(&w);
    for (size_t i = 0; i < c->n_checks; i++) {
        const struct check_put *k = &c->checks[i];
        if (k->outcome != 2)
            continue;
        jsonw_object(&w);
        jsonw_kstr(&w, "check", k->check);
        jsonw_kstr(&w, "expected", k->expected);
        jsonw_kstr(&w, "actual", k->actual);
        jsonw_key(&w, "span");
        jsonw_array(&w);
        jsonw_int(&w, (int64_t)k->from);
        jsonw_int(&w, (int64_t)k->to);
        jsonw_array_end(&w);
        jsonw_object_end(&w);
    }
    jsonw_array_end(&w);
    jsonw_object_end(&w);
}

static struct str carried_evidence(const struct put *p, const struct put_doc *d)
{
    return str_of(arena_printf(p->arena, "{\"carried_from\":\"%.*s\"}", STR_FMT(d->carry->entry)));
}

static void wire_entries_of(struct buf *b, struct put *p, const struct put_doc *d, const struct put_chunk *c)
{
    struct buf evidence = {0};
    struct hold hold;
    if (c->in->failed && !c->exists) {
        failed_evidence(&evidence, c->in);
        hold = (struct hold){.reason = REASON_FAILED_CHECK, .evidence_json = buf_str(&evidence)};
        wire_entry(b, p, d, c, &hold);
    }
    if (c->duplicate) {
        char hex[DIGEST_HEX + 1];
        digest_hex(&c->duplicate_of, hex);
        evidence.len = 0;
        buf_printf(&evidence, "{\"duplicate_of\":\"%s\"}", hex);
        hold = (struct hold){.reason = REASON_DUPLICATE, .evidence_json = buf_str(&evidence)};
        wire_entry(b, p, d, c, &hold);
    }
    if (d->stale) {
        char deadline[CLOCK_TEXT], modified[CLOCK_TEXT];
        clock_format(d->deadline_us, deadline);
        clock_format(d->modified_at_us, modified);
        evidence.len = 0;
        buf_printf(&evidence, "{\"modified_at\":\"%s\",\"deadline\":\"%s\"}", modified, deadline);
        hold = (struct hold){.reason = REASON_STALE, .evidence_json = buf_str(&evidence)};
        wire_entry(b, p, d, c, &hold);
    }
    if (d->carry && !c->exists) {
        hold = (struct hold){.reason = d->carry->reason,
                             .scope = SCOPE_OF_DOCUMENT,
                             .note = d->carry->note,
                             .evidence_json = carried_evidence(p, d)};
        /* One open entry for each reason: a carried one of the same reason says nothing new. */
        bool said = (hold.reason == REASON_FAILED_CHECK && c->in->failed) ||
                    (hold.reason == REASON_DUPLICATE && c->duplicate) || (hold.reason == REASON_STALE && d->stale);
        if (!said)
            wire_entry(b, p, d, c, &hold);
    }
    buf_free(&evidence);
}

static enum assay_code write_entries(struct put *p, struct err *err)
{
    struct buf b = {0};
    for (size_t i = 0; i < p->n; i++) {
        const struct put_doc *d = &p->docs[i];
        for (size_t k = 0; d->action == PUT_VERSION && k < d->in->n_chunks; k++)
            if (!d->chunks[k].barred && !d->chunks[k].repeated)
                wire_entries_of(&b, p, d, &d->chunks[k]);
    }
    TRY(tx_copy(p->w.tx, &entries_copy, &b, err));
    for (size_t i = 0; i < p->n; i++) { /* chunks that came back may have an open entry of that reason already */
        const struct put_doc *d = &p->docs[i];
        if (d->action != PUT_VERSION || !d->carry)
            continue;
        struct ids back = {.v = ARENA_ARRAY(p->arena, int64_t, d->in->n_chunks)}, seqs;
        for (size_t k = 0; k < d->in->n_chunks; k++)
            if (d->chunks[k].exists && !d->chunks[k].barred)
                back.v[back.n++] = d->chunks[k].id;
        struct hold hold = {.reason = d->carry->reason,
                            .scope = SCOPE_OF_DOCUMENT,
                            .note = d->carry->note,
                            .evidence_json = carried_evidence(p, d)};
        TRY(holds_open(&p->w, &back, &hold, &seqs, err));
    }
    return ASSAY_OK;
}

/* ---- lineage ---- */
static enum assay_code write_edges(struct put *p, struct err *err)
{
    struct edge_put *edges = ARENA_ARRAY(p->arena, struct edge_put, p->n * 4);
    size_t n = 0;
    int32_t c = p->in->collection;
    struct edge_end run = {0, NODE_RUN, p->w.run};
    for (size_t i = 0; i < p->n; i++) {
        const struct put_doc *d = &p->docs[i];
        struct edge_end document = {c, NODE_DOCUMENT, d->in->key};
        if (d->action == PUT_VERSION || d->action == PUT_MOVE)
            edges[n++] = (struct edge_put){{c, NODE_SOURCE, d->in->source}, document};
        if (d->action != PUT_VERSION)
            continue;
        char *hex = arena_alloc(p->arena, DIGEST_HEX + 1);
        digest_hex(&d->in->version, hex);
        struct edge_end version = {c, NODE_VERSION, str_of(hex)};
        edges[n++] = (struct edge_put){document, version};
        edges[n++] = (struct edge_put){document, run};
        edges[n++] = (struct edge_put){run, version};
    }
    return edges_put(p->w.tx, edges, n, p->w.now_us, err);
}

/* ---- documents whose version stays ---- */
static const struct store_stmt chunks_reembed = {
    "chunks_reembed",
    "UPDATE chunks c SET embedding = b.embedding, embed_hash = b.embed_hash, embedder = $5"
    "  FROM unnest($2::bytea[], $3::bytea[], $4::bytea[]) AS b (chunk, embedding, embed_hash)"
    " WHERE c.collection_id = $1 AND c.chunk = b.chunk AND c.state <> 3 AND c.embedding IS DISTINCT FROM b.embedding"
    " RETURNING c.id, c.chunk, c.state",
    5};
static const struct store_stmt chunks_current = {
    "chunks_current",
    "SELECT id, chunk, state FROM chunks WHERE collection_id = $1 AND version = $2 AND state <> 3 ORDER BY id", 2};

/* The client's own vectors may change while the text does not. */
static enum assay_code reembed(struct put *p, const struct put_doc *d, struct rows *rows, struct err *err)
{
    struct buf args = {0};
    *rows = (struct rows){0};
    if (d->in->n_chunks == 0 || !d->in->chunks[0].embedding)
        return ASSAY_OK;
    wire_i32(&args, p->in->collection);
    for (int column = 0; column < 3; column++) {
        size_t mark = wire_array(&args, PG_BYTEA, d->in->n_chunks);
        for (size_t i = 0; i < d->in->n_chunks; i++) {
            const struct chunk_put *c = &d->in->chunks[i];
            if (column == 1)
                wire_floats(&args, c->embedding, (size_t)p->in->dim);
            else
                wire_digest(&args, column == 0 ? &c->id : &c->embed_hash);
        }
        wire_array_end(&args, mark);
    }
    wire_digest(&args, &p->in->embedder);
    return tx_exec(p->w.tx, &chunks_reembed, &args, rows, err);
}

static enum assay_code touch(struct put *p, struct put_doc *d, struct err *err)
{
    struct rows rows = {0};
    TRY(reembed(p, d, &rows, err));
    if (d->action == PUT_MOVE) {
        struct buf args = {0};
        wire_i32(&args, p->in->collection);
        wire_digest(&args, &d->current);
        TRY(tx_exec(p->w.tx, &chunks_current, &args, &rows, err));
    }
    if (rows.n)
        d->out->outcome = PUT_TOUCHED;
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, p->arena);
        int64_t id = row_int(&r);
        struct digest chunk = row_digest(&r);
        note_add(p, d, id, &chunk, (enum chunk_state)row_int(&r));
    }
    if (d->action == PUT_REMEMBER)
        return ASSAY_OK;
    struct change_note *n = writer_note(&p->w, VINDEX_TOUCH);
    n->document = d->id;
    n->name = d->in->key;
    n->source = d->source;
    n->has_acl = d->in->has_acl;
    n->acl = acl_of(d);
    n->modified_at_us = d->modified_at_us;
    return ASSAY_OK;
}

static enum assay_code write_touched(struct put *p, struct err *err)
{
    struct ids fresh = {.v = ARENA_ARRAY(p->arena, int64_t, p->n)}, stale = {.v = ARENA_ARRAY(p->arena, int64_t, p->n)};
    size_t held;
    for (size_t i = 0; i < p->n; i++) {
        struct put_doc *d = &p->docs[i];
        if (d->action == PUT_VERSION || d->action == PUT_NOTHING)
            continue;
        TRY(touch(p, d, err));
        if (d->action == PUT_REMEMBER)
            continue;
        if (d->stale)
            stale.v[stale.n++] = d->id;
        else
            fresh.v[fresh.n++] = d->id;
    }
    TRY(holds_fresh(&p->w, 0, &fresh, err));
    return holds_stale(&p->w, &stale, &held, err);
}

enum assay_code put_write(struct put *p, struct err *err)
{
    TRY(write_documents(p, err));
    TRY(write_versions(p, err));
    TRY(write_chunks(p, err));
    TRY(write_entries(p, err));
    TRY(write_edges(p, err));
    TRY(write_touched(p, err));
    return holds_promote(&p->w, &p->left, err);
}

const struct store_stmt *const store_documents_write_stmts[] = {
    &documents_copy, &document_update, &document_remember, &versions_revive, &versions_copy,  &chunks_copy,
    &checks_copy,    &chunks_revive,   &entries_copy,      &chunks_reembed,  &chunks_current, NULL};
