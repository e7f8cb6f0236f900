/* The walk: breadth first, a step at a time, each step one statement over the frontier. */
#include <string.h>

#include "store/lineage_nodes.h"
#include "store/map.h"
#include "store/stmts.h"

enum { EDGES_PER_STEP_MAX = 4 * LINEAGE_NODES_MAX };

struct walk {
    struct tx *tx;
    struct arena *arena;
    struct map at, edge_at; /* node -> index; edge -> index */
    struct walk_node *nodes;
    size_t n_nodes;
    struct lineage_edge *edges;
    size_t n_edges, cap_edges;
    bool truncated;
};

struct frontier {
    size_t *v; /* into nodes */
    size_t n;
};

/* The node's index; it is added when new. SIZE_MAX when the cap on nodes is reached. */
static size_t intern(struct walk *w, struct edge_end id, bool *fresh)
{
    char *text = arena_printf(w->arena, "%d/%d/%.*s", id.collection, (int)id.kind, STR_FMT(id.key));
    const int64_t *at = map_get(&w->at, str_of(text));
    *fresh = !at;
    if (at)
        return (size_t)*at;
    if (w->n_nodes == LINEAGE_NODES_MAX) {
        w->truncated = true;
        return SIZE_MAX;
    }
    w->nodes[w->n_nodes].id = id;
    map_put(&w->at, str_of(text), (int64_t)w->n_nodes);
    return w->n_nodes++;
}

static void add_edge(struct walk *w, size_t origin, size_t destination)
{
    size_t *key = arena_alloc(w->arena, 2 * sizeof *key);
    key[0] = origin;
    key[1] = destination;
    if (!map_put(&w->edge_at, (struct str){(const char *)key, 2 * sizeof *key}, (int64_t)w->n_edges))
        return;
    if (w->n_edges == w->cap_edges) {
        size_t cap = w->cap_edges ? w->cap_edges * 2 : 64;
        struct lineage_edge *grown = ARENA_ARRAY(w->arena, struct lineage_edge, cap);
        if (w->n_edges)
            memcpy(grown, w->edges, w->n_edges * sizeof *grown);
        w->edges = grown;
        w->cap_edges = cap;
    }
    w->edges[w->n_edges++] = (struct lineage_edge){origin, destination};
}

#define FRONTIER                                                                                                       \
    " FROM unnest($1::integer[], $2::smallint[], $3::text[]) WITH ORDINALITY AS f (c, k, key, ord)"                    \
    " CROSS JOIN LATERAL ("
/* The conditions on f.k keep decode and the cast to uuid away from keys that are neither. */
#define KEY_OF(kind) "decode(CASE WHEN f.k = " kind " THEN f.key ELSE '' END, 'hex')"

static const struct store_stmt walk_down = {
    "walk_down",
    "SELECT f.ord - 1, e.c, e.k, e.key" FRONTIER " (SELECT to_collection, to_kind, to_key FROM lineage_edges"
    "   WHERE from_collection = f.c AND from_kind = f.k AND from_key = f.key AND (f.k <> 6 OR $4) LIMIT $5)"
    " UNION ALL (SELECT c.collection_id, 3::smallint, encode(c.chunk, 'hex') FROM chunks c"
    "   WHERE f.k = 2 AND c.collection_id = f.c AND c.version = " KEY_OF(
        "2") " LIMIT $5)"
             " UNION ALL (SELECT r.collection_id, 4::smallint, r.id::text FROM receipts r"
             "   WHERE f.k = 3 AND r.collection_id = f.c AND r.chunks @> ARRAY[" KEY_OF(
                 "3") "] LIMIT $5)"
                      ") AS e (c, k, key) LIMIT $5",
    5};
static const struct store_stmt walk_up = {
    "walk_up",
    "SELECT f.ord - 1, e.c, e.k, e.key" FRONTIER " (SELECT from_collection, from_kind, from_key FROM lineage_edges"
    "   WHERE to_collection = f.c AND to_kind = f.k AND to_key = f.key AND (f.k <> 6 OR from_kind <> 1 OR $4) LIMIT $5)"
    " UNION ALL (SELECT c.collection_id, 2::smallint, encode(c.version, 'hex') FROM chunks c"
    "   WHERE f.k = 3 AND c.collection_id = f.c AND c.chunk = " KEY_OF(
        "3") " LIMIT $5)"
             " UNION ALL (SELECT r.collection_id, 3::smallint, encode(h.chunk, 'hex') FROM receipts r, "
             "unnest(r.chunks) AS h (chunk)"
             "   WHERE f.k = 4 AND r.collection_id = f.c AND r.id = (CASE WHEN f.k = 4 THEN f.key END)::uuid LIMIT $5)"
             ") AS e (c, k, key) LIMIT $5",
    5};

