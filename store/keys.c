#include "store/keys.h"

#include "base/clock.h"
#include "store/stmts.h"
#include "store/writer.h"

static const struct store_stmt keys_all = {
    "keys_all",
    "SELECT id::text, name, hash, scopes, groups, created_at, expires_at FROM keys"
    " WHERE deleted_at IS NULL AND (expires_at IS NULL OR expires_at > $1) ORDER BY name",
    1};

enum assay_code store_keys_all(struct store *s, const struct call *call, struct key_row **out, size_t *n,
                               struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_time(&args, clock_now_us());
    TRY(store_query(s, call, &keys_all, &args, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct key_row, *n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, call->arena);
        struct key_row *k = &(*out)[i];
        k->id = row_str(&r);
        k->name = row_str(&r);
        k->hash = row_digest(&r);
        k->scopes = (unsigned)row_int(&r);
        k->groups = row_texts(&r);
        k->created_at_us = row_time(&r);
        k->expires_at_us = row_time(&r);
    }
    return ASSAY_OK;
}

static const struct store_stmt key_insert = {
    "key_insert",
    "INSERT INTO keys (id, name, hash, scopes, groups, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)", 7};

static enum assay_code create_body(struct tx *tx, void *ctx, struct err *err)
{
    const struct key_row *k = ctx;
    struct buf args = {0};
    wire_uuid(&args, k->id);
    wire_str(&args, k->name);
    wire_digest(&args, &k->hash);
    wire_i32(&args, (int32_t)k->scopes);
    wire_texts(&args, k->groups);
    wire_time(&args, k->created_at_us);
    wire_time(&args, k->expires_at_us);
    TRY(tx_exec(tx, &key_insert, &args, NULL, err));
    return tx_audit(tx, 0, k->created_at_us, "key.create", k->name, (struct str){0}, err);
}

enum assay_code store_key_create(struct store *s, const struct call *call, const struct key_row *in, struct err *err)
{
    struct key_row k = *in;
    return store_transact(s, call, "key.create", create_body, &k, err);
}

static const struct store_stmt key_delete = {
    "key_delete", "UPDATE keys SET deleted_at = $2 WHERE id = $1::uuid AND deleted_at IS NULL RETURNING name", 2};

static enum assay_code delete_body(struct tx *tx, void *ctx, struct err *err)
{
    const struct str *id = ctx;
    struct buf args = {0};
    struct rows rows = {0};
    int64_t now_us = clock_now_us();
    wire_uuid(&args, *id);
    wire_time(&args, now_us);
    TRY(tx_exec(tx, &key_delete, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-key", "There is no such key.");
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    return tx_audit(tx, 0, now_us, "key.delete", row_str(&r), (struct str){0}, err);
}

enum assay_code store_key_delete(struct store *s, const struct call *call, struct str id, struct err *err)
{
    return store_transact(s, call, "key.delete", delete_body, &id, err);
}

struct audit_work {
    int32_t collection;
    const char *action;
    struct str target, detail_json;
};

static enum assay_code audit_body(struct tx *tx, void *ctx, struct err *err)
{
    const struct audit_work *a = ctx;
    return tx_audit(tx, a->collection, clock_now_us(), a->action, a->target, a->detail_json, err);
}

enum assay_code store_audit(struct store *s, const struct call *call, int32_t collection, const char *action,
                            struct str target, struct str detail_json, struct err *err)
{
    struct audit_work w = {collection, action, target, detail_json};
    return store_with(s, call, "audit", audit_body, &w, err);
}

const struct store_stmt *const store_keys_stmts[] = {&keys_all, &key_insert, &key_delete, NULL};
