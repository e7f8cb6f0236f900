/* What changes of a source do: a new limit moves deadlines, a block holds everything back with one entry. */
#include "base/clock.h"
#include "store/holds.h"
#include "store/source_rows.h"
#include "store/stmts.h"

static const struct store_stmt source_update = {
    "source_update",
    "UPDATE sources SET owner = $3, contact = $4, licence = $5, description = $6, max_age = $7, max_age_us = $8,"
    " trust = $9, updated_at = $10, revision = revision + 1 WHERE collection_id = $1 AND id = $2",
    10};
static const struct store_stmt source_deadlines = {
    "source_deadlines",
    "UPDATE documents d SET deadline = n.deadline, stale_recorded = d.stale_recorded AND coalesce(n.deadline <= $4, "
    "false)"
    "  FROM (SELECT id, modified_at + $3::bigint * interval '1 microsecond' AS deadline FROM documents"
    "         WHERE collection_id = $1 AND source_id = $2) n"
    " WHERE d.collection_id = $1 AND d.id = n.id AND d.deadline IS DISTINCT FROM n.deadline",
    4};

struct patch_work {
    int32_t collection;
    struct str name;
    const struct source_patch *in;
    struct source_row *out;
    struct store_commit *commit;
};

static void apply_patch(struct source_row *s, const struct source_patch *p)
{
    if (p->has_owner)
        s->owner = p->owner;
    if (p->has_contact)
        s->contact = p->contact;
    if (p->has_licence)
        s->licence = p->licence;
    if (p->has_description)
        s->description = p->description;
    if (p->has_trust)
        s->trust = p->trust;
    if (p->has_max_age) {
        s->max_age = p->max_age;
        s->max_age_us = p->max_age_us;
    }
}

static enum assay_code write_source(struct writer *w, const struct source_row *s, struct err *err)
{
    struct buf args = {0};
    wire_i32(&args, w->collection);
    wire_i32(&args, s->id);
    wire_str(&args, s->owner);
    wire_str(&args, s->contact);
    wire_str(&args, s->licence);
    wire_str(&args, s->description);
    wire_str(&args, s->max_age);
    s->max_age_us == CLOCK_NEVER ? wire_null(&args) : wire_i64(&args, s->max_age_us);
    wire_f64(&args, s->trust);
    wire_time(&args, w->now_us);
    return tx_exec(w->tx, &source_update, &args, NULL, err);
}

static enum assay_code move_deadlines(struct writer *w, const struct source_row *s, struct err *err)
{
    struct buf args = {0};
    wire_i32(&args, w->collection);
    wire_i32(&args, s->id);
    s->max_age_us == CLOCK_NEVER ? wire_null(&args) : wire_i64(&args, s->max_age_us);
    wire_time(&args, w->now_us);
    TRY(tx_exec(w->tx, &source_deadlines, &args, NULL, err));
    return holds_fresh(w, s->id, NULL, err);
}

static enum assay_code patch_body(struct tx *tx, void *ctx, struct err *err)
{
    struct patch_work *p = ctx;
    struct writer w;
    struct source_row s;
    TRY(writer_begin(tx, p->collection, &w, err));
    TRY(source_read(tx, p->collection, p->name, &s, err));
    if (p->in->if_revision && p->in->if_revision != s.revision)
        return err_set(err, ASSAY_PRECONDITION, NULL, "The source has been changed since it was read.");
    int64_t old_age = s.max_age_us;
    apply_patch(&s, p->in);
    TRY(write_source(&w, &s, err));
    source_note(&w, &s);
    if (s.max_age_us != old_age)
        TRY(move_deadlines(&w, &s, err));
    TRY(source_read(tx, p->collection, p->name, p->out, err));
    TRY(tx_audit(tx, p->collection, w.now_us, "source.change", p->name, (struct str){0}, err));
    return writer_commit(&w, "source.change", p->commit, err);
}

enum assay_code store_source_patch(struct store *s, const struct call *call, int32_t collection, struct str name,
                                   const struct source_patch *in, struct source_row *out, struct store_commit *commit,
                                   struct err *err)
{
    struct patch_work w = {collection, name, in, out, commit};
    return store_transact(s, call, "source.change", patch_body, &w, err);
}

static const struct store_stmt source_set_active = {
    "source_set_active",
    "UPDATE sources SET active = $3, block_reason = $4, updated_at = $5, revision = revision + 1"
    " WHERE collection_id = $1 AND id = $2",
    5};
static const struct store_stmt source_hold = {
    "source_hold",
    "INSERT INTO quarantine (collection_id, seq, id, scope, source_id, reason, note, evidence, opened_at, opened_by)"
    " VALUES ($1, $2, gen_random_uuid(), 2, $3, 8, $4, '{}', $5, $6)",
    6};
static const struct store_stmt source_let_go = {
    "source_let_go",
    "UPDATE quarantine SET state = 1, closed_at = $3, closed_by = $4, close_note = $5"
    " WHERE collection_id = $1 AND source_id = $2 AND chunk_id IS NULL AND state = 0",
    5};

struct block_work {
    int32_t collection;
    struct str name, reason;
    bool block;
    struct source_row *out;
    struct store_commit *commit;
};

static enum assay_code write_block(struct writer *w, const struct source_row *s, const struct block_work *b,
                                   struct err *err)
{
    struct buf args = {0};
    wire_i32(&args, w->collection);
    wire_i32(&args, s->id);
    wire_bool(&args, !b->block);
    wire_str(&args, b->block ? b->reason : (struct str){0});
    wire_time(&args, w->now_us);
    TRY(tx_exec(w->tx, &source_set_active, &args, NULL, err));
    wire_i32(&args, w->collection);
    if (b->block) {
        wire_i64(&args, ++w->last_entry);
        wire_i32(&args, s->id);
        wire_str(&args, b->reason);
        wire_time(&args, w->now_us);
        wire_cstr(&args, tx_call(w->tx)->actor);
        return tx_exec(w->tx, &source_hold, &args, NULL, err);
    }
    wire_i32(&args, s->id);
    wire_time(&args, w->now_us);
    wire_cstr(&args, tx_call(w->tx)->actor);
    wire_str(&args, b->reason);
    return tx_exec(w->tx, &source_let_go, &args, NULL, err);
}

static enum assay_code block_body(struct tx *tx, void *ctx, struct err *err)
{
    struct block_work *b = ctx;
    struct writer w;
    struct source_row s;
    *b->commit = (struct store_commit){0};
    TRY(writer_begin(tx, b->collection, &w, err));
    TRY(source_read(tx, b->collection, b->name, &s, err));
    if (s.active == !b->block) {
        *b->out = s;
        return ASSAY_OK;
    }
    TRY(write_block(&w, &s, b, err));
    TRY(source_read(tx, b->collection, b->name, b->out, err));
    source_note(&w, b->out);
    const char *action = b->block ? "source.block" : "source.unblock";
    TRY(tx_audit(tx, b->collection, w.now_us, action, b->name, (struct str){0}, err));
    return writer_commit(&w, action, b->commit, err);
}

enum assay_code store_source_block(struct store *s, const struct call *call, int32_t collection, struct str name,
                                   bool block, struct str reason, struct source_row *out, struct store_commit *commit,
                                   struct err *err)
{
    struct block_work w = {collection, name, reason, block, out, commit};
    return store_transact(s, call, "source.block", block_body, &w, err);
}

const struct store_stmt *const store_source_change_stmts[] = {&source_update, &source_deadlines, &source_set_active,
                                                              &source_hold,   &source_let_go,    NULL};
