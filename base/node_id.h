/*
 * Node ids of the lineage graph, after Marquez: `dataset:<ns>:<name>`, `job:<ns>:<name>`, `run:<uuid>`, each with an
 * optional `#<version>` tail. Splitting follows Marquez's NodeId.java: at ':' not followed by "//" or digits, the
 * first n-1 parts, the rest is the last part; so `dataset:postgres://h:5432:db.s.t` has namespace
 * `postgres://h:5432` and name `db.s.t`.
 *
 * Assay's own nodes have namespace "assay" and name `<collection>/<kind>/<key>`:
 *   dataset:assay:default/source/pg-manual       dataset:assay:default/document/opt
 *   dataset:assay:default/version/<64 hex>       dataset:assay:default/chunk/<64 hex>
 *   dataset:assay:default/receipt/<uuid>         job:assay:default/pipeline/<64 hex>        run:<uuid>
 */
#ifndef ASSAY_BASE_NODE_ID_H
#define ASSAY_BASE_NODE_ID_H

#include <stdbool.h>

#include "base/str.h"

enum node_kind {
    NODE_SOURCE,
    NODE_DOCUMENT,
    NODE_VERSION,
    NODE_CHUNK,
    NODE_RECEIPT,
    NODE_PIPELINE,
    NODE_RUN,
    NODE_DATASET, /* not ours: key is "<ns>:<name>" */
    NODE_JOB,     /* not ours: key is "<ns>:<name>" */
    NODE_KIND_COUNT
};

struct node_id {
    enum node_kind kind;
    struct str collection; /* absent for runs and foreign nodes */
    struct str key;        /* source name, document key, hex id, uuid, or "<ns>:<name>" */
    struct str ns, name;   /* as Marquez sees it; a run has only a name */
    struct str version;    /* the uuid of a "#<uuid>" tail, else absent; not part of key and name */
};

/* False when malformed: keys of versions, chunks and pipelines are 64 hex digits, those of receipts and runs UUIDs, and
 * a '#' that is not followed by a UUID belongs to the key. Views into `text`. */
bool node_id_parse(struct str text, struct node_id *out);
/* Appends the text form. */
void node_id_format(struct buf *out, enum node_kind kind, struct str collection, struct str key);
const char *node_kind_name(enum node_kind kind); /* "source", "document", ... */
/* "DATASET", "JOB" or "RUN", the `type` of Marquez's graph. */
const char *node_kind_type(enum node_kind kind);

#endif
