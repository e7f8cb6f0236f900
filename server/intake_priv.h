/*
 * Inside intake: a batch between its two halves. The first (intake_prepare) may take long and touches no collection;
 * the second (intake_commit) is the store transaction. Bulk runs the second on a thread of its own, so that the next
 * batch is extracted meanwhile. Private to server/intake*.c.
 */
#ifndef ASSAY_SERVER_INTAKE_PRIV_H
#define ASSAY_SERVER_INTAKE_PRIV_H

#include "ingest/ingest.h"
#include "outbound/http.h"
#include "server/intake.h"

struct intake {
    struct server *server;
};

struct prepared {
    const struct collection *under; /* as it was when the batch was prepared: its embedder made the vectors */
    const struct intake_document *docs;
    struct intake_result *results;
    size_t n;
    struct document_put *puts; /* of those that were not rejected */
    size_t *doc_of;            /* doc_of[i]: which document puts[i] is */
    size_t n_puts;
    struct documents_written written; /* after intake_commit: by one transaction for the whole batch; else empty */
};

/* What is asked again and again about one document while a batch is prepared. */
struct received {
    struct str key, bytes, metadata_json;
    enum media_type media;
    const float *vector; /* client vectors only */
    struct digest vector_hash, request_hash;
    bool usable;
};

/* Everything before the transaction. force: even what the store knows is extracted. The batch lives in call->arena. */
enum assay_code intake_prepare(struct intake *in, const struct call *call, struct collection *c,
                               const struct intake_document *docs, size_t n, bool force, struct intake_result *results,
                               struct prepared *out, struct err *err) MUST_USE;
/* The caller notifies the follower when there is a commit, also after an error. */
enum assay_code intake_commit(struct intake *in, const struct call *call, struct intake_run *run,
                              struct prepared *batch, struct store_commit *commit, struct err *err) MUST_USE;

/* Reads one document's content and settles what follows from it alone. ASSAY_UNPROCESSABLE and the like are the
 * document's own. */
enum assay_code intake_receive(const struct call *call, const struct collection *c, const struct intake_document *d,
                               struct received *out, struct err *err) MUST_USE;

/* Gives every chunk of puts[0..n) an embedding (kind openai). A document that cannot have one is marked in failed[]
 * with its error in errs[]; the function's own error is the store's. */
enum assay_code intake_embed(struct intake *in, const struct call *call, struct collection *c,
                             struct document_put *puts, size_t n, bool *failed, struct err *errs,
                             struct err *err) MUST_USE;

#endif
