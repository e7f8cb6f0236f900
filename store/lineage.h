/* Lineage: runs, OpenLineage events, the graph, receipts. */
#ifndef ASSAY_STORE_LINEAGE_H
#define ASSAY_STORE_LINEAGE_H

#include "base/node_id.h"
#include "store/store.h"

/* ---- runs ---- */
enum run_kind { RUN_INGEST, RUN_DELETE, RUN_SWEEP, RUN_KIND_COUNT };
/* Starts a run of a pipeline (or none: NULL) in a collection; `run` is a fresh uuid by uuid_new. */
enum assay_code store_run_start(struct store *s, const struct call *call, int32_t collection, const char *run,
                                enum run_kind kind, const struct digest *pipeline, struct err *err) MUST_USE;
enum assay_code store_run_finish(struct store *s, const struct call *call, int32_t collection, const char *run, bool ok,
                                 struct str stats_json, struct err *err) MUST_USE;

/* ---- the graph ---- */
struct lineage_node {
    enum node_kind kind;
    struct str collection; /* name; "" for foreign nodes and runs */
    struct str key;        /* as in node_id */
    struct str data_json;  /* the `data` member: {"name","namespace","createdAt",...}; never text of documents */
    bool has_acl;          /* of the document behind a document, version or chunk: what may be shown to whom is up to */
    struct str_list acl;   /* the caller */
};
struct lineage_edge {
    size_t origin, destination; /* into nodes */
};
struct lineage_graph {
    struct lineage_node *nodes; /* nodes[0] is the one asked for */
    size_t n_nodes;
    struct lineage_edge *edges;
    size_t n_edges;
    bool truncated; /* the cap on nodes was reached */
};
enum { LINEAGE_DEPTH_MAX = 50, LINEAGE_NODES_MAX = 2000 };
enum lineage_direction { LINEAGE_BOTH, LINEAGE_UP, LINEAGE_DOWN };
/* Walks edges from `node`, `depth` steps in each direction: one indexed statement for each step, so that a node is
 * visited once whatever the number of paths to it, with caps on depth and nodes. A run that is not asked for itself is
 * not walked through to the other documents it took in. Edges: source -> document -> version -> chunk -> receipt;
 * document -> run -> version; pipeline -> run; foreign datasets and jobs as OpenLineage events said. Unknown node:
 * ASSAY_NOT_FOUND "unknown-node". */
enum assay_code store_lineage_walk(struct store *s, const struct call *call, const struct node_id *node, int depth,
                                   enum lineage_direction direction, struct lineage_graph *out,
                                   struct err *err) MUST_USE;

/* ---- OpenLineage in ---- */
struct lineage_dataset_ref {
    struct str ns, name;
};
struct lineage_event {
    struct str raw_json;   /* canonical, kept as received */
    struct str event_type; /* "" when absent */
    int64_t event_time_us;
    struct str producer, schema_url; /* schema_url "" for old events: marked */
    struct str run_id;               /* "" for job and dataset events */
    struct str job_ns, job_name;
    const struct lineage_dataset_ref *inputs, *outputs;
    size_t n_inputs, n_outputs;
};
/* Stores the event and its edges (dataset -> job -> dataset, job -> run); the same event again changes nothing. */
enum assay_code store_lineage_event_put(struct store *s, const struct call *call, const struct lineage_event *ev,
                                        struct err *err) MUST_USE;

/* ---- receipts ---- */
struct receipt_hit {
    struct digest chunk;
    double score;
};
enum { RECEIPT_HITS_MAX = 100 };
struct receipt_put {
    char id[UUID_TEXT + 1];
    int32_t collection;
    int64_t at_us;
    struct digest query_hash; /* SHA-256 of the query text; the text itself is not kept */
    struct digest commit, policy, embedder;
    int64_t seq;
    char key_id[UUID_TEXT + 1];
    int mode, k;
    bool exact, degraded;
    int64_t took_us;
    const struct receipt_hit *hits;
    size_t n_hits;
};
/* COPY of a batch. */
enum assay_code store_receipts_put(struct store *s, const struct call *call, const struct receipt_put *receipts,
                                   size_t n, struct err *err) MUST_USE;
struct receipt_trace_hit {
    struct digest chunk, version, pipeline;
    double score;
    struct str document, uri, title, source, source_owner, source_licence, run, media_type;
    size_t from, to;
    int64_t modified_at_us, ingested_at_us;
    struct digest bytes_hash;
    const char *state_now; /* of the chunk, today */
    bool has_acl;          /* of the document, today */
    struct str_list acl;
};
struct receipt_row {
    struct receipt_put r; /* hits is NULL: see trace */
    struct str collection;
    struct receipt_trace_hit *trace;
    size_t n_trace;
};
enum assay_code store_receipt_get(struct store *s, const struct call *call, struct str id, struct receipt_row *out,
                                  struct err *err) MUST_USE; /* NOT_FOUND "unknown-receipt" */

#endif
