/*
 * Jobs: asynchronous bulk ingest, with progress that survives a restart. The body is spooled to <data_dir>/spool/<id>,
 * fsynced, before 202 is answered; a job that was running when the process died is taken up again (ingest is idempotent:
 * what was stored already is unchanged).
 */
#ifndef ASSAY_SERVER_JOBS_H
#define ASSAY_SERVER_JOBS_H

#include "base/call.h"
#include "server/request.h"
#include "store/jobs.h"

struct server;
struct jobs;
struct jobs *jobs_new(struct server *server);
void jobs_free(struct jobs *j);           /* lets the running step finish its batch, leaves the rest to the next start */
enum assay_code jobs_resume(struct jobs *j, const struct call *call, struct err *err) MUST_USE;
/* Spools the request's stream and queues the job; id receives its uuid. */
enum assay_code jobs_ingest(struct jobs *j, struct request *req, struct str default_collection,
                            char id[UUID_TEXT + 1], struct err *err) MUST_USE;
/* Live state when the job is of this process, else from the store. */
enum assay_code jobs_get(struct jobs *j, const struct call *call, struct str id, struct job_row *out,
                         struct err *err) MUST_USE;

#endif
