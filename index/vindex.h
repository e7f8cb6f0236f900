/*
 * The index: vectors, terms, bitmaps and deadlines of the chunks of a collection, derived from PostgreSQL's change log.
 *
 * One writer per collection applies changes (vindex_apply) and publishes an immutable, reference-counted view; any
 * number of threads search (vindex_search) without ever waiting for it. A search pins the current view with a hazard
 * pointer; what its hits point to stays valid until vindex_result_release.
 *
 * Head and sealed segments: rows are added to a mutable head that is searched exactly; past `head_max` rows a
 * background thread builds a sealed segment (HNSW, FAISS C API) and the next view replaces the head's rows by it.
 * Small segments are merged by tiers, dropping retired slots.
 *
 * Files: `<dir>/<collection id>/` (and `<dir>/<collection id>-<n>/` of later generations): sealed segments and a
 * manifest, each with version, identity and checksum, written to a temporary name, fsynced and renamed. Anything
 * damaged, missing or of another identity is reported in the log and the collection starts from sequence 0: never a
 * wrong answer.
 */
#ifndef ASSAY_INDEX_VINDEX_H
#define ASSAY_INDEX_VINDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/json_read.h"
#include "base/str.h"
#include "index/filter.h"
#include "index/fuse.h"

enum { VINDEX_DIM_MAX = 4096, VINDEX_K_MAX = 1000, VINDEX_QUERY_MAX = 8192 /* bytes of query text */ };

enum chunk_state { CHUNK_PENDING, CHUNK_ACTIVE, CHUNK_QUARANTINED, CHUNK_RETIRED, CHUNK_STATE_COUNT };
const char *chunk_state_name(enum chunk_state s);

enum embedder_kind { EMBEDDER_BUILTIN, EMBEDDER_CLIENT, EMBEDDER_OPENAI, EMBEDDER_STATIC };
struct static_model;

/* ---- process ---- */
struct vindex_config {
    const char *dir;    /* created when missing, mode 0700 */
    int build_threads;  /* OpenMP threads of a segment build, >= 1 */
    size_t head_max;    /* rows searched exactly before a segment is sealed; 0: default */
    int ef_search;      /* beam of HNSW; 0: default */
    size_t write_bytes; /* a built segment of this size goes to its file at once and not at the next checkpoint; 0:
                           default */
};
struct vindex;
enum assay_code vindex_open(const struct vindex_config *cfg, struct vindex **out, struct err *err) MUST_USE;
void vindex_close(struct vindex *v); /* joins the builder; every collection must be closed before */

/* ---- collection ---- */
/* What of a sealed segment's vectors is kept in memory. Searches walk by 8-bit codes and score the best candidates
 * again by the float32 vectors in any case, so hits and scores are the same: with VINDEX_I8, the default, the vectors
 * stay in the file and the candidates' are read from there; with VINDEX_F32 they are mapped. VINDEX_F16 is refused. */
enum vindex_precision { VINDEX_I8, VINDEX_F32, VINDEX_F16 };
enum {
    VINDEX_M_MIN = 4,
    VINDEX_M_MAX = 128,
    VINDEX_EF_CONSTRUCTION_MIN = 10,
    VINDEX_EF_CONSTRUCTION_MAX = 2000,
    VINDEX_EF_SEARCH_MIN = 10,
    VINDEX_EF_SEARCH_MAX = 10000
};
/* How a collection's graphs are built and searched; 0: the default of the index. Segments on disk that were made with
 * other parameters are served as they are; what is built from then on has these. */
struct vindex_params {
    int m;               /* HNSW: links of a row on each level, twice as many on the ground. Default 32 */
    int ef_construction; /* beam while building. Default 100 */
    int ef_search;       /* beam of a search. Default vindex_config's */
    enum vindex_precision precision;
};
/* ASSAY_INVALID, saying what, when a parameter is neither 0 nor within its bounds. */
enum assay_code vindex_params_check(const struct vindex_params *p, struct err *err) MUST_USE;

struct vindex_spec {
    int32_t id;
    int32_t generation;     /* up to 1: files in <dir>/<id>, else in <dir>/<id>-<generation> */
    struct digest identity; /* changes when the collection is another one or its embedder differs */
    enum embedder_kind kind;
    int dim;
    const struct static_model *model; /* of EMBEDDER_STATIC, with `dim` dimensions; outlives the collection */
    struct vindex_params params;
};
struct vindex_collection;
/* Loads what the disk has. ASSAY_INVALID for a dimension or parameters out of range. *applied is the sequence to follow
 * the change log from (0: from the start). */
