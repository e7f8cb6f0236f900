/* Collections and pipelines. */
#ifndef ASSAY_STORE_COLLECTIONS_H
#define ASSAY_STORE_COLLECTIONS_H

#include "store/store.h"

struct collection_row {
    int32_t id;
    struct str name;
    struct str description;   /* may be "" */
    struct str embedder_json; /* canonical; {"kind":"builtin","dim":384} */
    struct digest identity;   /* SHA-256 over a random uuid made at creation and embedder_json */
    struct digest pipeline;   /* current pipeline's id */
    struct str pipeline_json;
    struct str policy_json; /* {"weights":{...}} or "{}" */
    struct str index_json;  /* what the index is built with; "{}" for the defaults */
    int32_t generation;     /* of the index, the one that is served */
    bool has_reverted;      /* what was learned and is not to be used: */
    struct digest reverted; /* zero: the hashed features of the beginning */
    int64_t revision;       /* +1 with every change of what is declared: the ETag */
    int64_t created_at_us;
    int64_t head_seq;
    struct digest head_commit; /* all zero before the first write */
};
struct collection_new {
    struct str name, description, embedder_json, policy_json, index_json;
    struct digest embedder; /* its identity */
    struct digest pipeline;
    struct str pipeline_json; /* inserted into pipelines when not there yet */
};
/* ASSAY_CONFLICT "collection-exists" when the name is taken. */
enum assay_code store_collection_create(struct store *s, const struct call *call, const struct collection_new *in,
                                        struct collection_row *out, struct err *err) MUST_USE;
struct collection_patch { /* has_x says whether x is to be set */
    bool has_description, has_policy;
    struct str description, policy_json;
    int64_t if_revision; /* 0: any; otherwise ASSAY_PRECONDITION when it differs */
};
/* `policy_json` replaces the whole policy. "unknown-collection". */
enum assay_code store_collection_patch(struct store *s, const struct call *call, struct str name,
                                       const struct collection_patch *in, struct collection_row *out,
                                       struct err *err) MUST_USE;
/* What the built-in embedder learned and indexes are to go back from. */
enum assay_code store_collection_revert(struct store *s, const struct call *call, int32_t collection,
                                        const struct digest *learned, struct err *err) MUST_USE;
/* ASSAY_NOT_FOUND "unknown-collection". */
enum assay_code store_collection_get(struct store *s, const struct call *call, struct str name,
                                     struct collection_row *out, struct err *err) MUST_USE;
/* Ordered by name, after `after` ("" for the first page). */
enum assay_code store_collection_list(struct store *s, const struct call *call, struct str after, size_t limit,
                                      struct collection_row **out, size_t *n, struct err *err) MUST_USE;

struct pipeline_row {
    struct digest id;
    struct str json;
    int64_t created_at_us;
};
enum assay_code store_pipeline_get(struct store *s, const struct call *call, const struct digest *id,
                                   struct pipeline_row *out, struct err *err) MUST_USE; /* "unknown-pipeline" */
/* Ordered by id, after `after` (NULL for the first page). */
enum assay_code store_pipeline_list(struct store *s, const struct call *call, const struct digest *after, size_t limit,
                                    struct pipeline_row **out, size_t *n, struct err *err) MUST_USE;

#endif
