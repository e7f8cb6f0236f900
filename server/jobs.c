/*
 * The jobs of this process: a list under one lock, one thread. What a job is at any moment is told by its live record;
 * the store is brought up to date now and then, and at the end for sure.
 */
#include "server/jobs.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/intake.h"
#include "server/server.h"
#include "server/spool.h"

enum { FINISHED_KEPT = 256, SAVE_EVERY_MS = 500, RETRY_FIRST_S = 1, RETRY_MAX_S = 30, STEP_TIMEOUT_S = 10 };

struct job {
    struct job *next;
    char id[UUID_TEXT + 1];
    char *collection; /* name; the default for lines that name none */
    char *params, *result, *actor;
    int32_t collection_id;
    enum job_state state;
    const char *stage; /* static */
    int64_t done, total, errors, created_at_us, updated_at_us;
};

struct jobs {
    struct server *server;
    pthread_mutex_t lock; /* guards the list and what stands in its jobs */
    pthread_cond_t changed;
    struct job *first; /* oldest first; finished ones stay for a while, so that event streams see their end */
    pthread_t thread;
    atomic_bool stopping;
    bool started;
};

static void job_free(struct job *job)
{
    free(job->collection);
    free(job->params);
    free(job->result);
    free(job->actor);
    free(job);
}

static bool is_over(enum job_state s)
{
    return s == JOB_SUCCEEDED || s == JOB_FAILED;
}

/* A view of the job's record; valid while the lock is held, or by the thread that works on it. */
static void row_of(const struct job *job, struct job_row *out)
{
    *out = (struct job_row){
        .id = str_of(job->id),
        .kind = STR_LIT("ingest"),
        .collection = job->collection_id,
        .state = job->state,
        .stage = str_of(job->stage),
        .done = job->done,
        .total = job->total,
        .errors = job->errors,
        .params_json = str_of(job->params),
        .result_json = str_of(job->result),
        .actor = str_of(job->actor),
        .created_at_us = job->created_at_us,
        .updated_at_us = job->updated_at_us,
    };
}

/* ---- working on one job (the jobs thread) ---- */

struct work {
    struct jobs *jobs;
    struct job *job;
    int fd;
    int64_t saved_us; /* monotonic */
};

static void set_state(struct jobs *j, struct job *job, enum job_state state, const char *stage)
{
    pthread_mutex_lock(&j->lock);
    job->state = state;
    job->stage = stage;
    job->updated_at_us = clock_now_us();
    pthread_mutex_unlock(&j->lock);
}

static enum assay_code save(struct jobs *j, struct job *job)
{
    struct job_row row;
    struct err err = {0};
    struct call call = {arena_new(1 << 12), clock_mono_us() + STEP_TIMEOUT_S * CLOCK_SECOND, job->id, job->actor};
    pthread_mutex_lock(&j->lock);
    row_of(job, &row);
    pthread_mutex_unlock(&j->lock);
    /* The strings of the record are replaced by this thread alone, so they hold while the store reads them. */
    enum assay_code code = store_job_update(j->server->store, &call, &row, &err);
    if (code != ASSAY_OK)
        log_err(LOG_WARN, "a job's progress could not be stored", &err);
    err_clear(&err);
    arena_free(call.arena);
    return code;
}

static void on_progress(void *ctx, int64_t lines, int64_t errors)
{
    struct work *w = ctx;
    struct job *job = w->job;
    pthread_mutex_lock(&w->jobs->lock);
    job->done = lines > job->done ? lines : job->done;
    job->errors = errors > job->errors ? errors : job->errors;
    job->updated_at_us = clock_now_us();
    pthread_mutex_unlock(&w->jobs->lock);
    int64_t now = clock_mono_us();
    if (now - w->saved_us < SAVE_EVERY_MS * 1000)
        return;
    w->saved_us = now;
    (void)save(w->jobs, job); /* the next one, or the end, brings it */
}

