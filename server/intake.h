/*
 * Intake: documents as clients send them -> extraction, checks, embedding -> one store transaction per batch.
 *
 * Blocks (PostgreSQL, pdftotext, embedding endpoints): worker threads only. Thread-safe.
 */
#ifndef ASSAY_SERVER_INTAKE_H
#define ASSAY_SERVER_INTAKE_H

#include "base/call.h"
#include "server/catalog.h"
#include "store/documents.h"

struct server;
struct intake;
struct intake *intake_new(struct server *server);
void intake_free(struct intake *in);

struct intake_document { /* as read from the request body */
    struct str collection, source, id, uri, title, text, content_base64, media_type, language, group;
    bool has_text, has_content, has_modified_at, has_acl, has_vector;
    int64_t modified_at_us;
    json_t *metadata;        /* object or NULL */
    struct str_list acl;
    json_t *vector;          /* array of numbers; collections with client vectors only: the document is one chunk */
};
/* The field table of one document; strict. */
extern const struct json_field intake_document_fields[];
/* What the field table cannot say: text or content but not both, id or uri, a vector where one is needed... */
enum assay_code intake_document_check(const struct intake_document *d, struct err *err) MUST_USE;

struct intake_result {
    struct put_result put;
    struct str id;            /* document key */
    struct digest version;
    struct err err;           /* with PUT_REJECTED; the caller clears it */
};
/* Puts n documents of one collection as one run and one commit at most (two when the batch has to be split). Unknown
 * documents are never half there. Each result stands alone; the function's own error means that nothing was written. */
enum assay_code intake_put(struct intake *in, const struct call *call, struct collection *c, const char *run,
                           const struct intake_document *docs, size_t n, struct intake_result *results,
                           struct store_commit *commit, struct err *err) MUST_USE;
/* A run of the collection's pipeline around intake_put calls. */
enum assay_code intake_run_start(struct intake *in, const struct call *call, struct collection *c,
                                 char run[UUID_TEXT + 1], struct err *err) MUST_USE;
void intake_run_finish(struct intake *in, const struct call *call, struct collection *c, const char *run, bool ok,
                       int64_t accepted, int64_t unchanged, int64_t rejected);

/* Bulk: reads NDJSON from `read`, batches by collection, reports per line. Memory stays constant: one batch, and at most
 * BULK_REJECTED_MAX detailed rejections (the rest is counted). */
enum { BULK_BATCH_DOCS = 64, BULK_BATCH_BYTES = 8 << 20, BULK_REJECTED_MAX = 1000 };
struct bulk_source {
    enum assay_code (*read)(void *ctx, char *to, size_t max, size_t *n, struct err *err);
    void *ctx;
};
struct bulk_report {
    int64_t lines, accepted, unchanged, rejected;
    struct buf rejected_json; /* comma-separated {"line":n,"problem":{...}} objects; the caller frees */
    struct store_commit commit; /* the last one */
    struct collection *collection; /* of the last commit, NULL when none */
};
/* progress(ctx, lines, bytes) may be NULL. */
enum assay_code intake_bulk(struct intake *in, const struct call *call, const struct bulk_source *from,
                            struct str default_collection, void (*progress)(void *ctx, int64_t lines, int64_t errors),
                            void *progress_ctx, struct bulk_report *out, struct err *err) MUST_USE;

/* A query's vector from the collection's endpoint (kind openai); blocks until call->deadline_us at most. */
enum assay_code intake_embed_query(struct intake *in, const struct call *call, struct collection *c, struct str text,
                                   float *out, struct err *err) MUST_USE;

#endif
