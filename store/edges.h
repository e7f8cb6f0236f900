/* Internal to store/: writing edges of the lineage graph. */
#ifndef ASSAY_STORE_EDGES_H
#define ASSAY_STORE_EDGES_H

#include "base/node_id.h"
#include "store/tx.h"

struct edge_end {
    int32_t collection; /* 0 for runs and foreign nodes */
    enum node_kind kind;
    struct str key;
};
struct edge_put {
    struct edge_end from, to;
};
/* Edges that are there already stay as they are. */
enum assay_code edges_put(struct tx *tx, const struct edge_put *edges, size_t n, int64_t now_us,
                          struct err *err) MUST_USE;
/* Hex ids and UUIDs are kept in lower case. */
struct str edge_key_lower(struct arena *a, struct str key);

#endif
