/* Sources: where documents come from, and whether they may be served. */
#ifndef ASSAY_STORE_SOURCES_H
#define ASSAY_STORE_SOURCES_H

#include "store/store.h"

struct source_row {
    int32_t id;
    struct str name, owner, contact, licence, description; /* "" when not given, but name */
    struct str max_age;                                    /* as given, ISO 8601; "" when documents do not age */
    int64_t max_age_us;                                    /* CLOCK_NEVER when they do not */
    double trust;                                          /* 0..1 */
    bool active;
    struct str block_reason; /* "" when active */
    int64_t created_at_us, updated_at_us;
    int64_t revision;                         /* +1 with every change: the ETag */
    int64_t documents, chunks, active_chunks; /* counts; only store_source_get fills them */
};
struct source_new {
    struct str name, owner, contact, licence, description, max_age;
    int64_t max_age_us;
    double trust;
};
/* "source-exists" (ASSAY_CONFLICT). Writes a change so that the index knows it. */
enum assay_code store_source_create(struct store *s, const struct call *call, int32_t collection,
                                    const struct source_new *in, struct source_row *out, struct store_commit *commit,
                                    struct err *err) MUST_USE;
enum assay_code store_source_get(struct store *s, const struct call *call, int32_t collection, struct str name,
                                 struct source_row *out, struct err *err) MUST_USE; /* NOT_FOUND "unknown-source" */
enum assay_code store_source_list(struct store *s, const struct call *call, int32_t collection, struct str after,
                                  size_t limit, struct source_row **out, size_t *n, struct err *err) MUST_USE;

struct source_patch { /* has_x says whether x is to be set */
    bool has_owner, has_contact, has_licence, has_description, has_max_age, has_trust;
    struct str owner, contact, licence, description, max_age;
    int64_t max_age_us;
    double trust;
    int64_t if_revision; /* 0: any; otherwise ASSAY_PRECONDITION when it differs */
};
/* A new max_age moves the deadline of every document of the source, in the same transaction; what was held as `stale`
 * and is fresh again is released. */
enum assay_code store_source_patch(struct store *s, const struct call *call, int32_t collection, struct str name,
                                   const struct source_patch *in, struct source_row *out, struct store_commit *commit,
                                   struct err *err) MUST_USE;
/* Blocks or unblocks: one change, one quarantine entry of the whole source (reason source_blocked), whatever its size.
 * Blocking what is blocked is a no-op that returns the row. */
enum assay_code store_source_block(struct store *s, const struct call *call, int32_t collection, struct str name,
                                   bool block, struct str reason, struct source_row *out, struct store_commit *commit,
                                   struct err *err) MUST_USE;

#endif
