/* Quarantine: what is held back, why, by whom, until when; and the sweep that records staleness. */
#ifndef ASSAY_STORE_QUARANTINE_H
#define ASSAY_STORE_QUARANTINE_H

#include "store/store.h"

/* The closed vocabulary of reasons. Names: "stale" "unvalidated" "failed_check" "low_quality" "duplicate" "superseded"
 * "contradiction" "unsafe" "source_blocked" "ineffective" "manual" "upstream". */
enum quarantine_reason {
    REASON_STALE,
    REASON_UNVALIDATED,
    REASON_FAILED_CHECK,
    REASON_LOW_QUALITY,
    REASON_DUPLICATE,
    REASON_SUPERSEDED,
    REASON_CONTRADICTION,
    REASON_UNSAFE,
    REASON_SOURCE_BLOCKED,
    REASON_INEFFECTIVE,
    REASON_MANUAL,
    REASON_UPSTREAM,
    REASON_COUNT
};
extern const char *const quarantine_reason_names[REASON_COUNT + 1]; /* NULL-terminated, for json_field.names */
enum quarantine_state { ENTRY_OPEN, ENTRY_RELEASED, ENTRY_RETIRED, ENTRY_STATE_COUNT };
extern const char *const quarantine_state_names[ENTRY_STATE_COUNT + 1]; /* "open" "released" "retired" */

struct quarantine_row {
    struct str id;      /* uuid */
    int64_t seq;        /* keyset */
    const char *target; /* "chunk" or "source" */
    bool has_chunk;
    struct digest chunk;
    struct str document; /* key; "" for a source entry */
    struct str source;   /* name */
    enum quarantine_reason reason;
    enum quarantine_state state;
    struct str note, evidence_json;     /* "{}" when none: failed checks with expected, actual, span */
    struct str excerpt;                 /* first 200 bytes of the chunk's text, cut at a code point */
    int64_t opened_at_us, closed_at_us; /* CLOCK_NEVER while open */
    struct str opened_by, closed_by, close_note;
    int64_t chunks; /* 1, or how many chunks a source entry holds back */
    bool has_acl;   /* of the document: what may be shown to whom is up to the caller */
    struct str_list acl;
};
struct quarantine_query {
    int32_t collection;
    int reason;          /* -1: any */
    struct str source;   /* "": any */
    struct str document; /* "": any */
    bool has_chunk;
    struct digest chunk;
    int state;      /* enum quarantine_state, -1: any */
    int64_t before; /* keyset on seq, newest first; INT64_MAX for the first page */
    size_t limit;
};
enum assay_code store_quarantine_list(struct store *s, const struct call *call, const struct quarantine_query *q,
                                      struct quarantine_row **out, size_t *n, struct err *err) MUST_USE;
enum assay_code store_quarantine_get(struct store *s, const struct call *call, struct str id, int32_t *collection,
                                     struct quarantine_row *out,
                                     struct err *err) MUST_USE; /* NOT_FOUND "unknown-entry" */

struct quarantine_add {
    int32_t collection;
    const struct digest *chunks; /* exactly one of chunks, document, source is given */
    size_t n_chunks;
    struct str document, source;
    enum quarantine_reason reason;
    struct str note;
    size_t sample_max; /* how many of the new entries to return */
};
/* Set-based, one transaction. Chunks that already have an open entry with the same reason get none again; retired
 * chunks are skipped. Unknown chunks, document or source: ASSAY_UNPROCESSABLE, nothing done. *held: new entries. */
enum assay_code store_quarantine_add(struct store *s, const struct call *call, const struct quarantine_add *in,
                                     size_t *held, struct quarantine_row **sample, size_t *n_sample,
                                     struct store_commit *commit, struct err *err) MUST_USE;
/* Release closes the entry; the chunk is active again when no open entry is left. A `stale` entry whose document is
 * still past its deadline, and an entry of a blocked source, are ASSAY_CONFLICT (slugs "still-stale",
 * "source-blocked"); a closed entry is ASSAY_CONFLICT "entry-closed". Release of failed_check or duplicate needs a note
 * (ASSAY_UNPROCESSABLE "note-required"). Retire retires the chunk for good and closes all of its entries. */
enum assay_code store_quarantine_release(struct store *s, const struct call *call, struct str id, struct str note,
                                         struct quarantine_row *out, struct store_commit *commit,
                                         struct err *err) MUST_USE;
enum assay_code store_quarantine_retire(struct store *s, const struct call *call, struct str id, struct str note,
                                        struct quarantine_row *out, struct store_commit *commit,
                                        struct err *err) MUST_USE;

/* Records as `stale` every active chunk whose document's deadline is at or before now_us, at most `limit` documents a
 * call (*more says that there is more to do). dry_run only counts. */
enum assay_code store_quarantine_sweep(struct store *s, const struct call *call, int32_t collection, int64_t now_us,
                                       size_t limit, bool dry_run, size_t *documents, size_t *chunks, bool *more,
                                       struct store_commit *commit, struct err *err) MUST_USE;
/* The earliest deadline that is not recorded yet; CLOCK_NEVER when there is none. */
enum assay_code store_next_deadline(struct store *s, const struct call *call, int32_t collection, int64_t *out_us,
                                    struct err *err) MUST_USE;

#endif
