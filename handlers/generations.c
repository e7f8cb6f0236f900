/*
 * Generations of a collection's index: made beside the one that is served, watched, paused, put in its place, and taken
 * back. Whoever asks for a change of what is served gets the answer when this server's searches see it, or after a
 * while without that ("served": false).
 */
#include "store/generations.h"

#include <time.h>

#include "base/clock.h"
#include "handlers/handlers.h"
#include "handlers/page.h"
#include "server/index_spec.h"
#include "server/server.h"

enum { SERVED_WAIT_S = 5, SERVED_LOOK_NS = 2000000 };

static const char *const cutover_names[] = {"auto", "manual", NULL};

/* ---- writing ---- */

/* How far this server's index of it has come; 0 when it has none. */
static int64_t seq_here(struct collection *c, int32_t number)
{
    struct vindex_stats st;
    struct collection *held = collection_hold_generation(c, number);
    if (!held)
        return 0;
    vindex_stats(held->index, &st);
    collection_release(held);
    return st.seq;
}

static void write_progress(struct jsonw *w, struct collection *c, const struct generation_row *r, int64_t head)
{
    int64_t here = seq_here(c, r->number);
    int64_t done = r->done_seq > here ? r->done_seq : here;
    jsonw_key(w, "progress");
    jsonw_object(w);
    jsonw_kint(w, "done", done < head ? done : head);
    jsonw_kint(w, "total", head);
    jsonw_object_end(w);
}

static void write_generation(struct jsonw *w, struct collection *c, const struct generation_row *r, int64_t head)
{
    struct collection *now = collection_hold(c);
    bool served = now->generation->number == r->number;
    collection_release(now);
    jsonw_object(w);
    jsonw_kstr(w, "collection", c->name);
    jsonw_kint(w, "number", r->number);
    jsonw_kcstr(w, "state", generation_state_names[r->state]);
    jsonw_kbool(w, "served", served);
    jsonw_kraw(w, "embedder", r->embedder_json);
    jsonw_kdigest(w, "embedder_id", &r->embedder);
    jsonw_kraw(w, "index", r->index_json);
    jsonw_kcstr(w, "cutover", cutover_names[r->manual]);
    write_progress(w, c, r, head);
    jsonw_kstr(w, "error", r->error.len ? r->error : (struct str){0});
    jsonw_kstr(w, "created_by", r->created_by);
    jsonw_ktime(w, "created_at", r->created_at_us);
    jsonw_ktime(w, "ready_at", r->ready_at_us);
    jsonw_ktime(w, "served_at", r->served_at_us);
    jsonw_ktime(w, "ended_at", r->ended_at_us);
    jsonw_object_end(w);
}

static enum assay_code head_of(struct request *req, const struct collection *c, int64_t *head, struct err *err)
{
    struct collection_row row = {0};
    TRY(store_collection_get(req->server->store, &req->call, c->name, &row, err));
    *head = row.head_seq;
    return ASSAY_OK;
}

static enum assay_code reply_generation(struct request *req, struct reply *reply, int status, struct collection *c,
                                        const struct generation_row *row, struct err *err)
{
    struct jsonw w;
    int64_t head = 0;
    TRY(head_of(req, c, &head, err));
    reply_json(reply, status, &w);
    write_generation(&w, c, row, head);
    return ASSAY_OK;
}

/* This server knows at once what it has just changed; the others see it with their next poll. */
static enum assay_code take_change(struct request *req, const struct collection *c, struct err *err)
{
    enum assay_code code = catalog_sync(req->server->catalog, &req->call, c->name, err);
    follower_notify(req->server->follower);
    return code;
}

/* ---- POST /collections/{name}/generations, POST /index/rebuild ---- */

struct create_body {
    struct str collection;
    json_t *embedder, *index;
    int cutover;
};
static const struct json_field create_fields[] = {
    JSON_FIELD(struct create_body, embedder, JSON_FIELD_OBJECT, .nullable = true),
    JSON_FIELD(struct create_body, index, JSON_FIELD_OBJECT, .nullable = true),
    JSON_FIELD(struct create_body, cutover, JSON_FIELD_ENUM, .names = cutover_names),
    JSON_FIELDS_END,
};
static const struct json_field rebuild_fields[] = {
    JSON_FIELD(struct create_body, collection, JSON_FIELD_STR, .max = 128),
    JSON_FIELD(struct create_body, index, JSON_FIELD_OBJECT, .nullable = true),
    JSON_FIELD(struct create_body, cutover, JSON_FIELD_ENUM, .names = cutover_names),
    JSON_FIELDS_END,
};

