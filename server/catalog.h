/*
 * The collections of the service in memory, each with its open index. A collection, once published, is never freed
 * before shutdown (there is no way to delete one), so a pointer to it stays valid; the table is append-only behind an
 * atomic count, and a search reads it without a lock.
 */
#ifndef ASSAY_SERVER_CATALOG_H
#define ASSAY_SERVER_CATALOG_H

#include "base/call.h"
#include "index/vindex.h"
#include "ingest/pipeline.h"
#include "server/policy.h"
#include "store/collections.h"

enum { CATALOG_MAX = 1024 };

struct embedder_spec {
    enum embedder_kind kind;
    int dim;
    /* kind openai: */
    struct str base_url, model, key_name, query_prefix, document_prefix;
    int batch_size, timeout_ms, retries;
};
struct collection { /* immutable after publication, but for what is marked */
    int32_t id;
    struct str name, description, embedder_json, policy_json;
    struct digest identity;
    struct digest embedder; /* SHA-256 of embedder_json; for builtin embed_builtin_id */
    struct digest policy;   /* SHA-256 of policy_json */
    struct embedder_spec spec;
    struct pipeline pipeline;
    struct policy rules; /* what policy_json says */
    int64_t created_at_us;
    int64_t applied_at_open;         /* sequence that the index files stood at when they were loaded */
    struct vindex_collection *index; /* has its own locking */
};

struct catalog;
struct catalog *catalog_new(struct store *store, struct vindex *v);
void catalog_free(struct catalog *c); /* closes the indexes */
/* Loads collections not yet known (at start, and when another server made one) and makes `default` when it is missing.
 * A collection that cannot be opened is logged and left out. Blocks; one thread at a time, others wait. */
enum assay_code catalog_refresh(struct catalog *c, const struct call *call, struct err *err) MUST_USE;
/* Lock-free. NULL when unknown. "" means `default`. */
struct collection *catalog_find(struct catalog *c, struct str name);
struct collection *catalog_at(struct catalog *c, size_t i);      /* NULL past the end */
struct collection *catalog_by_id(struct catalog *c, int32_t id); /* NULL when unknown */
/* As catalog_find, with the problem: ASSAY_NOT_FOUND "unknown-collection" for paths and queries, ASSAY_UNPROCESSABLE
 * when the name came in a body (in_body). */
enum assay_code catalog_get(struct catalog *c, struct str name, bool in_body, struct collection **out,
                            struct err *err) MUST_USE;

/* Reads {"kind":"builtin"|"client"|"openai",...}; gives the canonical JSON with defaults filled in. */
enum assay_code embedder_spec_parse(struct arena *a, const json_t *json, const char *pointer, struct embedder_spec *out,
                                    struct str *canonical, struct err *err) MUST_USE;

#endif