static enum assay_code read_spool(void *ctx, char *to, size_t max, size_t *n, struct err *err)
{
    struct work *w = ctx;
    ssize_t got = -1;
    if (atomic_load(&w->jobs->stopping))
        return err_set(err, ASSAY_UNAVAILABLE, "stopping", "The server is stopping.");
    do
        got = read(w->fd, to, max);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_set(err, ASSAY_INTERNAL, NULL, "The spooled upload cannot be read.");
    *n = (size_t)got;
    return ASSAY_OK;
}

static void set_result(struct jobs *j, struct job *job, struct buf *json)
{
    char *text = mem_strndup(json->data ? json->data : "{}", json->data ? json->len : 2);
    pthread_mutex_lock(&j->lock);
    char *old = job->result;
    job->result = text;
    pthread_mutex_unlock(&j->lock);
    free(old);
}

static void take_failure(struct jobs *j, struct job *job, const struct err *err)
{
    struct buf json = {0};
    struct jsonw w;
    jsonw_init(&w, &json);
    jsonw_object(&w);
    jsonw_kcstr(&w, "problem", err_slug(err));
    jsonw_kcstr(&w, "detail", err->detail);
    jsonw_object_end(&w);
    set_result(j, job, &json);
    buf_free(&json);
}

/* One attempt. ASSAY_UNAVAILABLE: to be tried again. */
static enum assay_code attempt(struct jobs *j, struct job *job, struct err *err)
{
    struct work w = {.jobs = j, .job = job, .fd = spool_open(j->server->config->data_dir, job->id)};
    if (w.fd < 0)
        return err_set(err, ASSAY_INTERNAL, "upload-lost", "The spooled upload is not there any more.");
    struct call call = {arena_new(1 << 14), CLOCK_NEVER, job->id, job->actor};
    struct bulk_source from = {read_spool, &w};
    struct bulk_report report;
    enum assay_code code =
        intake_bulk(j->server->intake, &call, &from, str_of(job->collection), on_progress, &w, &report, err);
    if (code == ASSAY_OK) {
        struct buf json = {0};
        struct jsonw jw;
        jsonw_init(&jw, &json);
        intake_bulk_write(&jw, &report);
        set_result(j, job, &json);
        buf_free(&json);
        pthread_mutex_lock(&j->lock);
        job->done = job->total;
        job->errors = report.rejected > job->errors ? report.rejected : job->errors;
        pthread_mutex_unlock(&j->lock);
    }
    buf_free(&report.rejected_json);
    close(w.fd);
    arena_free(call.arena);
    return code;
}

/* Waits, but not past the process' wish to stop. */
static void pause_for(struct jobs *j, int seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&j->lock);
    while (!atomic_load(&j->stopping) && pthread_cond_timedwait(&j->changed, &j->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&j->lock);
}

/* Runs the job to its end, whatever PostgreSQL's absences, or until the process stops (then the next start goes on). */
static void run(struct jobs *j, struct job *job)
{
    enum assay_code code = ASSAY_UNAVAILABLE;
    int wait_s = RETRY_FIRST_S;
    while (code == ASSAY_UNAVAILABLE) {
        struct err err = {0};
        set_state(j, job, JOB_RUNNING, "ingest");
        (void)save(j, job);
        code = attempt(j, job, &err);
        if (code != ASSAY_OK && code != ASSAY_UNAVAILABLE)
            take_failure(j, job, &err);
        if (code != ASSAY_OK && !atomic_load(&j->stopping))
            log_err(LOG_WARN, "a job did not come through", &err);
        err_clear(&err);
        if (atomic_load(&j->stopping) && code == ASSAY_UNAVAILABLE)
            return;
        if (code == ASSAY_UNAVAILABLE) {
            set_state(j, job, JOB_RUNNING, "waiting");
            pause_for(j, wait_s);
            wait_s = wait_s * 2 > RETRY_MAX_S ? RETRY_MAX_S : wait_s * 2;
        }
    }
    set_state(j, job, code == ASSAY_OK ? JOB_SUCCEEDED : JOB_FAILED, "done");
    while (save(j, job) == ASSAY_UNAVAILABLE) {
        if (atomic_load(&j->stopping))
            return; /* the spool file stays: the next start finds nothing changed, and says so */
        pause_for(j, wait_s);
    }
    spool_remove(j->server->config->data_dir, job->id);
}

