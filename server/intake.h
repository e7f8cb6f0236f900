/*
 * Intake: documents as clients send them -> extraction, checks, embedding -> one store transaction per batch.
 *
 * Blocks (PostgreSQL, pdftotext, embedding endpoints): worker threads only. Thread-safe.
 */
#ifndef ASSAY_SERVER_INTAKE_H
#define ASSAY_SERVER_INTAKE_H

#include "base/call.h"
#include "base/json_vector.h"
#include "base/json_write.h"
#include "server/catalog.h"
#include "store/documents.h"

struct server;
struct intake;
/* Sets libcurl up: call it before threads are started. NULL when that fails (logged). */
struct intake *intake_new(struct server *server);
void intake_free(struct intake *in);

struct intake_document { /* as read from the request body */
    struct str collection, source, id, uri, title, text, content_base64, media_type, language, group;
    bool has_text, has_content, has_modified_at, has_acl, has_vector;
    int64_t modified_at_us;
    json_t *metadata; /* object or NULL */
    struct str_list acl;
    json_t *vector; /* collections with client vectors only (the document is one chunk): array of numbers or base64 of
                     * little-endian float32, of any length and content yet */
    struct json_vector floats; /* the same when it was read without a tree; .v NULL: it was not */
};
enum {
    INTAKE_ID_MAX = 1024,
    INTAKE_URI_MAX = 2048,
    INTAKE_TITLE_MAX = 1024,
    INTAKE_ACL_MAX = 256,
    INTAKE_ACL_ENTRY_MAX = 256,
    INTAKE_METADATA_MAX = 65536,
    INTAKE_METADATA_DEPTH = 8
};
/* The field table of one document; strict. */
extern const struct json_field intake_document_fields[];
/* Text to document: field table and intake_document_check, with an array of numbers read on the way. Borrows `text`
 * no longer than the call. ASSAY_INVALID or ASSAY_UNPROCESSABLE with the pointer. */
enum assay_code intake_document_parse(struct arena *a, struct str text, struct intake_document *d,
                                      struct err *err) MUST_USE;
/* What the field table cannot say: text or content but not both, id or uri, control characters, a media type that
 * cannot be, a moment that is yet to come. ASSAY_INVALID or ASSAY_UNPROCESSABLE with the pointer. */
enum assay_code intake_document_check(const struct intake_document *d, struct err *err) MUST_USE;
/* The document's key: its id, or its URI (the URI's digest when that is longer than an id may be). */
struct str intake_document_key(struct arena *a, const struct intake_document *d);

/* A run of the collection's pipeline around intake_put calls. It is recorded when the first document has to be worked
 * on, so that sending an unchanged corpus leaves no run. One thread at a time. */
struct intake_run {
    struct collection *collection;
    char id[UUID_TEXT + 1];
    bool started;
    int64_t accepted, unchanged, rejected, chunks;
};
void intake_run_init(struct intake_run *run, struct collection *c);
/* Closes the run when it was started; a failure is logged only, since the documents are stored already. */
void intake_run_finish(struct intake *in, const struct call *call, struct intake_run *run, bool ok);

struct intake_result {
    struct put_result put;
    struct str id; /* document key, in call->arena */
    struct digest version;
    struct err err; /* with PUT_REJECTED; the caller clears it */
};
/* Puts n documents of the run's collection as one commit at most (two when a document changed under way). Documents are
 * never half there. Each result stands alone; the function's own error means that nothing was written, or with slug
 * "commit-unknown" that nobody knows. `docs` and what they point to must outlive the call. */
enum assay_code intake_put(struct intake *in, const struct call *call, struct intake_run *run,
                           const struct intake_document *docs, size_t n, struct intake_result *results,
                           struct store_commit *commit, struct err *err) MUST_USE;

/* Bulk: reads NDJSON from `read`, batches by collection, reports per line. Memory stays constant: two batches (one
 * being stored while the next is read and extracted), and at most BULK_REJECTED_MAX detailed rejections (the rest is
 * counted). */
enum { BULK_BATCH_DOCS = 512, BULK_BATCH_BYTES = 4 << 20, BULK_REJECTED_MAX = 1000 };
struct bulk_source {
    enum assay_code (*read)(void *ctx, char *to, size_t max, size_t *n, struct err *err);
    void *ctx;
};
struct bulk_run { /* what went to one collection */
    struct bulk_run *next;
    struct intake_run run;
    struct store_commit commit; /* the last one; seq 0: none */
};
struct bulk_report {
    int64_t lines, accepted, unchanged, rejected;
    struct buf rejected_json; /* comma-separated {"line":n,"problem":{...}} objects; the caller frees */
    struct bulk_run *runs;    /* one for each collection, in call->arena; the latest used first */
};
/* progress(ctx, lines, errors) may be NULL; it is called after every batch, never goes back. An error (the client went
 * away, PostgreSQL is lost) leaves what was committed; `out` then says how far it came. */
enum assay_code intake_bulk(struct intake *in, const struct call *call, const struct bulk_source *from,
                            struct str default_collection, void (*progress)(void *ctx, int64_t lines, int64_t errors),
                            void *progress_ctx, struct bulk_report *out, struct err *err) MUST_USE;
/* Writes {"accepted","unchanged","rejected":[...],"rejected_count","commit","run"}. */
void intake_bulk_write(struct jsonw *w, const struct bulk_report *r);

/* Vectors of n queries from the collection's endpoint (kind openai): n * dim floats, all or none. One call of
 * batch_size texts after another; blocks until call->deadline_us at most. See server/query_embed.h for searches. */
enum assay_code intake_embed_queries(struct intake *in, const struct call *call, struct collection *c,
                                     const struct str *texts, size_t n, float *out, struct err *err) MUST_USE;

/* What is embedded for a chunk: title, line feed, heading, blank line, text; what is empty is left out with what parts
 * it off. */
struct str intake_embedded_text(struct arena *a, struct str title, struct str heading, struct str text);
/* Vectors of such texts by the collection's endpoint, one after the other in `out`; all or none. */
enum assay_code intake_embed_passages(struct intake *in, const struct call *call, const struct collection *c,
                                      const struct str *texts, size_t n, float *out, struct err *err) MUST_USE;

#endif
