/* OpenLineage events in: the event as received, and the edges it says. */
#include "base/clock.h"
#include "store/edges.h"
#include "store/lineage.h"
#include "store/stmts.h"

/* Bound of an edge's key: both ends of an edge and their collections have to fit one index row (2,704 bytes). */
enum { FOREIGN_KEY_MAX = 1200 };

static const struct store_stmt event_insert = {
    "event_insert",
    "INSERT INTO lineage_events (digest, event_type, event_time, producer, schema_url, run_id, job_ns, job_name, event,"
    " received_at, received_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (digest) DO NOTHING",
    11};
static const struct store_stmt event_collection = {"event_collection", "SELECT id FROM collections WHERE name = $1", 1};

static enum assay_code insert_event(struct tx *tx, const struct lineage_event *ev, int64_t now_us, bool *fresh,
                                    struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    struct digest digest;
    digest_sha256(ev->raw_json.ptr, ev->raw_json.len, &digest);
    wire_digest(&args, &digest);
    wire_str(&args, ev->event_type);
    wire_time(&args, ev->event_time_us);
    wire_str(&args, ev->producer);
    wire_str(&args, ev->schema_url);
    wire_str(&args, ev->run_id);
    wire_str(&args, ev->job_ns);
    wire_str(&args, ev->job_name);
    wire_str(&args, ev->raw_json);
    wire_time(&args, now_us);
    wire_cstr(&args, tx_call(tx)->actor);
    TRY(tx_exec(tx, &event_insert, &args, &rows, err));
    *fresh = rows.affected > 0;
    return ASSAY_OK;
}

/* A dataset or job as a node: one of ours when its namespace is "assay" and its collection exists, else foreign. */
static enum assay_code resolve(struct tx *tx, enum node_kind foreign, struct str ns, struct str name,
                               struct edge_end *out, struct err *err)
{
    const char *prefix = foreign == NODE_JOB ? "job" : "dataset";
    if (ns.len + name.len + 1 > FOREIGN_KEY_MAX)
        return err_set(err, ASSAY_UNPROCESSABLE, "name-too-long",
                       "The namespace and name of a %s together have at most %d bytes.", prefix, FOREIGN_KEY_MAX - 1);
    char *text = arena_printf(tx_arena(tx), "%s:%.*s:%.*s", prefix, STR_FMT(ns), STR_FMT(name));
    struct node_id id;
    if (node_id_parse(str_of(text), &id) && id.collection.len) {
        struct buf args = {0};
        struct rows rows = {0};
        wire_str(&args, id.collection);
        TRY(tx_exec(tx, &event_collection, &args, &rows, err));
        if (rows.n) {
            struct row r = rows_at(&rows, 0, tx_arena(tx));
            *out = (struct edge_end){(int32_t)row_int(&r), id.kind, id.key};
            return ASSAY_OK;
        }
    }
    struct str all = str_of(text);
    size_t skip = foreign == NODE_JOB ? sizeof "job:" - 1 : sizeof "dataset:" - 1;
    *out = (struct edge_end){0, foreign, {all.ptr + skip, all.len - skip}};
    return ASSAY_OK;
}

static enum assay_code event_body(struct tx *tx, void *ctx, struct err *err)
{
    const struct lineage_event *ev = ctx;
    int64_t now_us = clock_now_us();
    bool fresh;
    TRY(insert_event(tx, ev, now_us, &fresh, err));
    if (!fresh || ev->job_name.len == 0)
        return ASSAY_OK;
    struct edge_put *edges = ARENA_ARRAY(tx_arena(tx), struct edge_put, ev->n_inputs + ev->n_outputs + 1);
    struct edge_end job;
    size_t n = 0;
    TRY(resolve(tx, NODE_JOB, ev->job_ns, ev->job_name, &job, err));
    for (size_t i = 0; i < ev->n_inputs; i++, n++) {
        edges[n].to = job;
        TRY(resolve(tx, NODE_DATASET, ev->inputs[i].ns, ev->inputs[i].name, &edges[n].from, err));
    }
    for (size_t i = 0; i < ev->n_outputs; i++, n++) {
        edges[n].from = job;
        TRY(resolve(tx, NODE_DATASET, ev->outputs[i].ns, ev->outputs[i].name, &edges[n].to, err));
    }
    if (ev->run_id.len)
        edges[n++] = (struct edge_put){job, {0, NODE_RUN, edge_key_lower(tx_arena(tx), ev->run_id)}};
    return edges_put(tx, edges, n, now_us, err);
}

enum assay_code store_lineage_event_put(struct store *s, const struct call *call, const struct lineage_event *ev,
                                        struct err *err)
{
    struct lineage_event copy = *ev;
    return store_transact(s, call, "lineage.event", event_body, &copy, err);
}

const struct store_stmt *const store_lineage_event_stmts[] = {&event_insert, &event_collection, NULL};