/* What is not named is as it is in the generation that is active now. */
static enum assay_code read_declarations(struct request *req, const struct collection *active,
                                         const struct create_body *in, struct generation_new *out, struct err *err)
{
    struct arena *a = req->call.arena;
    struct embedder_spec spec;
    struct vindex_params index;
    out->manual = in->cutover != 0;
    out->embedder_json = active->embedder_json;
    out->embedder = active->embedder;
    out->index_json = active->generation->index_json;
    if (in->index)
        TRY(index_spec_parse(a, in->index, "/index", &index, &out->index_json, err));
    if (!in->embedder)
        return ASSAY_OK;
    TRY(embedder_spec_parse(a, in->embedder, "/embedder", &spec, &out->embedder_json, err));
    TRY(catalog_resolve_embedder(req->server->catalog, a, "/embedder", &spec, &out->embedder_json, err));
    embedder_spec_id(&spec, out->embedder_json, &out->embedder);
    if (spec.kind != EMBEDDER_CLIENT || digest_eq(&out->embedder, &active->embedder))
        return ASSAY_OK;
    (void)err_set(err, ASSAY_UNPROCESSABLE, "vectors-from-clients",
                  "only clients can give the vectors of the documents that are there: make a collection with this "
                  "embedder and send them to it");
    return err_add_field(err, "/embedder/kind", "cannot be moved to");
}

static enum assay_code create(struct request *req, struct reply *reply, struct collection *c,
                              const struct create_body *in, struct err *err)
{
    struct generation_new row = {0};
    struct generation_row made;
    TRY(read_declarations(req, collection_for_writing(c), in, &row, err));
    TRY(store_generation_create(req->server->store, &req->call, c->id, &row, &made, err));
    TRY(take_change(req, c, err));
    TRY(reply_generation(req, reply, 202, c, &made, err));
    reply_header(reply, "Location", "/collections/%.*s/generations/%d", STR_FMT(c->name), (int)made.number);
    return ASSAY_OK;
}

enum assay_code handle_generations_create(struct request *req, struct reply *reply, struct err *err)
{
    struct create_body in = {0};
    struct collection *c;
    TRY(request_no_query(req, err));
    TRY(request_json(req, create_fields, &in, err));
    TRY(catalog_get(req->server->catalog, req->params[0], false, &c, err));
    return create(req, reply, c, &in, err);
}

enum assay_code handle_index_rebuild(struct request *req, struct reply *reply, struct err *err)
{
    struct create_body in = {0};
    struct collection *c;
    TRY(request_no_query(req, err));
    TRY(request_json(req, rebuild_fields, &in, err));
    TRY(catalog_get(req->server->catalog, in.collection, true, &c, err));
    return create(req, reply, c, &in, err);
}

/* ---- GET ---- */

enum assay_code handle_generations_list(struct request *req, struct reply *reply, struct err *err)
{
    struct page_query q = {.limit = PAGE_DEFAULT};
    struct collection *c;
    struct str text = STR_LIT("");
    struct generation_row *rows;
    size_t n;
    struct jsonw w;
    int64_t before = 0, head = 0;
    TRY(request_query(req, page_fields, &q, err));
    TRY(catalog_get(req->server->catalog, req->params[0], false, &c, err));
    TRY(request_cursor(req, q.cursor, &text, err));
    if (text.len > 0 && (!str_to_i64(text, &before) || before < 1 || before > INT32_MAX))
        return err_add_field(err, "?cursor", "is not one that this list gave");
    TRY(store_generation_list(req->server->store, &req->call, c->id, (int32_t)before, false, (size_t)q.limit + 1, &rows,
                              &n, err));
    TRY(head_of(req, c, &head, err));
    bool more = page_cut(&n, q.limit);
    reply_list(reply, &w);
    for (size_t i = 0; i < n; i++)
        write_generation(&w, c, &rows[i], head);
    const char *last = more ? arena_printf(req->call.arena, "%d", (int)rows[n - 1].number) : NULL;
    reply_list_end(&w, last ? request_cursor_make(req, str_of(last)) : NULL);
    return ASSAY_OK;
}

