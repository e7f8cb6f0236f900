/*
 * GET /lineage in Marquez's graph shape, POST /lineage for OpenLineage events, and both again at /api/v1/lineage, where
 * OpenLineage clients and Marquez's users look. A key without the scope steward sees of the graph what it may see of
 * the documents; a node it may not see does not exist for it.
 */
#include <string.h>

#include "handlers/handlers.h"
#include "handlers/openlineage.h"
#include "server/access.h"
#include "server/gunzip.h"
#include "server/server.h"
#include "store/lineage_access.h"

enum { DEPTH_DEFAULT = 20, NODE_ID_MAX = 4096 };

/* ---- GET /lineage ---- */

static const char *const direction_names[] = {"both", "up", "down", NULL}; /* by enum lineage_direction */

struct query {
    struct str node_id;
    int64_t depth;
    int direction;
};
static const struct json_field query_fields[] = {
    {.name = "nodeId",
     .type = JSON_FIELD_STR,
     .offset = offsetof(struct query, node_id),
     .required = true,
     .min = 1,
     .max = NODE_ID_MAX},
    JSON_FIELD(struct query, depth, JSON_FIELD_INT, .min = 0, .max = LINEAGE_DEPTH_MAX),
    JSON_FIELD(struct query, direction, JSON_FIELD_ENUM, .names = direction_names),
    JSON_FIELDS_END,
};

/* The graph with what a reply needs besides: text ids, and which nodes are shown. */
struct view {
    struct lineage_graph graph;
    struct str *ids;
    bool *visible;
    size_t *first_in, *first_out; /* by node, one more than there are: where its edges begin in */
    size_t *in, *out;             /* numbers of edges, by destination and by origin */
};

static enum assay_code unknown_node(struct err *err)
{
    return err_set(err, ASSAY_NOT_FOUND, "unknown-node", "there is no such node in the lineage graph");
}

static enum assay_code judge(struct request *req, struct view *v, struct err *err)
{
    const struct lineage_graph *g = &v->graph;
    if (access_steward(&req->actor)) {
        v->visible = ARENA_ARRAY(req->call.arena, bool, g->n_nodes);
        memset(v->visible, 1, g->n_nodes * sizeof *v->visible);
        return ASSAY_OK;
    }
    struct lineage_reader reader = {req->actor.groups, str_of(req->actor.key_id)};
    TRY(store_lineage_visible(req->server->store, &req->call, &reader, g->nodes, g->n_nodes, &v->visible, err));
    return v->visible[0] ? ASSAY_OK : unknown_node(err);
}

/* Edges sorted by one of their ends (a counting sort); those with a hidden end are left out. */
static void sort_edges(struct arena *a, const struct view *v, bool by_origin, size_t **first, size_t **edges)
{
    const struct lineage_graph *g = &v->graph;
    *first = ARENA_ARRAY(a, size_t, g->n_nodes + 2);
    *edges = ARENA_ARRAY(a, size_t, g->n_edges);
    for (int fill = 0; fill < 2; fill++) {
        for (size_t i = 0; i < g->n_edges; i++) {
            const struct lineage_edge *e = &g->edges[i];
            size_t end = by_origin ? e->origin : e->destination;
            if (!v->visible[e->origin] || !v->visible[e->destination])
                continue;
            if (fill)
                (*edges)[(*first)[end + 1]++] = i;
            else
                (*first)[end + 2]++;
        }
        for (size_t n = 2; !fill && n < g->n_nodes + 2; n++)
            (*first)[n] += (*first)[n - 1];
    }
}

static void write_edges(struct jsonw *w, const struct view *v, const char *key, const size_t *edges, size_t n)
{
    jsonw_key(w, key);
    jsonw_array(w);
    for (size_t i = 0; i < n; i++) {
        const struct lineage_edge *e = &v->graph.edges[edges[i]];
        jsonw_object(w);
        jsonw_kstr(w, "origin", v->ids[e->origin]);
        jsonw_kstr(w, "destination", v->ids[e->destination]);
        jsonw_object_end(w);
    }
    jsonw_array_end(w);
}

