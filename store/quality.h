/* Aggregates behind /quality and /metrics. */
#ifndef ASSAY_STORE_QUALITY_H
#define ASSAY_STORE_QUALITY_H

#include "index/vindex.h" /* enum chunk_state only */
#include "store/quarantine.h"
#include "store/store.h"

/* Counts over the current (not retired) chunks of one source. */
struct quality_source_row {
    struct str source;
    bool source_active;
    int64_t chunks[CHUNK_STATE_COUNT], bytes[CHUNK_STATE_COUNT];
    int64_t usable_chunks, usable_bytes; /* active, fresh, source active */
    int64_t with_lineage; /* source, uri, run, pipeline and modified_at all known from the client or the run */
    int64_t validated;    /* every check passed or warned; none failed and at least one ran */
    int64_t fresh;        /* deadline not passed */
    int64_t unique;       /* no other current chunk has the same text */
    double quality_sum;   /* over chunks */
    int64_t documents;
    int64_t oldest_overdue_us; /* how long the stalest document is past its deadline; 0: none */
};
enum assay_code store_quality_sources(struct store *s, const struct call *call, int32_t collection, int64_t now_us,
                                      struct quality_source_row **out, size_t *n, struct err *err) MUST_USE;
/* Open quarantine entries by reason. */
enum assay_code store_quarantine_counts(struct store *s, const struct call *call, int32_t collection,
                                        int64_t counts[REASON_COUNT], struct err *err) MUST_USE;

#endif
