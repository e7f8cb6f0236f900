/*
 * The second half of intake: runs, the store transaction, what a result says. The first half is intake_prepare.c.
 */
#include "server/intake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/intake_priv.h"
#include "server/server.h"
#include "store/lineage.h"

struct intake *intake_new(struct server *server)
{
    struct intake *in = mem_calloc(1, sizeof *in);
    in->server = server;
    return in;
}

void intake_free(struct intake *in)
{
    free(in);
}

void intake_run_init(struct intake_run *run, struct collection *c)
{
    *run = (struct intake_run){.collection = c};
    uuid_new(run->id);
}

static enum assay_code start_run(struct intake *in, const struct call *call, struct intake_run *run, struct err *err)
{
    const struct collection *c = run->collection;
    if (run->started)
        return ASSAY_OK;
    TRY(store_run_start(in->server->store, call, c->id, run->id, RUN_INGEST, &c->pipeline.id, err));
    run->started = true;
    return ASSAY_OK;
}

void intake_run_finish(struct intake *in, const struct call *call, struct intake_run *run, bool ok)
{
    struct err err = {0};
    struct buf stats = {0};
    struct jsonw w;
    if (!run->started)
        return;
    jsonw_init(&w, &stats);
    jsonw_object(&w);
    jsonw_kint(&w, "accepted", run->accepted);
    jsonw_kint(&w, "unchanged", run->unchanged);
    jsonw_kint(&w, "rejected", run->rejected);
    jsonw_kint(&w, "chunks", run->chunks);
    jsonw_object_end(&w);
    if (store_run_finish(in->server->store, call, run->collection->id, run->id, ok, buf_str(&stats), &err) != ASSAY_OK)
        log_err(LOG_WARN, "a run could not be closed", &err);
    err_clear(&err);
    buf_free(&stats);
}

/* ---- the transaction ---- */

static enum assay_code put_all(struct intake *in, const struct call *call, struct intake_run *run,
                               const struct collection *under, struct document_put *puts, size_t n,
                               struct put_result *results, struct documents_written *written,
                               struct store_commit *commit, struct err *err)
{
    const struct collection *c = run->collection;
    bool work = false;
    for (size_t i = 0; i < n; i++)
        work |= !puts[i].touch_only;
    if (work)
        TRY(start_run(in, call, run, err));
    struct documents_put put = {
        .collection = c->id,
        .pipeline = c->pipeline.id,
        .embedder = under->embedder,
        .dim = under->spec.dim,
        .run = run->started ? run->id : NULL,
        .check_duplicates = c->pipeline.checks.duplicate,
        .docs = puts,
        .n = n,
        .written = written,
    };
    return store_documents_put(in->server->store, call, &put, results, commit, err);
}

/* The whole batch in one transaction. When that fails by a document's fault (not by PostgreSQL being away), each on its
 * own, so that one bad document takes no other with it. */
static enum assay_code put_isolated(struct intake *in, const struct call *call, struct intake_run *run,
                                    struct prepared *b, struct put_result *results, struct store_commit *commit,
                                    struct err *err)
{
    enum assay_code code = put_all(in, call, run, b->under, b->puts, b->n_puts, results, &b->written, commit, err);
    if (code == ASSAY_OK || code == ASSAY_UNAVAILABLE || b->n_puts == 1)
        return code;
    log_err(LOG_WARN, "a batch failed and is stored one document at a time", err);
    err_clear(err);
    for (size_t i = 0; i < b->n_puts; i++) {
        struct store_commit one = {0};
        struct err *own = &b->results[b->doc_of[i]].err;
        code = put_all(in, call, run, b->under, &b->puts[i], 1, &results[i], NULL, &one, own);
        if (code == ASSAY_UNAVAILABLE) {
            code = err_set(err, ASSAY_UNAVAILABLE, own->slug, "%s", own->detail);
            err_clear(own);
            return code;
        }
        if (code != ASSAY_OK)
            results[i] = (struct put_result){.outcome = PUT_REJECTED, .code = code};
        if (one.seq > 0)
            *commit = one;
    }
    return ASSAY_OK;
}

/* Gives one document's result what the store said. */
static void take_result(struct intake_result *r, const struct document_put *put, const struct put_result *stored)
{
    r->put = *stored;
    r->version = put->version;
    if (stored->outcome != PUT_REJECTED || r->err.code != ASSAY_OK)
        return;
    err_set(&r->err, stored->code == ASSAY_OK ? ASSAY_UNPROCESSABLE : stored->code, stored->slug, "%s", stored->detail);
    if (stored->slug && strcmp(stored->slug, "unknown-source") == 0)
        err_add_field(&r->err, "/source", "%s", stored->detail);
}