static void write_graph(struct reply *reply, const struct view *v)
{
    struct jsonw w;
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    jsonw_key(&w, "graph");
    jsonw_array(&w);
    for (size_t i = 0; i < v->graph.n_nodes; i++) {
        const struct lineage_node *n = &v->graph.nodes[i];
        if (!v->visible[i])
            continue;
        jsonw_object(&w);
        jsonw_kstr(&w, "id", v->ids[i]);
        jsonw_kcstr(&w, "type", node_kind_type(n->kind));
        jsonw_kraw(&w, "data", n->data_json.len ? n->data_json : STR_LIT("{}"));
        write_edges(&w, v, "inEdges", v->in + v->first_in[i], v->first_in[i + 1] - v->first_in[i]);
        write_edges(&w, v, "outEdges", v->out + v->first_out[i], v->first_out[i + 1] - v->first_out[i]);
        jsonw_object_end(&w);
    }
    jsonw_array_end(&w);
    if (v->graph.truncated)
        jsonw_kbool(&w, "truncated", true); /* beyond Marquez's shape, and only then */
    jsonw_object_end(&w);
}

enum assay_code handle_lineage_get(struct request *req, struct reply *reply, struct err *err)
{
    struct query q = {.depth = DEPTH_DEFAULT, .direction = LINEAGE_BOTH};
    struct node_id node;
    struct view v = {0};
    struct arena *a = req->call.arena;
    TRY(request_query(req, query_fields, &q, err));
    if (!node_id_parse(q.node_id, &node))
        return err_add_field(err, "?nodeId",
                             "must be dataset:<namespace>:<name>, job:<namespace>:<name> or run:<uuid>");
    TRY(store_lineage_walk(req->server->store, &req->call, &node, (int)q.depth, (enum lineage_direction)q.direction,
                           &v.graph, err));
    if (v.graph.n_nodes == 0)
        return unknown_node(err);
    TRY(judge(req, &v, err));
    v.ids = ARENA_ARRAY(a, struct str, v.graph.n_nodes);
    struct buf id = {0};
    for (size_t i = 0; i < v.graph.n_nodes; i++) {
        const struct lineage_node *n = &v.graph.nodes[i];
        id.len = 0;
        node_id_format(&id, n->kind, n->collection, n->key);
        v.ids[i] = str_dup(a, buf_str(&id));
    }
    buf_free(&id);
    sort_edges(a, &v, false, &v.first_in, &v.in);
    sort_edges(a, &v, true, &v.first_out, &v.out);
    write_graph(reply, &v);
    return ASSAY_OK;
}

/* ---- POST /lineage ---- */

static enum assay_code take_event(struct request *req, struct err *err)
{
    struct str encoding = str_trim(request_header(req, "Content-Encoding")), body = req->body;
    struct lineage_event event;
    json_t *tree;
    if (str_eqc(encoding, "gzip"))
        TRY(gunzip(req->call.arena, body, (size_t)req->server->config->body_max, &body, err));
    else if (encoding.len && !str_eqc(encoding, "identity"))
        return err_set(err, ASSAY_MEDIA_TYPE, NULL, "Content-Encoding must be gzip or identity");
    TRY(json_parse(req->call.arena, body, &tree, err));
    TRY(openlineage_read(req->call.arena, tree, &event, err));
    return store_lineage_event_put(req->server->store, &req->call, &event, err);
}

enum assay_code handle_lineage_post(struct request *req, struct reply *reply, struct err *err)
{
    struct jsonw w;
    TRY(take_event(req, err));
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    jsonw_object_end(&w);
    return ASSAY_OK;
}

enum assay_code handle_lineage_post_marquez(struct request *req, struct reply *reply, struct err *err)
{
    TRY(take_event(req, err));
    reply->status = 201;
    return ASSAY_OK;
}