static void wire_frontier(struct buf *args, const struct walk *w, const struct frontier *f)
{
    size_t mark = wire_array(args, PG_INT4, f->n);
    for (size_t i = 0; i < f->n; i++)
        wire_i32(args, w->nodes[f->v[i]].id.collection);
    wire_array_end(args, mark);
    mark = wire_array(args, PG_INT2, f->n);
    for (size_t i = 0; i < f->n; i++)
        wire_i16(args, (int)w->nodes[f->v[i]].id.kind);
    wire_array_end(args, mark);
    mark = wire_array(args, PG_TEXT, f->n);
    for (size_t i = 0; i < f->n; i++)
        wire_str(args, w->nodes[f->v[i]].id.key);
    wire_array_end(args, mark);
}

static struct edge_end read_end(struct row *r)
{
    struct edge_end e;
    e.collection = (int32_t)row_int(r);
    e.kind = (enum node_kind)row_int(r);
    e.key = row_str(r);
    return e;
}

/* One step from the frontier; *f becomes the nodes that were new. */
static enum assay_code step(struct walk *w, bool down, bool first, struct frontier *f, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_frontier(&args, w, f);
    wire_bool(&args, first);
    wire_i64(&args, EDGES_PER_STEP_MAX);
    TRY(tx_exec(w->tx, down ? &walk_down : &walk_up, &args, &rows, err));
    w->truncated |= rows.n == EDGES_PER_STEP_MAX;
    struct frontier next = {.v = ARENA_ARRAY(w->arena, size_t, (size_t)rows.n)};
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, w->arena);
        size_t from = f->v[row_int(&r)];
        bool fresh;
        size_t to = intern(w, read_end(&r), &fresh);
        if (to == SIZE_MAX)
            continue;
        add_edge(w, down ? from : to, down ? to : from);
        if (fresh)
            next.v[next.n++] = to;
    }
    *f = next;
    return ASSAY_OK;
}

static enum assay_code walk_way(struct walk *w, bool down, int depth, struct err *err)
{
    size_t start = 0;
    struct frontier f = {&start, 1};
    for (int i = 0; i < depth && f.n > 0; i++)
        TRY(step(w, down, i == 0, &f, err));
    return ASSAY_OK;
}

static const struct store_stmt walk_close = {
    "walk_close",
    "SELECT e.from_collection, e.from_kind, e.from_key, e.to_collection, e.to_kind, e.to_key"
    "  FROM unnest($1::integer[], $2::smallint[], $3::text[]) AS f (c, k, key) JOIN lineage_edges e"
    "    ON e.from_collection = f.c AND e.from_kind = f.k AND e.from_key = f.key WHERE f.k = 1 AND e.to_kind = 6"
    " UNION ALL"
    " SELECT e.from_collection, e.from_kind, e.from_key, e.to_collection, e.to_kind, e.to_key"
    "  FROM unnest($1::integer[], $2::smallint[], $3::text[]) AS f (c, k, key) JOIN lineage_edges e"
    "    ON e.to_collection = f.c AND e.to_kind = f.k AND e.to_key = f.key WHERE f.k = 2 AND e.from_kind = 6",
    3};

