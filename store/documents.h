/* Documents, versions, chunks: what ingest writes and what people read back. */
#ifndef ASSAY_STORE_DOCUMENTS_H
#define ASSAY_STORE_DOCUMENTS_H

#include "index/vindex.h" /* enum chunk_state only */
#include "store/store.h"

/* ---- before the work: what is known already ---- */
struct document_probe {
    struct str key;                         /* in */
    bool exists, deleted;                   /* out */
    struct digest version;                  /* out: current version, when exists and not deleted */
    struct digest bytes_hash, request_hash; /* out: see document_put */
};
/* One statement for all keys. */
enum assay_code store_documents_probe(struct store *s, const struct call *call, int32_t collection,
                                      struct document_probe *probes, size_t n, struct err *err) MUST_USE;
/* Embeddings that the store already holds for these texts under this embedder (SHA-256 of the text that is embedded).
 * found[i] is NULL or points to dim floats in the call's arena. */
enum assay_code store_embeddings_find(struct store *s, const struct call *call, int32_t collection,
                                      const struct digest *embedder, int dim, const struct digest *embed_hashes,
                                      size_t n, const float **found, struct err *err) MUST_USE;

/* ---- the one write ---- */
struct check_put {
    struct str check; /* "not_empty", ... */
    int outcome;      /* 0 pass, 1 warn, 2 fail */
    struct str expected, actual;
    size_t from, to;
};
struct chunk_put {
    struct digest id, text_hash, embed_hash;
    size_t from, to;
    int page;
    struct str text, heading;
    size_t tokens;
    const float *embedding; /* NULL: the index computes it (built-in embedder) */
    double quality;
    bool failed; /* a check failed: the chunk is stored quarantined, reason failed_check */
    const struct check_put *checks;
    size_t n_checks;
};
struct document_put {
    struct str key, uri, title, canonical, media_type, language, metadata_json, group;
    struct digest version, bytes_hash;
    struct digest request_hash; /* over everything the client sent that decides the result, so that a repeat is seen
                                   before extraction */
    size_t bytes;               /* as received */
    struct str source;          /* name */
    bool has_modified_at;
    int64_t modified_at_us; /* absent: the moment of ingest */
    bool has_acl;
    struct str_list acl;
    struct chunk_put *chunks;
    size_t n_chunks;
    bool touch_only; /* nothing was extracted, since the client sent again what made `version`: canonical, chunks
                      * and hashes are not given. A touch while `version` is still current; otherwise
                      * PUT_REJECTED with ASSAY_CONFLICT "version-moved", and the caller extracts after all */
};
enum put_outcome { PUT_CREATED, PUT_UPDATED, PUT_TOUCHED, PUT_UNCHANGED, PUT_REJECTED };
struct put_result {
    enum put_outcome outcome;
    size_t active, quarantined, pending; /* states of the document's chunks after the write */
    enum assay_code code;                /* with PUT_REJECTED: e.g. ASSAY_UNPROCESSABLE "unknown-source" */
    const char *slug;
    char detail[160];
};
/* What a put wrote, as store_changes_read would give it: for an index on this server. */
struct documents_written {
    struct vindex_change *changes; /* in order; points into the call's arena and to what the documents point to */
    size_t n;                      /* 0: not all of it is at hand, and the log has to be read */
    int64_t from, upto;            /* their numbers: (from, upto] */
    struct digest commit;          /* that they end at */
    struct digest embedder;        /* that the vectors are by */
};
struct documents_put {
    int32_t collection;
    struct digest pipeline, embedder;
    int dim;
    const char *run;       /* uuid text; the run must exist (store_run_start); NULL when every document is touch_only */
    bool check_duplicates; /* the pipeline's duplicate check */
    struct document_put *docs;
    size_t n;
    struct documents_written *written; /* out; NULL: not wanted */
};
/* One transaction for the batch; each document stands alone within it (results[i]). Same version as current: only acl,
 * modified_at or source are brought up to date (TOUCHED) or nothing (UNCHANGED: no row written). Otherwise the new
 * version's chunks come and the old version's retire, under one commit. A chunk whose text equals an active chunk's is
 * quarantined as `duplicate` (evidence: the other chunk's id); when a retired chunk was the original of held
 * duplicates, one of them is released. A chunk that a steward retired or holds stays so when the same version comes
 * back. Chunks of a document whose deadline has passed are quarantined as `stale`. commit is zero when nothing was
 * written. The same key twice in a batch: later wins, in order. */
enum assay_code store_documents_put(struct store *s, const struct call *call, const struct documents_put *in,
                                    struct put_result *results, struct store_commit *commit, struct err *err) MUST_USE;

/* Retires the document's chunks and marks it deleted; versions, chunks and lineage stay. ASSAY_NOT_FOUND when unknown
 * or already deleted, or when `principals` may not see it (has_principals). *chunks: how many left search. */
enum assay_code store_document_delete(struct store *s, const struct call *call, int32_t collection, struct str key,
                                      size_t *chunks, struct store_commit *commit, struct err *err) MUST_USE;

/* ---- reading back ---- */
struct document_row {
    int64_t id;
    struct str key, uri, title, media_type, language, metadata_json, group, source;
    struct digest version;
    bool deleted, source_active;
    bool has_acl;
    struct str_list acl;
    int64_t modified_at_us, ingested_at_us, fresh_until_us; /* CLOCK_NEVER: does not age */
    size_t states[CHUNK_STATE_COUNT];
    size_t bytes, n_versions;
    struct str run;
    struct digest pipeline;
};
enum assay_code store_document_get(struct store *s, const struct call *call, int32_t collection, struct str key,
                                   struct document_row *out,
                                   struct err *err) MUST_USE; /* NOT_FOUND "unknown-document" */
/* Ordered by key. source "" means any. Deleted ones are left out. */
enum assay_code store_document_list(struct store *s, const struct call *call, int32_t collection, struct str source,
                                    struct str after, size_t limit, struct document_row **out, size_t *n,
                                    struct err *err) MUST_USE;

struct version_row {
    struct digest version, bytes_hash, pipeline;
    struct str title, media_type, language, run, metadata_json;
    int64_t ingested_at_us, retired_at_us; /* CLOCK_NEVER: current */
    size_t bytes, chunks;
    struct str canonical; /* only store_version_get fills it */
};
/* Newest first, keyset on ingested_at (before_us; CLOCK_NEVER for the first page). */
enum assay_code store_version_list(struct store *s, const struct call *call, int32_t collection, int64_t document,
                                   int64_t before_us, size_t limit, struct version_row **out, size_t *n,
                                   struct err *err) MUST_USE;
enum assay_code store_version_get(struct store *s, const struct call *call, int32_t collection, int64_t document,
                                  const struct digest *version, struct version_row *out, struct err *err) MUST_USE;

struct chunk_row {
    int64_t id;
    struct digest chunk, version, pipeline;
    int64_t document;
    struct str document_key, text, heading, source, run;
    size_t from, to, tokens;
    int page;
    enum chunk_state state;
    double quality;
    int64_t fresh_until_us;
    struct check_put *checks;
    size_t n_checks;
    bool has_acl;
    struct str_list acl;
};
enum assay_code store_chunk_get(struct store *s, const struct call *call, int32_t collection,
                                const struct digest *chunk, struct chunk_row *out,
                                struct err *err) MUST_USE; /* "unknown-chunk" */

#endif
