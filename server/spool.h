/*
 * Spool files: a request's body on local disk, whole and fsynced, until the job that it belongs to is done.
 */
#ifndef ASSAY_SERVER_SPOOL_H
#define ASSAY_SERVER_SPOOL_H

#include "server/intake.h"

/* Makes <data_dir>/spool when it is missing (mode 0700). */
enum assay_code spool_init(const char *data_dir, struct err *err) MUST_USE;
/* Copies the stream to the file of `id`, fsyncs file and folder. *lines counts the lines. ASSAY_UNAVAILABLE
 * "spool-full" when the disk (or quota) is; ASSAY_TOO_LARGE past `max` bytes (0: no limit). Nothing is left behind on
 * failure. */
enum assay_code spool_write(const char *data_dir, const char *id, const struct bulk_source *from, int64_t max,
                            int64_t *lines, int64_t *bytes, struct err *err) MUST_USE;
/* A descriptor to read from, the caller closes; -1 when there is no such file. */
int spool_open(const char *data_dir, const char *id);
void spool_remove(const char *data_dir, const char *id);
/* Removes every file whose name is not among the n ids: leftovers of requests that never became a job. */
void spool_sweep(const char *data_dir, const struct str *ids, size_t n);

#endif
