#include "base/clock.h"
#include "store/edges.h"
#include "store/lineage.h"
#include "store/stmts.h"

static const struct store_stmt run_insert = {
    "run_insert",
    "INSERT INTO runs (collection_id, id, kind, pipeline, actor, started_at) VALUES ($1, $2, $3, $4, $5, $6)", 6};

struct start_work {
    int32_t collection;
    const char *run;
    enum run_kind kind;
    const struct digest *pipeline;
};

static enum assay_code start_body(struct tx *tx, void *ctx, struct err *err)
{
    const struct start_work *w = ctx;
    struct buf args = {0};
    int64_t now_us = clock_now_us();
    wire_i32(&args, w->collection);
    wire_uuid(&args, str_of(w->run));
    wire_i16(&args, (int)w->kind);
    w->pipeline ? wire_digest(&args, w->pipeline) : wire_null(&args);
    wire_cstr(&args, tx_call(tx)->actor);
    wire_time(&args, now_us);
    TRY(tx_exec(tx, &run_insert, &args, NULL, err));
    if (!w->pipeline)
        return ASSAY_OK;
    char hex[DIGEST_HEX + 1];
    digest_hex(w->pipeline, hex);
    struct edge_put edge = {{w->collection, NODE_PIPELINE, str_of(hex)}, {0, NODE_RUN, str_of(w->run)}};
    return edges_put(tx, &edge, 1, now_us, err);
}

enum assay_code store_run_start(struct store *s, const struct call *call, int32_t collection, const char *run,
                                enum run_kind kind, const struct digest *pipeline, struct err *err)
{
    struct start_work w = {collection, run, kind, pipeline};
    return store_transact(s, call, "run.start", start_body, &w, err);
}

static const struct store_stmt run_finish = {
    "run_finish", "UPDATE runs SET finished_at = $3, ok = $4, stats = $5 WHERE collection_id = $1 AND id = $2", 5};

enum assay_code store_run_finish(struct store *s, const struct call *call, int32_t collection, const char *run, bool ok,
                                 struct str stats_json, struct err *err)
{
    struct buf args = {0};
    wire_i32(&args, collection);
    wire_uuid(&args, str_of(run));
    wire_time(&args, clock_now_us());
    wire_bool(&args, ok);
    wire_str(&args, stats_json.len ? stats_json : STR_LIT("{}"));
    return store_query(s, call, &run_finish, &args, NULL, err);
}

const struct store_stmt *const store_runs_stmts[] = {&run_insert, &run_finish, NULL};
