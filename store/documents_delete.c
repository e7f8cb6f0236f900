#include "store/documents.h"
#include "store/holds.h"
#include "store/stmts.h"

static const struct store_stmt document_find = {
    "document_find", "SELECT id, version FROM documents WHERE collection_id = $1 AND key = $2 AND deleted_at IS NULL",
    2};
static const struct store_stmt document_mark_deleted = {
    "document_mark_deleted",
    "UPDATE documents SET deleted_at = $3, updated_at = $3 WHERE collection_id = $1 AND id = $2", 3};

struct delete_work {
    int32_t collection;
    struct str key;
    size_t *chunks;
    struct store_commit *commit;
};

static enum assay_code delete_body(struct tx *tx, void *ctx, struct err *err)
{
    struct delete_work *d = ctx;
    struct writer w;
    struct rows rows = {0};
    struct ids left;
    *d->chunks = 0;
    TRY(writer_begin(tx, d->collection, &w, err));
    struct buf args = {0};
    wire_i32(&args, d->collection);
    wire_str(&args, d->key);
    TRY(tx_exec(tx, &document_find, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-document", "There is no such document in the collection.");
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    int64_t id = row_int(&r);
    struct digest version = row_digest(&r);
    TRY(holds_retire_versions(&w, &version, 1, &left, err));
    *d->chunks = left.n;
    TRY(holds_promote(&w, &left, err));
    wire_i32(&args, d->collection);
    wire_i64(&args, id);
    wire_time(&args, w.now_us);
    TRY(tx_exec(tx, &document_mark_deleted, &args, NULL, err));
    TRY(tx_audit(tx, d->collection, w.now_us, "document.delete", d->key, (struct str){0}, err));
    return writer_commit(&w, "document.delete", d->commit, err);
}

enum assay_code store_document_delete(struct store *s, const struct call *call, int32_t collection, struct str key,
                                      size_t *chunks, struct store_commit *commit, struct err *err)
{
    struct delete_work w = {collection, key, chunks, commit};
    return store_transact(s, call, "document.delete", delete_body, &w, err);
}

const struct store_stmt *const store_documents_delete_stmts[] = {&document_find, &document_mark_deleted, NULL};
