#include "store/jobs.h"

#include "base/clock.h"
#include "store/stmts.h"
#include "store/tx.h"

const char *const job_state_names[JOB_STATE_COUNT + 1] = {"queued", "running", "succeeded", "failed", NULL};

#define JOB_COLUMNS                                                                                                    \
    "id::text, kind, collection_id, state, stage, done, total, errors, params, result, actor, created_at, updated_at"

static void read_job(struct row r, struct job_row *j)
{
    *j = (struct job_row){0};
    j->id = row_str(&r);
    j->kind = row_str(&r);
    j->collection = (int32_t)row_int(&r);
    j->state = (enum job_state)row_int(&r);
    j->stage = row_str(&r);
    j->done = row_int(&r);
    j->total = row_int(&r);
    j->errors = row_int(&r);
    j->params_json = row_str(&r);
    j->result_json = row_str(&r);
    j->actor = row_str(&r);
    j->created_at_us = row_time(&r);
    j->updated_at_us = row_time(&r);
}

static struct str json_or_empty(struct str json)
{
    return json.len ? json : STR_LIT("{}");
}

static const struct store_stmt job_insert = {
    "job_insert",
    "INSERT INTO jobs (id, kind, collection_id, state, stage, done, total, errors, params, result, actor, created_at,"
    " updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
    12};

enum assay_code store_job_create(struct store *s, const struct call *call, const struct job_row *in, struct err *err)
{
    struct buf args = {0};
    wire_uuid(&args, in->id);
    wire_str(&args, in->kind);
    wire_i32(&args, in->collection);
    wire_i16(&args, (int)in->state);
    wire_str(&args, in->stage);
    wire_i64(&args, in->done);
    wire_i64(&args, in->total);
    wire_i64(&args, in->errors);
    wire_str(&args, json_or_empty(in->params_json));
    wire_str(&args, json_or_empty(in->result_json));
    wire_str(&args, in->actor.len ? in->actor : str_of(call->actor));
    wire_time(&args, in->created_at_us ? in->created_at_us : clock_now_us());
    return store_query(s, call, &job_insert, &args, NULL, err);
}

/* Progress never goes back, and a job that ended stays ended, whatever arrives late. */
static const struct store_stmt job_update = {
    "job_update",
    "UPDATE jobs SET state = CASE WHEN state IN (2, 3) THEN state ELSE $2 END, stage = $3, done = greatest(done, $4),"
    " total = greatest(total, $5), errors = greatest(errors, $6), result = $7, updated_at = greatest(updated_at, $8)"
    " WHERE id = $1::uuid",
    8};

enum assay_code store_job_update(struct store *s, const struct call *call, const struct job_row *in, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_uuid(&args, in->id);
    wire_i16(&args, (int)in->state);
    wire_str(&args, in->stage);
    wire_i64(&args, in->done);
    wire_i64(&args, in->total);
    wire_i64(&args, in->errors);
    wire_str(&args, json_or_empty(in->result_json));
    wire_time(&args, clock_now_us());
    TRY(store_query(s, call, &job_update, &args, &rows, err));
    return rows.affected ? ASSAY_OK : err_set(err, ASSAY_NOT_FOUND, "unknown-job", "There is no such job.");
}

static const struct store_stmt job_get = {"job_get", "SELECT " JOB_COLUMNS " FROM jobs WHERE id = $1::uuid", 1};

enum assay_code store_job_get(struct store *s, const struct call *call, struct str id, struct job_row *out,
                              struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_uuid(&args, id);
    TRY(store_query(s, call, &job_get, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-job", "There is no such job.");
    read_job(rows_at(&rows, 0, call->arena), out);
    return ASSAY_OK;
}

static const struct store_stmt jobs_unfinished = {
    "jobs_unfinished", "SELECT " JOB_COLUMNS " FROM jobs WHERE state IN (0, 1) ORDER BY created_at, id LIMIT 1000", 0};

enum assay_code store_jobs_unfinished(struct store *s, const struct call *call, struct job_row **out, size_t *n,
                                      struct err *err)
{
    struct rows rows = {0};
    TRY(store_query(s, call, &jobs_unfinished, NULL, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct job_row, *n);
    for (int i = 0; i < rows.n; i++)
        read_job(rows_at(&rows, i, call->arena), &(*out)[i]);
    return ASSAY_OK;
}

const struct store_stmt *const store_jobs_stmts[] = {&job_insert, &job_update, &job_get, &jobs_unfinished, NULL};