static bool has_moved(const struct put_result *r)
{
    return r->outcome == PUT_REJECTED && r->slug && strcmp(r->slug, "version-moved") == 0;
}

/* Another writer replaced the version that a repeat was recognised by: those documents are extracted after all. */
static enum assay_code put_moved(struct intake *in, const struct call *call, struct intake_run *run,
                                 const struct prepared *b, const struct put_result *stored, struct store_commit *commit,
                                 struct err *err)
{
    size_t n = 0;
    struct intake_document *docs = ARENA_ARRAY(call->arena, struct intake_document, b->n_puts);
    struct intake_result *results = ARENA_ARRAY(call->arena, struct intake_result, b->n_puts);
    size_t *doc_of = ARENA_ARRAY(call->arena, size_t, b->n_puts);
    struct prepared again;
    for (size_t i = 0; i < b->n_puts; i++) {
        if (!has_moved(&stored[i]))
            continue;
        doc_of[n] = b->doc_of[i];
        docs[n++] = b->docs[b->doc_of[i]];
    }
    if (n == 0)
        return ASSAY_OK;
    TRY(intake_prepare(in, call, run->collection, docs, n, true, results, &again, err));
    struct put_result *second = ARENA_ARRAY(call->arena, struct put_result, n);
    struct store_commit later = {0};
    if (again.n_puts > 0)
        TRY(put_isolated(in, call, run, &again, second, &later, err));
    for (size_t i = 0; i < again.n_puts; i++)
        take_result(&results[again.doc_of[i]], &again.puts[i], &second[i]);
    for (size_t i = 0; i < n; i++) {
        err_clear(&b->results[doc_of[i]].err);
        b->results[doc_of[i]] = results[i];
    }
    if (later.seq > 0)
        *commit = later;
    return ASSAY_OK;
}

static void count(struct intake *in, struct intake_run *run, const struct prepared *b)
{
    struct metrics *m = in->server->metrics;
    int64_t accepted = 0, unchanged = 0, rejected = 0, chunks = 0, bytes = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct put_result *r = &b->results[i].put;
        accepted += r->outcome != PUT_REJECTED && r->outcome != PUT_UNCHANGED;
        unchanged += r->outcome == PUT_UNCHANGED;
        rejected += r->outcome == PUT_REJECTED;
        if (r->outcome == PUT_CREATED || r->outcome == PUT_UPDATED)
            chunks += (int64_t)(r->active + r->quarantined + r->pending);
    }
    for (size_t i = 0; i < b->n_puts; i++)
        bytes += (int64_t)b->puts[i].bytes;
    run->accepted += accepted;
    run->unchanged += unchanged;
    run->rejected += rejected;
    run->chunks += chunks;
    metrics_add(m, METRIC_INGEST_ACCEPTED, accepted);
    metrics_add(m, METRIC_INGEST_UNCHANGED, unchanged);
    metrics_add(m, METRIC_INGEST_REJECTED, rejected);
    metrics_add(m, METRIC_INGEST_CHUNKS, chunks);
    metrics_add(m, METRIC_INGEST_BYTES, bytes);
}

enum assay_code intake_commit(struct intake *in, const struct call *call, struct intake_run *run, struct prepared *b,
                              struct store_commit *commit, struct err *err)
{
    *commit = (struct store_commit){0};
    b->written = (struct documents_written){0};
    if (b->n_puts > 0) {
        struct put_result *stored = ARENA_ARRAY(call->arena, struct put_result, b->n_puts);
        enum assay_code code = put_isolated(in, call, run, b, stored, commit, err);
        if (code == ASSAY_OK) {
            for (size_t i = 0; i < b->n_puts; i++)
                take_result(&b->results[b->doc_of[i]], &b->puts[i], &stored[i]);
            code = put_moved(in, call, run, b, stored, commit, err);
        }
        TRY(code);
    }
    count(in, run, b);
    return ASSAY_OK;
}

enum assay_code intake_put(struct intake *in, const struct call *call, struct intake_run *run,
                           const struct intake_document *docs, size_t n, struct intake_result *results,
                           struct store_commit *commit, struct err *err)
{
    struct prepared batch;
    *commit = (struct store_commit){0};
    memset(results, 0, n * sizeof *results);
    TRY(intake_prepare(in, call, run->collection, docs, n, false, results, &batch, err));
    enum assay_code code = intake_commit(in, call, run, &batch, commit, err);
    if (commit->seq > 0)
        follower_notify(in->server->follower);
    return code;
}
