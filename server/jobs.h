/*
 * Jobs: asynchronous bulk ingest, with progress that survives a restart. The body is spooled to <data_dir>/spool/<id>,
 * fsynced, before 202 is answered; a job that was running when the process died is taken up again (ingest is
 * idempotent: what was stored already is unchanged). One thread works on them, oldest first. Thread-safe.
 */
#ifndef ASSAY_SERVER_JOBS_H
#define ASSAY_SERVER_JOBS_H

#include "base/call.h"
#include "base/json_write.h"
#include "server/request.h"
#include "store/jobs.h"

struct server;
struct catalog;
struct jobs;
struct jobs *jobs_new(struct server *server);
void jobs_free(struct jobs *j); /* lets the running step finish its batch, leaves the rest to the next start */
/* Takes up what a former process left behind; removes spool files that belong to nothing. Once, at start. */
enum assay_code jobs_resume(struct jobs *j, const struct call *call, struct err *err) MUST_USE;
/* Spools the request's stream and queues the job; id receives its uuid. ASSAY_UNAVAILABLE "spool-full" when the disk
 * is, ASSAY_NOT_FOUND "unknown-collection", and what body_stream_read gives; nothing is left behind then. */
enum assay_code jobs_ingest(struct jobs *j, struct request *req, struct str default_collection, char id[UUID_TEXT + 1],
                            struct err *err) MUST_USE;
/* Live state when the job is of this process, else from the store. */
enum assay_code jobs_get(struct jobs *j, const struct call *call, struct str id, struct job_row *out,
                         struct err *err) MUST_USE;
/* The live state only; never asks PostgreSQL, so that an event stream can be fed by it. False when the job is not of
 * this process. Strings are in the arena. */
bool jobs_live(struct jobs *j, struct arena *a, struct str id, struct job_row *out);
static inline bool job_is_over(const struct job_row *row)
{
    return row->state == JOB_SUCCEEDED || row->state == JOB_FAILED;
}
/* Writes {"id","kind","collection","state","stage","done","total","errors","result",...}. */
void jobs_write(struct jsonw *w, struct catalog *catalog, const struct job_row *row);

#endif