/* The collection and the number of a path /collections/{name}/generations/{number}. */
static enum assay_code path_generation(struct request *req, struct collection **c, int32_t *number, struct err *err)
{
    int64_t n;
    TRY(request_no_query(req, err));
    TRY(catalog_get(req->server->catalog, req->params[0], false, c, err));
    if (!str_to_i64(req->params[1], &n) || n < 1 || n > INT32_MAX)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-generation", "There is no such generation of the collection.");
    *number = (int32_t)n;
    return ASSAY_OK;
}

enum assay_code handle_generations_get(struct request *req, struct reply *reply, struct err *err)
{
    struct collection *c;
    struct generation_row row;
    int32_t number = 0;
    TRY(path_generation(req, &c, &number, err));
    TRY(store_generation_get(req->server->store, &req->call, c->id, number, &row, err));
    return reply_generation(req, reply, 200, c, &row, err);
}

/* ---- moves ---- */

/* Waits until this server's searches see the generation that is active now. */
static void wait_served(struct request *req, struct collection *c)
{
    int64_t until = clock_mono_us() + SERVED_WAIT_S * CLOCK_SECOND;
    const struct timespec nap = {.tv_nsec = SERVED_LOOK_NS};
    until = until < req->call.deadline_us ? until : req->call.deadline_us;
    while (clock_mono_us() < until) {
        struct collection *now = collection_hold(c);
        bool there = now->generation->number == collection_for_writing(c)->generation->number;
        collection_release(now);
        if (there)
            return;
        (void)nanosleep(&nap, NULL);
    }
}

static enum assay_code make_move(struct request *req, struct reply *reply, enum generation_move move, struct err *err)
{
    static const struct json_field none[] = {JSON_FIELDS_END};
    struct collection *c;
    struct generation_row row;
    int32_t number = 0;
    TRY(path_generation(req, &c, &number, err));
    if (move != GENERATION_DROP)
        TRY(request_json(req, none, NULL, err));
    TRY(store_generation_move(req->server->store, &req->call, c->id, number, move, STR_LIT(""), &row, err));
    TRY(take_change(req, c, err));
    if (move == GENERATION_CUT_OVER || move == GENERATION_ROLL_BACK)
        wait_served(req, c);
    return reply_generation(req, reply, 200, c, &row, err);
}

enum assay_code handle_generations_pause(struct request *req, struct reply *reply, struct err *err)
{
    return make_move(req, reply, GENERATION_PAUSE, err);
}

enum assay_code handle_generations_resume(struct request *req, struct reply *reply, struct err *err)
{
    return make_move(req, reply, GENERATION_RESUME, err);
}

enum assay_code handle_generations_cancel(struct request *req, struct reply *reply, struct err *err)
{
    return make_move(req, reply, GENERATION_CANCEL, err);
}

enum assay_code handle_generations_cutover(struct request *req, struct reply *reply, struct err *err)
{
    return make_move(req, reply, GENERATION_CUT_OVER, err);
}

/* The index that is gone back to has to have come as far as what searches see now; if it has not, nothing happens. */
static enum assay_code check_previous(struct request *req, struct collection *c, struct err *err)
{
    struct generation_row *rows;
    size_t n;
    struct vindex_stats now;
    TRY(store_generation_list(req->server->store, &req->call, c->id, 0, true, CATALOG_GENERATIONS, &rows, &n, err));
    collection_stats(c, &now);
    for (size_t i = 0; i < n; i++) {
        struct collection *held =
            rows[i].state == GENERATION_PREVIOUS ? collection_hold_generation(c, rows[i].number) : NULL;
        if (!held)
            continue;
        bool there = vindex_wait(held->index, now.seq, clock_mono_us() + SERVED_WAIT_S * CLOCK_SECOND);
        collection_release(held);
        if (!there)
            return err_set(err, ASSAY_CONFLICT, "generation-behind",
                           "The previous generation lacks changes that searches see: vectors of its embedder are "
                           "missing.");
    }
    return ASSAY_OK;
}

enum assay_code handle_generations_rollback(struct request *req, struct reply *reply, struct err *err)
{
    struct collection *c;
    int32_t number = 0;
    TRY(path_generation(req, &c, &number, err));
    TRY(check_previous(req, c, err));
    return make_move(req, reply, GENERATION_ROLL_BACK, err);
}

enum assay_code handle_generations_delete(struct request *req, struct reply *reply, struct err *err)
{
    return make_move(req, reply, GENERATION_DROP, err);
}