/* Edges document -> run -> version between nodes that are in the graph: runs are not walked through. */
static enum assay_code close_runs(struct walk *w, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    struct frontier all = {.v = ARENA_ARRAY(w->arena, size_t, w->n_nodes)};
    bool runs = false;
    for (size_t i = 0; i < w->n_nodes; i++) {
        runs |= w->nodes[i].id.kind == NODE_RUN;
        if (w->nodes[i].id.kind == NODE_DOCUMENT || w->nodes[i].id.kind == NODE_VERSION)
            all.v[all.n++] = i;
    }
    if (!runs || all.n == 0)
        return ASSAY_OK;
    wire_frontier(&args, w, &all);
    TRY(tx_exec(w->tx, &walk_close, &args, &rows, err));
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, w->arena);
        struct edge_end ends[2];
        const int64_t *at[2];
        for (int k = 0; k < 2; k++) {
            ends[k] = read_end(&r);
            at[k] = map_get(&w->at, str_of(arena_printf(w->arena, "%d/%d/%.*s", ends[k].collection, (int)ends[k].kind,
                                                        STR_FMT(ends[k].key))));
        }
        if (at[0] && at[1])
            add_edge(w, (size_t)*at[0], (size_t)*at[1]);
    }
    return ASSAY_OK;
}

static const struct store_stmt walk_collection = {"walk_collection", "SELECT id FROM collections WHERE name = $1", 1};

static enum assay_code unknown(struct err *err)
{
    return err_set(err, ASSAY_NOT_FOUND, "unknown-node", "There is no such node.");
}

static enum assay_code start_of(struct tx *tx, const struct node_id *node, struct edge_end *out, struct err *err)
{
    *out = (struct edge_end){0, node->kind, node->key};
    switch (node->kind) {
    case NODE_RUN:
        out->key = edge_key_lower(tx_arena(tx), node->key);
        return ASSAY_OK;
    case NODE_DATASET:
    case NODE_JOB:
        return ASSAY_OK;
    case NODE_VERSION:
    case NODE_CHUNK:
    case NODE_RECEIPT:
    case NODE_PIPELINE:
        out->key = edge_key_lower(tx_arena(tx), node->key);
        break;
    case NODE_SOURCE:
    case NODE_DOCUMENT:
    case NODE_KIND_COUNT:
        break;
    }
    struct buf args = {0};
    struct rows rows = {0};
    wire_str(&args, node->collection);
    TRY(tx_exec(tx, &walk_collection, &args, &rows, err));
    if (rows.n == 0)
        return unknown(err);
    struct row r = rows_at(&rows, 0, tx_arena(tx));
    out->collection = (int32_t)row_int(&r);
    return ASSAY_OK;
}

struct walk_work {
    const struct node_id *node;
    int depth;
    enum lineage_direction direction;
    struct lineage_graph *out;
};

static enum assay_code walk_body(struct tx *tx, void *ctx, struct err *err)
{
    struct walk_work *k = ctx;
    struct walk w = {.tx = tx, .arena = tx_arena(tx)};
    struct edge_end start;
    bool fresh;
    TRY(start_of(tx, k->node, &start, err));
    map_init(&w.at, w.arena, 64);
    map_init(&w.edge_at, w.arena, 64);
    w.nodes = ARENA_ARRAY(w.arena, struct walk_node, LINEAGE_NODES_MAX);
    (void)intern(&w, start, &fresh);
    int depth = k->depth < LINEAGE_DEPTH_MAX ? k->depth : LINEAGE_DEPTH_MAX;
    if (k->direction != LINEAGE_DOWN)
        TRY(walk_way(&w, false, depth, err));
    if (k->direction != LINEAGE_UP)
        TRY(walk_way(&w, true, depth, err));
    TRY(close_runs(&w, err));
    *k->out = (struct lineage_graph){.nodes = ARENA_ARRAY(w.arena, struct lineage_node, w.n_nodes),
                                     .n_nodes = w.n_nodes,
                                     .edges = w.edges,
                                     .n_edges = w.n_edges,
                                     .truncated = w.truncated};
    TRY(lineage_fill(tx, w.nodes, k->out->nodes, w.n_nodes, err));
    /* A foreign node is known by its edges alone; a depth of 0 walks none, so it is taken as said. */
    return w.nodes[0].found || w.n_edges > 0 || (depth == 0 && start.collection == 0) ? ASSAY_OK : unknown(err);
}

enum assay_code store_lineage_walk(struct store *s, const struct call *call, const struct node_id *node, int depth,
                                   enum lineage_direction direction, struct lineage_graph *out, struct err *err)
{
    struct walk_work w = {node, depth, direction, out};
    return store_with(s, call, "lineage.walk", walk_body, &w, err);
}

const struct store_stmt *const store_lineage_walk_stmts[] = {&walk_down, &walk_up, &walk_close, &walk_collection, NULL};
