/*
 * The collections of the service in memory, each with the open generations of its index. What a collection is at a
 * moment (embedder, policy, the index that searches see) is one immutable struct collection; a change of policy or of
 * the generation served publishes another one in its place. These small structs live until shutdown, so a pointer to
 * one stays valid; the table is append-only behind an atomic count, and a search reads it without a lock.
 *
 * An index does end: when its generation is cancelled or dropped. So whoever uses one holds it (collection_hold): a
 * generation is taken out by the follower once it is marked as closing and nobody holds it. Holding counts first and
 * looks at the mark then; the follower marks first and looks at the count then.
 */
#ifndef ASSAY_SERVER_CATALOG_H
#define ASSAY_SERVER_CATALOG_H

#include <stdatomic.h>

#include "base/call.h"
#include "index/static_models.h"
#include "index/vindex.h"
#include "ingest/pipeline.h"
#include "server/policy.h"
#include "store/collections.h"
#include "store/generations.h"

enum { CATALOG_MAX = 1024, CATALOG_GENERATIONS = 8 /* of a collection, open at once */ };

struct embedder_spec {
    enum embedder_kind kind;
    int dim;
    /* kind openai: */
    struct str base_url, model, key_name, query_prefix, document_prefix;
    int batch_size, timeout_ms, retries;
    /* kind static: `model` as well; */
    bool has_digest;
    struct digest digest;                    /* of the model's files, when it was given or has been resolved */
    const struct static_model *static_model; /* NULL before embedder_spec_resolve */
};
/* An open generation of a collection's index. */
struct index_generation {
    int32_t number;
    struct str embedder_json, index_json;
    struct digest embedder; /* SHA-256 of embedder_json; for builtin and static of what computes it as well */
    struct embedder_spec spec;
    struct vindex_collection *index; /* has its own locking */
    int64_t applied_at_open;         /* sequence that the index files stood at when they were loaded */
    atomic_int state;                /* enum generation_state, as last read from the store */
    atomic_bool manual;
    atomic_int holders;
    atomic_bool closing;
    struct index_generation *next_closed; /* of the catalog's list */
    /* Number of the log after which the index cannot go on for want of vectors, as the follower found; -1: it can. */
    _Atomic(int64_t) starved_after;
    /* The follower's alone: */
    struct {
        int64_t applied;     /* last number that the index has */
        int64_t deadline_us; /* the index' next one */
        int64_t reported;    /* progress last written to the store */
        int64_t report_due_us;
        bool known;
    } track;
};
struct collection_place;
struct collection { /* immutable after publication */
    int32_t id;
    struct str name, description, embedder_json, policy_json;
    struct digest embedder; /* the generation's */
    struct digest policy;   /* SHA-256 of policy_json */
    struct embedder_spec spec;
    struct pipeline pipeline;
    struct policy rules; /* what policy_json says */
    int64_t created_at_us;
    int64_t revision;
    bool has_reverted; /* what was learned and is not to be used: */
    struct digest reverted;
    struct index_generation *generation;
    struct vindex_collection *index; /* the generation's: only for who holds it */
    struct collection_place *place;
};

struct catalog;
/* models_dir: where the models of static embedders are; "" for none. */
struct catalog *catalog_new(struct store *store, struct vindex *v, const char *models_dir);
void catalog_free(struct catalog *c); /* closes the indexes */
/* Loads collections not yet known (at start, and when another server made one) and makes `default` when it is missing.
 * A collection that cannot be opened is logged and left out. Blocks; one thread at a time, others wait. */
enum assay_code catalog_refresh(struct catalog *c, const struct call *call, struct err *err) MUST_USE;
/* Reads one collection anew: policy and generations as they are in the store. Generations that came are opened, those
 * that went are marked as closing; which one is served here stays the follower's decision. Blocks. */
enum assay_code catalog_sync(struct catalog *c, const struct call *call, struct str name, struct err *err) MUST_USE;
/* Lock-free, all of them; what they give is the collection as it is now. NULL when unknown. "" means `default`. */
struct collection *catalog_find(struct catalog *c, struct str name);
struct collection *catalog_at(struct catalog *c, size_t i);      /* NULL past the end */
struct collection *catalog_by_id(struct catalog *c, int32_t id); /* NULL when unknown */
/* As catalog_find, with the problem: ASSAY_NOT_FOUND "unknown-collection" for paths and queries, ASSAY_UNPROCESSABLE
 * when the name came in a body (in_body). */
enum assay_code catalog_get(struct catalog *c, struct str name, bool in_body, struct collection **out,
                            struct err *err) MUST_USE;

/* The collection as it is now, its index held until collection_release. Lock-free. */
struct collection *collection_hold(struct collection *c);
/* The same with another of its generations in place of the one served; NULL when that one is not open here. */
struct collection *collection_hold_generation(struct collection *c, int32_t number);
void collection_release(struct collection *held);
/* As it is for what is written: under the embedder that is active in the store, served here already or not. */
struct collection *collection_for_writing(struct collection *c);
/* Blocks until the index that searches see has reached `seq`, or deadline_us (monotonic). */
bool collection_wait(struct collection *c, int64_t seq, int64_t deadline_us) MUST_USE;
void collection_stats(struct collection *c, struct vindex_stats *out);

/* ---- the follower's ---- */
/* The collection of place i with its j-th open generation; NULL for an empty one. j < CATALOG_GENERATIONS. */
struct collection *catalog_generation(struct catalog *c, size_t i, size_t j);
/* Makes it what searches see. */
void catalog_serve(struct catalog *c, size_t i, size_t j);
/* Takes generations that are over and that nobody holds out of their place, for catalog_bury. True when it did. */
bool catalog_reap(struct catalog *c, size_t i);
/* Closes them and removes their files. Any one thread but the follower: it may have to wait for a graph to be built. */
void catalog_bury(struct catalog *c);

/* Identity of an embedder: the declaration (of a static one it holds the model's digest), and what computes it here. */
void embedder_spec_id(const struct embedder_spec *spec, struct str canonical, struct digest *out);

/* Reads {"kind":"builtin"|"client"|"openai"|"static",...}; gives the canonical JSON with defaults filled in. */
enum assay_code embedder_spec_parse(struct arena *a, const json_t *json, const char *pointer, struct embedder_spec *out,
                                    struct str *canonical, struct err *err) MUST_USE;
/* For kind static: opens the model, fills in dimension and digest, which must be as they were declared if they were,
 * and gives the canonical JSON that holds both. Nothing for other kinds. Reads files. ASSAY_UNPROCESSABLE
 * "unknown-model" or "model-unusable", "model-changed" when the files are others than those declared. */
enum assay_code embedder_spec_resolve(struct arena *a, struct static_models *models, const char *pointer,
                                      struct embedder_spec *spec, struct str *canonical, struct err *err) MUST_USE;
/* The same with the catalog's models. */
enum assay_code catalog_resolve_embedder(struct catalog *c, struct arena *a, const char *pointer,
                                         struct embedder_spec *spec, struct str *canonical, struct err *err) MUST_USE;

#endif
