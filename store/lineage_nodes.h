/* Internal to store/: the nodes of a walk, and the data that goes with them. */
#ifndef ASSAY_STORE_LINEAGE_NODES_H
#define ASSAY_STORE_LINEAGE_NODES_H

#include "store/edges.h"
#include "store/lineage.h"

struct walk_node {
    struct edge_end id;
    bool found; /* its data was there */
};

/* Fills collection, data_json and acl of out[i] for nodes[i]; one statement for each kind that occurs. */
enum assay_code lineage_fill(struct tx *tx, struct walk_node *nodes, struct lineage_node *out, size_t n,
                             struct err *err) MUST_USE;

#endif