enum assay_code vindex_collection_open(struct vindex *v, const struct vindex_spec *spec, struct vindex_collection **out,
                                       int64_t *applied, struct err *err) MUST_USE;
/* Waits for searches that still pin a view. Does not write files: see vindex_checkpoint. */
void vindex_collection_close(struct vindex_collection *c);
/* As vindex_collection_close, and removes its files. */
void vindex_collection_remove(struct vindex_collection *c);
/* Removes the files of generations of a collection other than these: leftovers of a process that was killed. */
void vindex_keep_generations(struct vindex *v, int32_t id, const int32_t *generations, size_t n);
/* Forgets everything, on disk too: the change log went back (a restored database). Writer's thread only. */
enum assay_code vindex_collection_reset(struct vindex_collection *c, struct err *err) MUST_USE;

/* ---- writing: one thread at a time per collection ---- */
enum vindex_change_kind {
    VINDEX_ADD,   /* a chunk becomes present in `state`; all fields below */
    VINDEX_STATE, /* chunk, state. Retired is for good: only an ADD brings such a chunk back */
    VINDEX_TOUCH, /* document, acl, modified_at: what may change without a new version */
    VINDEX_SOURCE /* source, source_name, source_active, max_age: precedes every ADD that names the source */
};
struct vindex_change {
    int64_t seq;
    enum vindex_change_kind kind;
    enum chunk_state state;
    int64_t chunk;    /* the store's number, unique in the collection; ADD of a number already present replaces it */
    int64_t document; /* the store's number */
    int32_t source;   /* the store's number */
    struct digest chunk_id, version, pipeline;
    struct str key, uri, title, text, heading, metadata_json, media_type, language, run, group;
    size_t from, to;
    int page;
    double quality;
    const float *embedding; /* dim floats, any finite norm > 0 (normalised here); NULL: the index computes it */
    bool has_acl;           /* false: for everyone. true with an empty list: for nobody */
    struct str_list acl;
    int64_t modified_at_us; /* deadline of the document = modified_at + the source's max_age */
    struct str source_name;
    bool source_active;
    int64_t max_age_us; /* CLOCK_NEVER: does not age */
};
/* Applies a run of changes that ends at a commit boundary and publishes one view: searches see all of it or none.
 * Copies what it keeps. `commit` is the commit the view then stands at. */
enum assay_code vindex_apply(struct vindex_collection *c, const struct vindex_change *changes, size_t n,
                             int64_t upto_seq, const struct digest *commit, struct err *err) MUST_USE;
/* Publishes a view without the slots whose deadline has passed, and takes over finished background builds. Cheap when
 * there is nothing to do. Writer's thread; call it at least every second. *next_deadline_us may be CLOCK_NEVER. */
enum assay_code vindex_tick(struct vindex_collection *c, int64_t now_us, int64_t *next_deadline_us,
                            struct err *err) MUST_USE;
/* Writes what is not on disk yet (head rows, states, manifest). Writer's thread. Put off while the built-in embedder
 * learns or the collection moves to what it learned (seconds): vindex_tick then writes it. */
enum assay_code vindex_checkpoint(struct vindex_collection *c, struct err *err) MUST_USE;
/* Begins to move a collection back to what its built-in embedder was before, until it learns the next time; vindex_tick
 * switches when all is ready. ASSAY_CONFLICT when there is nothing to go back to or a move is under way. Writer's
 * thread. */
enum assay_code vindex_embedder_revert(struct vindex_collection *c, struct err *err) MUST_USE;

/* ---- searching: any thread ---- */
/* What a rank of the vector leg weighs in hybrid fusion, beside 1 of the lexical leg: for `explain`. */
double vindex_vector_weight(enum embedder_kind kind);

/* How candidates become an order. */
struct vindex_ranking {
    enum fuse_method method; /* of mode hybrid, as are k and the weights */
    double k;                /* of FUSE_RRF, >= 1 */
    double vector_weight, lexical_weight;
    double quality_weight; /* 0..1: how far a chunk's quality scales its score */
    int64_t half_life_us;  /* age at which a score has halved; 0: age does not matter */
};
struct vindex_ranking vindex_ranking_default(enum embedder_kind kind);
enum { VINDEX_CONTEXT_MAX = 10, VINDEX_CONTEXT_K_MAX = 100 };