/* Forgets the oldest finished jobs past FINISHED_KEPT. Lock held. */
static void forget_old(struct jobs *j)
{
    size_t finished = 0;
    for (struct job *job = j->first; job; job = job->next)
        finished += is_over(job->state);
    for (struct job **at = &j->first; *at && finished > FINISHED_KEPT;) {
        struct job *job = *at;
        if (!is_over(job->state)) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job_free(job);
        finished--;
    }
}

static void *jobs_main(void *ctx)
{
    struct jobs *j = ctx;
    pthread_mutex_lock(&j->lock);
    while (!atomic_load(&j->stopping)) {
        struct job *job = j->first;
        while (job && is_over(job->state))
            job = job->next;
        if (!job) {
            pthread_cond_wait(&j->changed, &j->lock);
            continue;
        }
        pthread_mutex_unlock(&j->lock);
        log_bind(job->id);
        run(j, job);
        log_bind(NULL);
        pthread_mutex_lock(&j->lock);
        forget_old(j);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* ---- from outside ---- */

struct jobs *jobs_new(struct server *server)
{
    struct jobs *j = mem_calloc(1, sizeof *j);
    j->server = server;
    atomic_init(&j->stopping, false);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    j->started = pthread_create(&j->thread, NULL, jobs_main, j) == 0;
    if (!j->started)
        log_error("no thread for jobs", "%s", "");
    return j;
}

void jobs_free(struct jobs *j)
{
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    atomic_store(&j->stopping, true);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
    if (j->started)
        pthread_join(j->thread, NULL);
    while (j->first) {
        struct job *job = j->first;
        j->first = job->next;
        job_free(job);
    }
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->changed);
    free(j);
}

static void enqueue(struct jobs *j, struct job *job)
{
    pthread_mutex_lock(&j->lock);
    struct job **at = &j->first;
    while (*at)
        at = &(*at)->next;
    *at = job;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

static struct job *job_from_row(const struct job_row *row, struct str collection)
{
    struct job *job = mem_calloc(1, sizeof *job);
    assert(row->id.len == UUID_TEXT);
    memcpy(job->id, row->id.ptr, UUID_TEXT);
    job->collection = mem_strndup(collection.ptr, collection.len);
    job->params = mem_strndup(row->params_json.ptr, row->params_json.len);
    job->result = mem_strdup("{}");
    job->actor = mem_strndup(row->actor.ptr, row->actor.len);
    job->collection_id = row->collection;
    job->state = JOB_QUEUED;
    job->stage = "queued";
    job->done = row->done;
    job->total = row->total;
    job->errors = row->errors;
    job->created_at_us = row->created_at_us;
    job->updated_at_us = row->updated_at_us;
    return job;
}

enum assay_code jobs_resume(struct jobs *j, const struct call *call, struct err *err)
{
    struct job_row *rows = NULL;
    size_t n = 0;
    TRY(spool_init(j->server->config->data_dir, err));
    TRY(store_jobs_unfinished(j->server->store, call, &rows, &n, err));
    struct str *ids = ARENA_ARRAY(call->arena, struct str, n);
    for (size_t i = 0; i < n; i++)
        ids[i] = rows[i].id;
    spool_sweep(j->server->config->data_dir, ids, n);
    for (size_t i = 0; i < n; i++) {
        const struct collection *c = catalog_by_id(j->server->catalog, rows[i].collection);
        int fd = spool_open(j->server->config->data_dir, str_cstr(call->arena, rows[i].id));
        if (fd < 0 || !c)
            continue; /* spooled by another server of the same database: its own to finish */
        close(fd);
        log_info("job taken up again", "id=%.*s", STR_FMT(rows[i].id));
        enqueue(j, job_from_row(&rows[i], c->name));
    }
    return ASSAY_OK;
}

static enum assay_code read_stream(void *ctx, char *to, size_t max, size_t *n, struct err *err)
{
    return body_stream_read(ctx, to, max, n, err);
}

enum assay_code jobs_ingest(struct jobs *j, struct request *req, struct str default_collection, char id[UUID_TEXT + 1],
                            struct err *err)
{
    const struct config *cfg = j->server->config;
    struct collection *c = NULL;
    struct bulk_source from = {read_stream, req->stream};
    int64_t bytes = 0;
    TRY(catalog_get(j->server->catalog, default_collection, false, &c, err));
    TRY(spool_init(cfg->data_dir, err));
    uuid_new(id);
    struct job_row row = {.id = str_of(id), .kind = STR_LIT("ingest"), .collection = c->id, .state = JOB_QUEUED};
    TRY(spool_write(cfg->data_dir, id, &from, cfg->bulk_body_max, &row.total, &bytes, err));
    row.stage = STR_LIT("queued");
    row.params_json = str_of(arena_printf(req->call.arena, "{\"bytes\":%lld}", (long long)bytes));
    row.result_json = STR_LIT("{}");
    row.actor = str_of(req->call.actor);
    row.created_at_us = row.updated_at_us = clock_now_us();
    /* The upload may have taken longer than a request is given; what is left to do is one row. */
    struct call call = req->call;
    call.deadline_us = clock_mono_us() + STEP_TIMEOUT_S * CLOCK_SECOND;
    enum assay_code code = store_job_create(j->server->store, &call, &row, err);
    if (code != ASSAY_OK) {
        spool_remove(cfg->data_dir, id);
        return code;
    }
    enqueue(j, job_from_row(&row, c->name));
    return ASSAY_OK;
}

bool jobs_live(struct jobs *j, struct arena *a, struct str id, struct job_row *out)
{
    pthread_mutex_lock(&j->lock);
    struct job *job = j->first;
    while (job && !str_eqc(id, job->id))
        job = job->next;
    if (job) {
        row_of(job, out);
        out->id = str_dup(a, out->id);
        out->params_json = str_dup(a, out->params_json);
        out->result_json = str_dup(a, out->result_json);
        out->actor = str_dup(a, out->actor);
    }
    pthread_mutex_unlock(&j->lock);
    return job != NULL;
}

enum assay_code jobs_get(struct jobs *j, const struct call *call, struct str id, struct job_row *out, struct err *err)
{
    if (!uuid_valid(id))
        return err_set(err, ASSAY_NOT_FOUND, "unknown-job", "There is no such job.");
    if (jobs_live(j, call->arena, id, out))
        return ASSAY_OK;
    return store_job_get(j->server->store, call, id, out, err);
}

void jobs_write(struct jsonw *w, struct catalog *catalog, const struct job_row *row)
{
    const struct collection *c = catalog_by_id(catalog, row->collection);
    jsonw_object(w);
    jsonw_kstr(w, "id", row->id);
    jsonw_kstr(w, "kind", row->kind);
    jsonw_kstr(w, "collection", c ? c->name : (struct str){0});
    jsonw_kcstr(w, "state", job_state_names[row->state]);
    jsonw_kstr(w, "stage", row->stage);
    jsonw_kint(w, "done", row->done);
    jsonw_kint(w, "total", row->total); /* 0 while unknown */
    jsonw_kint(w, "errors", row->errors);
    if (job_is_over(row))
        jsonw_kraw(w, "result", row->result_json);
    else
        jsonw_kcstr(w, "result", NULL);
    jsonw_ktime(w, "created_at", row->created_at_us);
    jsonw_ktime(w, "updated_at", row->updated_at_us);
    jsonw_object_end(w);
}
