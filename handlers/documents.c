/* Documents: put one, put many, look, delete. Their versions are in versions.c. */
#include "base/clock.h"
#include "handlers/document_view.h"
#include "handlers/handlers.h"
#include "handlers/page.h"
#include "handlers/settle.h"
#include "server/access.h"
#include "server/server.h"

enum { WAIT_MAX_S = 30 };

enum wait { WAIT_INDEXED, WAIT_STORED };
static const char *const wait_names[] = {"indexed", "stored", NULL};

static const char *const outcome_names[] = {"created", "updated", "touched", "unchanged", "rejected"};

/* ---- POST /documents, JSON ---- */

struct put_query {
    int wait;
};
static const struct json_field put_fields[] = {
    JSON_FIELD(struct put_query, wait, JSON_FIELD_ENUM, .names = wait_names),
    JSON_FIELDS_END,
};

static void write_states(struct jsonw *w, const struct put_result *r)
{
    jsonw_kint(w, "chunks", (int64_t)(r->active + r->quarantined + r->pending));
    jsonw_key(w, "states");
    jsonw_object(w);
    jsonw_kint(w, "active", (int64_t)r->active);
    jsonw_kint(w, "quarantined", (int64_t)r->quarantined);
    jsonw_kint(w, "pending", (int64_t)r->pending);
    jsonw_object_end(w);
}

static void write_put(struct jsonw *w, const struct intake_run *run, const struct intake_result *r,
                      const struct store_commit *commit, bool indexed)
{
    jsonw_object(w);
    jsonw_kstr(w, "id", r->id);
    jsonw_kdigest(w, "version", &r->version);
    jsonw_kstr(w, "collection", run->collection->name);
    jsonw_kcstr(w, "outcome", outcome_names[r->put.outcome]);
    write_states(w, &r->put);
    settle_write(w, commit);
    jsonw_kcstr(w, "run", run->started ? run->id : NULL);
    jsonw_kbool(w, "indexed", indexed);
    jsonw_object_end(w);
}

/* A commit that the index does not reach in time is stored all the same: the reply says `"indexed":false`. */
static bool wait_indexed(struct request *req, struct collection *c, const struct store_commit *commit, int wait)
{
    if (commit->seq == 0)
        return true;
    if (wait == WAIT_STORED) {
        struct vindex_stats st;
        collection_stats(c, &st);
        return st.seq >= commit->seq;
    }
    return collection_wait(c, commit->seq, req->call.deadline_us);
}

/* Hands the result's problem on as the request's own. */
static enum assay_code take_problem(struct intake_result *r, struct err *err)
{
    err_clear(err);
    *err = r->err;
    r->err = (struct err){0};
    return err->code;
}

enum assay_code handle_documents_create(struct request *req, struct reply *reply, struct err *err)
{
    struct put_query q = {.wait = WAIT_INDEXED};
    struct intake_document doc = {0};
    struct collection *c;
    struct intake_run run;
    struct intake_result result;
    struct store_commit commit;
    struct jsonw w;
    TRY(request_query(req, put_fields, &q, err));
    TRY(request_json(req, intake_document_fields, &doc, err));
    TRY(intake_document_check(&doc, err));
    TRY(catalog_get(req->server->catalog, doc.collection, true, &c, err));
    intake_run_init(&run, c);
    enum assay_code code = intake_put(req->server->intake, &req->call, &run, &doc, 1, &result, &commit, err);
    if (code == ASSAY_OK && result.put.outcome == PUT_REJECTED)
        code = take_problem(&result, err);
    intake_run_finish(req->server->intake, &req->call, &run, code == ASSAY_OK);
    err_clear(&result.err);
    if (code != ASSAY_OK)
        return code;
    bool indexed = wait_indexed(req, c, &commit, q.wait);
    bool made = result.put.outcome == PUT_CREATED || result.put.outcome == PUT_UPDATED;
    reply_json(reply, made ? 201 : 200, &w);
    write_put(&w, &run, &result, &commit, indexed);
    return ASSAY_OK;
}

/* ---- POST /documents, NDJSON ---- */

struct bulk_query {
    struct str collection;
    int wait;
    bool async;
};
static const struct json_field bulk_fields[] = {
    JSON_FIELD(struct bulk_query, collection, JSON_FIELD_STR, .max = 63),
    JSON_FIELD(struct bulk_query, wait, JSON_FIELD_ENUM, .names = wait_names),
    {.name = "async", .type = JSON_FIELD_BOOL, .offset = offsetof(struct bulk_query, async)},
    JSON_FIELDS_END,
};

static enum assay_code read_body(void *ctx, char *to, size_t max, size_t *n, struct err *err)
{
    return body_stream_read(ctx, to, max, n, err);
}

