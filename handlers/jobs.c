/* Jobs: where a long piece of work stands, once or as a stream of events. */
#include <stdlib.h>
#include <string.h>

#include "handlers/handlers.h"
#include "server/server.h"
#include "server/sse.h"

enum assay_code handle_jobs_get(struct request *req, struct reply *reply, struct err *err)
{
    struct job_row row;
    struct jsonw w;
    TRY(request_no_query(req, err));
    TRY(jobs_get(req->server->jobs, &req->call, req->params[0], &row, err));
    reply_json(reply, 200, &w);
    jobs_write(&w, req->server->catalog, &row);
    return ASSAY_OK;
}

/* One client watching one job. */
struct watch {
    struct server *server;
    char id[UUID_TEXT + 1];
    struct str first; /* malloc'd: the state when the stream was asked for, told when the job is not of this process */
    bool first_is_over;
    int64_t told_us; /* updated_at of what was told last; 0: nothing yet */
    int told_state;
    struct arena *arena; /* scratch of the ticker's thread */
};

static void watch_free(void *ctx)
{
    struct watch *w = ctx;
    arena_free(w->arena);
    free((void *)(uintptr_t)w->first.ptr);
    free(w);
}

static void put_event(struct buf *out, const char *name, int64_t id, struct str json)
{
    buf_printf(out, "event: %s\nid: %lld\ndata: ", name, (long long)id);
    buf_put(out, json.ptr, json.len); /* one line: the writer puts no line feed */
    buf_puts(out, "\n\n");
}

/* Runs on the ticker's thread: memory only. A job of another process is told as it was found; the client comes back for
 * more, as event streams do. */
static void watch_poll(void *ctx, struct buf *out, bool *done)
{
    struct watch *watch = ctx;
    struct job_row row;
    struct buf json = {0};
    struct jsonw w;
    *done = false;
    arena_reset(watch->arena);
    if (!jobs_live(watch->server->jobs, watch->arena, str_of(watch->id), &row)) {
        put_event(out, watch->first_is_over ? "done" : "progress", 0, watch->first);
        *done = true;
        return;
    }
    if (row.updated_at_us == watch->told_us && (int)row.state == watch->told_state)
        return;
    jsonw_init(&w, &json);
    jobs_write(&w, watch->server->catalog, &row);
    *done = job_is_over(&row);
    put_event(out, *done ? "done" : "progress", row.updated_at_us, buf_str(&json));
    buf_free(&json);
    watch->told_us = row.updated_at_us;
    watch->told_state = (int)row.state;
}

enum assay_code handle_jobs_events(struct request *req, struct reply *reply, struct err *err)
{
    struct job_row row;
    struct buf json = {0};
    struct jsonw w;
    TRY(request_no_query(req, err));
    TRY(jobs_get(req->server->jobs, &req->call, req->params[0], &row, err));
    jsonw_init(&w, &json);
    jobs_write(&w, req->server->catalog, &row);
    struct watch *watch = mem_calloc(1, sizeof *watch);
    watch->server = req->server;
    memcpy(watch->id, row.id.ptr, UUID_TEXT);
    watch->first = buf_str(&json); /* keeps the buffer */
    watch->first_is_over = job_is_over(&row);
    watch->told_state = -1;
    watch->arena = arena_new(4096);
    reply->status = 200;
    reply->content_type = "text/event-stream";
    reply->sse = ARENA_NEW(req->call.arena, struct sse_source);
    *reply->sse = (struct sse_source){watch_poll, watch_free, watch};
    return ASSAY_OK;
}
