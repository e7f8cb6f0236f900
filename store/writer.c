#include "store/writer.h"

#include <string.h>

#include "base/clock.h"
#include "store/stmts.h"

/* The first key of the two-key advisory lock: "ASSA" as a number, so that other users of the database do not collide.
 */
static const struct store_stmt writer_lock = {"writer_lock", "SELECT pg_advisory_xact_lock(1095979841, $1::integer)",
                                              1};

static const struct store_stmt writer_head = {
    "writer_head",
    "SELECT identity, head_commit, head_seq, last_document, last_chunk, last_entry, last_source"
    " FROM collections WHERE id = $1",
    1};

enum assay_code writer_begin(struct tx *tx, int32_t collection, struct writer *w, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    TRY(tx_exec(tx, &writer_lock, &args, NULL, err));
    wire_i32(&args, collection);
    TRY(tx_exec(tx, &writer_head, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-collection", "There is no such collection.");
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    *w = (struct writer){.tx = tx, .collection = collection, .now_us = clock_now_us()};
    w->identity = row_digest(&r);
    w->head_commit = row_digest(&r);
    w->head_seq = row_int(&r);
    w->last_document = row_int(&r);
    w->last_chunk = row_int(&r);
    w->last_entry = row_int(&r);
    w->last_source = (int32_t)row_int(&r);
    return ASSAY_OK;
}

struct change_note *writer_note(struct writer *w, enum vindex_change_kind kind)
{
    if (w->n_notes == w->cap_notes) {
        size_t cap = w->cap_notes ? w->cap_notes * 2 : 64;
        struct change_note *grown = ARENA_ARRAY(tx_arena(w->tx), struct change_note, cap);
        if (w->n_notes)
            memcpy(grown, w->notes, w->n_notes * sizeof *grown);
        w->notes = grown;
        w->cap_notes = cap;
    }
    struct change_note *n = &w->notes[w->n_notes++];
    *n = (struct change_note){.kind = kind, .modified_at_us = CLOCK_NEVER, .max_age_us = CLOCK_NEVER};
    return n;
}

void writer_note_state(struct writer *w, int64_t chunk, const struct digest *id, enum chunk_state state)
{
    struct change_note *n = writer_note(w, VINDEX_STATE);
    n->chunk = chunk;
    n->chunk_id = *id;
    n->state = state;
}

static void hash_number(struct digest_ctx *c, int64_t v)
{
    uint8_t b[8];
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)((uint64_t)v >> (8 * i));
    digest_update(c, b, sizeof b);
}

/* What a commit's id covers: every change in order, with everything of it that an index would see. */
static struct digest digest_of_changes(const struct writer *w)
{
    struct digest_ctx *c = digest_begin();
    for (size_t i = 0; i < w->n_notes; i++) {
        const struct change_note *n = &w->notes[i];
        hash_number(c, n->kind);
        hash_number(c, n->state);
        digest_update(c, n->chunk_id.b, DIGEST_LEN);
        digest_update_field(c, n->name);
        hash_number(c, n->source);
        hash_number(c, n->has_acl ? (int64_t)n->acl.n : -1);
        for (size_t k = 0; n->has_acl && k < n->acl.n; k++)
            digest_update_field(c, n->acl.items[k]);
        hash_number(c, n->modified_at_us);
        hash_number(c, n->source_active);
        hash_number(c, n->max_age_us);
    }
    struct digest out;
    digest_end(c, &out);
    return out;
}

static struct digest commit_id(const struct writer *w, int64_t seq)
{
    struct digest changes = digest_of_changes(w), out;
    struct digest_ctx *c = digest_begin();
    digest_update(c, w->head_commit.b, DIGEST_LEN);
    digest_update(c, w->identity.b, DIGEST_LEN);
    hash_number(c, seq);
    digest_update(c, changes.b, DIGEST_LEN);
    digest_end(c, &out);
    return out;
}

static void wire_note(struct buf *b, const struct writer *w, const struct change_note *n, int64_t seq)
{
    wire_row(b, 11);
    wire_i32(b, w->collection);
    wire_i64(b, seq);
    wire_i16(b, (int)n->kind);
    wire_i16(b, (int)n->state);
    n->chunk ? wire_i64(b, n->chunk) : wire_null(b);
    n->document ? wire_i64(b, n->document) : wire_null(b);
    n->source ? wire_i32(b, n->source) : wire_null(b);
    n->has_acl ? wire_texts(b, n->acl) : wire_null(b);
    wire_time(b, n->modified_at_us);
    n->kind == VINDEX_SOURCE ? wire_bool(b, n->source_active) : wire_null(b);
    n->max_age_us == CLOCK_NEVER ? wire_null(b) : wire_i64(b, n->max_age_us);
}

static const struct store_stmt changes_copy = {
    "changes_copy",
    "COPY changes (collection_id, seq, kind, state, chunk_id, document_id, source_id, acl, modified_at, source_active,"
    " max_age_us) FROM STDIN (FORMAT binary)",
    0};

static enum assay_code write_changes(struct writer *w, struct err *err)
{
    struct buf rows = {0};
    for (size_t i = 0; i < w->n_notes; i++)
        wire_note(&rows, w, &w->notes[i], w->head_seq + 1 + (int64_t)i);
    return tx_copy(w->tx, &changes_copy, &rows, err);
}

static const struct store_stmt commit_insert = {
    "commit_insert",
    "INSERT INTO commits (collection_id, seq, id, parent, at, author, message, run)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    8};

static enum assay_code write_commit(struct writer *w, const char *message, const struct store_commit *commit,
                                    struct err *err)
{
    struct buf args = {0};
    wire_i32(&args, w->collection);
    wire_i64(&args, commit->seq);
    wire_digest(&args, &commit->id);
    wire_digest(&args, &w->head_commit);
    wire_time(&args, w->now_us);
    wire_cstr(&args, tx_call(w->tx)->actor);
    wire_cstr(&args, message);
    wire_uuid(&args, w->run);
    return tx_exec(w->tx, &commit_insert, &args, NULL, err);
}

static const struct store_stmt writer_move = {
    "writer_move",
    "UPDATE collections SET head_seq = $2, head_commit = $3, last_document = $4, last_chunk = $5, last_entry = $6,"
    " last_source = $7 WHERE id = $1",
    7};

static enum assay_code move_head(struct writer *w, struct err *err)
{
    struct buf args = {0};
    wire_i32(&args, w->collection);
    wire_i64(&args, w->head_seq);
    wire_digest(&args, &w->head_commit);
    wire_i64(&args, w->last_document);
    wire_i64(&args, w->last_chunk);
    wire_i64(&args, w->last_entry);
    wire_i32(&args, w->last_source);
    return tx_exec(w->tx, &writer_move, &args, NULL, err);
}

enum assay_code writer_commit(struct writer *w, const char *message, struct store_commit *out, struct err *err)
{
    *out = (struct store_commit){0};
    if (w->n_notes > 0) {
        out->seq = w->head_seq + (int64_t)w->n_notes;
        out->id = commit_id(w, out->seq);
        TRY(write_changes(w, err));
        TRY(write_commit(w, message, out, err));
        w->head_seq = out->seq;
        w->head_commit = out->id;
    }
    return w->n_notes > 0 || w->counters_moved ? move_head(w, err) : ASSAY_OK;
}

static const struct store_stmt audit_insert = {
    "audit_insert",
    "INSERT INTO audit (collection_id, at, actor, action, target, detail, request_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)",
    7};

enum assay_code tx_audit(struct tx *tx, int32_t collection, int64_t now_us, const char *action, struct str target,
                         struct str detail_json, struct err *err)
{
    struct buf args = {0};
    wire_i32(&args, collection);
    wire_time(&args, now_us);
    wire_cstr(&args, tx_call(tx)->actor);
    wire_cstr(&args, action);
    wire_str(&args, target);
    wire_str(&args, detail_json.len ? detail_json : STR_LIT("{}"));
    wire_cstr(&args, tx_call(tx)->request_id);
    return tx_exec(tx, &audit_insert, &args, NULL, err);
}

const struct store_stmt *const store_writer_stmts[] = {&writer_lock, &writer_head,  &changes_copy, &commit_insert,
                                                       &writer_move, &audit_insert, NULL};