static enum assay_code start_job(struct request *req, struct str collection, struct reply *reply, struct err *err)
{
    char id[UUID_TEXT + 1];
    struct jsonw w;
    TRY(jobs_ingest(req->server->jobs, req, collection, id, err));
    reply_json(reply, 202, &w);
    jsonw_object(&w);
    jsonw_kcstr(&w, "job", id);
    jsonw_object_end(&w);
    reply_header(reply, "Location", "/jobs/%s", id);
    return ASSAY_OK;
}

/* Waits until the index stands at the last commit of every collection that got one. */
static void wait_bulk(const struct bulk_report *report)
{
    int64_t deadline_us =
        clock_mono_us() + WAIT_MAX_S * CLOCK_SECOND; /* the stream may have used up the request's own */
    for (const struct bulk_run *r = report->runs; r; r = r->next)
        if (r->commit.seq > 0 && !collection_wait(r->run.collection, r->commit.seq, deadline_us))
            return;
}

enum assay_code handle_documents_bulk(struct request *req, struct reply *reply, struct err *err)
{
    struct bulk_query q = {.wait = WAIT_STORED};
    struct bulk_report report;
    struct bulk_source from = {read_body, req->stream};
    struct jsonw w;
    TRY(request_query(req, bulk_fields, &q, err));
    if (q.async)
        return start_job(req, q.collection, reply, err);
    enum assay_code code = intake_bulk(req->server->intake, &req->call, &from, q.collection, NULL, NULL, &report, err);
    if (code == ASSAY_OK) {
        if (q.wait == WAIT_INDEXED)
            wait_bulk(&report);
        reply_json(reply, 200, &w);
        intake_bulk_write(&w, &report);
    }
    buf_free(&report.rejected_json);
    return code;
}

/* ---- GET /documents, GET /documents/{id} ---- */

struct list_query {
    struct str collection, source, cursor;
    int64_t limit;
};
static const struct json_field list_fields[] = {
    JSON_FIELD(struct list_query, collection, JSON_FIELD_STR, .max = 63),
    JSON_FIELD(struct list_query, source, JSON_FIELD_STR, .min = 1, .max = 128),
    PAGE_FIELDS(struct list_query),
    JSON_FIELDS_END,
};

/* A page may hold fewer documents than the limit while more follow: those that the caller may not see are left out. */
enum assay_code handle_documents_list(struct request *req, struct reply *reply, struct err *err)
{
    struct list_query q = {.source = STR_LIT(""), .limit = PAGE_DEFAULT};
    struct str after = STR_LIT("");
    struct collection *c;
    struct document_row *rows;
    size_t n;
    struct jsonw w;
    TRY(request_query(req, list_fields, &q, err));
    TRY(catalog_get(req->server->catalog, q.collection, false, &c, err));
    if (q.cursor.len > 0)
        TRY(request_cursor(req, q.cursor, &after, err));
    TRY(store_document_list(req->server->store, &req->call, c->id, q.source, after, (size_t)q.limit + 1, &rows, &n,
                            err));
    bool more = page_cut(&n, q.limit);
    reply_list(reply, &w);
    for (size_t i = 0; i < n; i++)
        if (access_allows(&req->actor, rows[i].has_acl, &rows[i].acl))
            document_view_write(&w, c, &rows[i]);
    reply_list_end(&w, more ? request_cursor_make(req, rows[n - 1].key) : NULL);
    return ASSAY_OK;
}

enum assay_code handle_documents_get(struct request *req, struct reply *reply, struct err *err)
{
    struct collection *c;
    struct document_row row;
    struct jsonw w;
    TRY(document_view_collection(req, &c, err));
    TRY(document_view_find(req, c, req->params[0], false, &row, err));
    reply_json(reply, 200, &w);
    document_view_write(&w, c, &row);
    return ASSAY_OK;
}

/* ---- DELETE /documents/{id} ---- */

/* Answered when this server's searches do not find it any more. What is not there, or not the caller's to see, is 404,
 * never success. */
enum assay_code handle_documents_delete(struct request *req, struct reply *reply, struct err *err)
{
    struct collection *c;
    struct document_row row;
    struct store_commit commit;
    size_t chunks = 0;
    struct jsonw w;
    TRY(document_view_collection(req, &c, err));
    TRY(document_view_find(req, c, req->params[0], false, &row, err));
    TRY(store_document_delete(req->server->store, &req->call, c->id, row.key, &chunks, &commit, err));
    TRY(settle(req, c, &commit, err));
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    jsonw_kstr(&w, "id", row.key);
    jsonw_kstr(&w, "collection", c->name);
    jsonw_kint(&w, "chunks_removed", (int64_t)chunks);
    settle_write(&w, &commit);
    jsonw_kbool(&w, "deleted", true);
    jsonw_object_end(&w);
    return ASSAY_OK;
}