enum vindex_mode { VINDEX_HYBRID, VINDEX_VECTOR, VINDEX_LEXICAL };
struct vindex_query {
    enum vindex_mode mode;
    struct str text;             /* for the lexical leg and the embedder; may be absent with `vector` in mode vector */
    const float *vector;         /* dim finite floats or NULL: a built-in or static embedder makes it of text */
    size_t k;                    /* 1..VINDEX_K_MAX */
    const struct filter *filter; /* NULL: none */
    double min_quality;
    struct str_list principals; /* groups that the caller may see by */
    bool exact;
    bool include_quarantined; /* quarantined and stale chunks and blocked sources too, each hit marked by its state;
                                 never retired or pending, never outside the ACL */
    int64_t now_us;           /* the moment that freshness is judged at */
    bool highlight;           /* fill the hits' highlights */
    const struct vindex_ranking *ranking; /* NULL: the default of the collection's embedder */
    size_t max_per_document;              /* hits of one document at most; 0: no limit */
    size_t context; /* neighbours wanted on either side of a hit, 0..VINDEX_CONTEXT_MAX; with it k is at most
                       VINDEX_CONTEXT_K_MAX */
};
struct vindex_span {
    size_t from, to; /* bytes, to exclusive */
};
/* A chunk of the same version that stands before or after a hit. */
struct vindex_neighbour {
    struct digest chunk;
    struct str heading, text;
    size_t from, to;
    int page;
    enum chunk_state state;
    int64_t fresh_until_us;
};
struct vindex_hit {
    struct digest chunk, version, pipeline;
    struct str document, uri, title, text, heading, source, metadata_json, media_type, language, run;
    size_t from, to;
    int page;
    double score; /* fused, higher is better; in mode vector the cosine, in mode lexical the BM25 score with what
                     closeness and parts of words add */
    double quality;
    enum chunk_state state;
    bool source_active;            /* false: held back with its whole source, whatever its own state */
    int64_t fresh_until_us;        /* CLOCK_NEVER: does not age */
    int vector_rank, lexical_rank; /* 1-based; 0: not found by that leg */
    double vector_score, lexical_score;
    const struct vindex_span *highlights; /* in `text`, ascending, apart: the words that the query asks for */
    size_t n_highlights;
    double base_score; /* before quality and age scaled it by these factors, each in 0..1 */
    double quality_factor, freshness_factor;
    struct vindex_neighbour *before, *after; /* in the order of the text */
    size_t n_before, n_after;
};
struct vindex_result {
    struct vindex_hit *hits; /* in the caller's arena; the strings point into the pinned view */
    size_t n;
    struct digest commit;
    int64_t seq;
    const char *plan;       /* static: how the vector leg was answered, "graph", "exact", "none" */
    double vector_weight;   /* that the vector leg had in the fusion; FUSE_ADAPTIVE finds it for each query */
    size_t eligible;        /* slots that passed every predicate */
    bool learned;           /* the built-in embedder that the vectors are by has learned from the corpus: */
    struct digest embedder; /* its artefact */
    void *pin;
};
/* Hits in order of score, ties by chunk id. Always min(k, matches) hits when `exact` or when fewer than k slots are
 * eligible. ASSAY_INVALID for a vector of zero norm or k out of range. Takes no lock that a writer can hold. */
enum assay_code vindex_search(struct vindex_collection *c, const struct vindex_query *q, struct arena *a,
                              struct vindex_result *out, struct err *err) MUST_USE;
/* Unpins; safe on a zeroed result. After it the hits' strings are invalid. */
void vindex_result_release(struct vindex_collection *c, struct vindex_result *r);

/* Blocks until the published view has reached `seq`, or deadline_us (monotonic). */
bool vindex_wait(struct vindex_collection *c, int64_t seq, int64_t deadline_us) MUST_USE;

struct vindex_stats {
    int64_t seq;
    struct digest commit;
    size_t slots, chunks_by_state[CHUNK_STATE_COUNT], segments, head_rows, terms;
    size_t memory_bytes, disk_bytes;
    size_t mapped_bytes; /* of memory_bytes: mapped from files, which the system can drop and read again */
    int64_t builds, merges, checkpoints;
    uint64_t generation;           /* how often a learned embedder took over; 0: hashed features from the start */
    struct digest embedder;        /* what was learned; zero: hashed features */
    bool learning;                 /* it learns, or the collection moves to another generation */
    double oldest_overdue_seconds; /* by how long the longest-stale active chunk is past its deadline; 0: none */
};
void vindex_stats(struct vindex_collection *c, struct vindex_stats *out);
/* Rows that no graph has yet, which every search of the vector leg scans: how far the builder is behind. Lock-free. */
size_t vindex_unsealed(struct vindex_collection *c);
/* Of the same: what the built-in embedder learned and whether it learns; costs nothing. */
bool vindex_learning(struct vindex_collection *c, struct digest *learned);

#endif
