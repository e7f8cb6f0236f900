/* Jobs: long work with progress that survives a restart. */
#ifndef ASSAY_STORE_JOBS_H
#define ASSAY_STORE_JOBS_H

#include "store/store.h"

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED, JOB_STATE_COUNT };
extern const char *const job_state_names[JOB_STATE_COUNT + 1];
struct job_row {
    struct str id, kind; /* kind: "ingest" */
    int32_t collection;
    enum job_state state;
    struct str stage;
    int64_t done, total, errors;         /* total 0 while unknown; done never goes back */
    struct str params_json, result_json; /* "{}" when none */
    struct str actor;
    int64_t created_at_us, updated_at_us;
};
enum assay_code store_job_create(struct store *s, const struct call *call, const struct job_row *in,
                                 struct err *err) MUST_USE;
enum assay_code store_job_update(struct store *s, const struct call *call, const struct job_row *in,
                                 struct err *err) MUST_USE;
enum assay_code store_job_get(struct store *s, const struct call *call, struct str id, struct job_row *out,
                              struct err *err) MUST_USE; /* NOT_FOUND "unknown-job" */
/* Queued and running jobs, oldest first: what a restart has to take up again. */
enum assay_code store_jobs_unfinished(struct store *s, const struct call *call, struct job_row **out, size_t *n,
                                      struct err *err) MUST_USE;

#endif
