#include "store/generations.h"

#include "base/clock.h"
#include "store/stmts.h"
#include "store/writer.h"

const char *const generation_state_names[GENERATION_STATE_COUNT + 1] = {"building", "paused",    "ready",   "active",
                                                                        "previous", "cancelled", "dropped", NULL};

bool generation_open(enum generation_state s)
{
    return s <= GENERATION_PREVIOUS;
}

#define GENERATION_COLUMNS                                                                                             \
    "collection_id, number, embedder, index_params, embedder_id, state, manual, error, done_seq, filled_seq,"          \
    " created_by, created_at, ready_at, served_at, ended_at FROM generations"

static void read_generation(struct row r, struct generation_row *out)
{
    *out = (struct generation_row){0};
    out->collection = (int32_t)row_int(&r);
    out->number = (int32_t)row_int(&r);
    out->embedder_json = row_str(&r);
    out->index_json = row_str(&r);
    out->embedder = row_digest(&r);
    out->state = (enum generation_state)row_int(&r);
    out->manual = row_bool(&r);
    out->error = row_str(&r);
    out->done_seq = row_int(&r);
    out->filled_seq = row_int(&r);
    out->created_by = row_str(&r);
    out->created_at_us = row_time(&r);
    out->ready_at_us = row_time(&r);
    out->served_at_us = row_time(&r);
    out->ended_at_us = row_time(&r);
}

static const struct store_stmt generation_get = {
    "generation_get", "SELECT " GENERATION_COLUMNS " WHERE collection_id = $1 AND number = $2", 2};

static enum assay_code get_generation(struct tx *tx, int32_t collection, int32_t number, struct generation_row *out,
                                      struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_i32(&args, number);
    TRY(tx_exec(tx, &generation_get, &args, &rows, err));
    if (rows.n == 0)
        return err_set(err, ASSAY_NOT_FOUND, "unknown-generation", "There is no such generation of the collection.");
    read_generation(rows_at(&rows, 0, tx_arena(tx)), out);
    return ASSAY_OK;
}

struct get_work {
    int32_t collection, number;
    struct generation_row *out;
};

static enum assay_code get_body(struct tx *tx, void *ctx, struct err *err)
{
    struct get_work *w = ctx;
    return get_generation(tx, w->collection, w->number, w->out, err);
}

enum assay_code store_generation_get(struct store *s, const struct call *call, int32_t collection, int32_t number,
                                     struct generation_row *out, struct err *err)
{
    struct get_work w = {collection, number, out};
    return store_with(s, call, "generation.get", get_body, &w, err);
}

static const struct store_stmt generation_list = {
    "generation_list",
    "SELECT " GENERATION_COLUMNS
    " WHERE collection_id = $1 AND ($2::integer = 0 OR number < $2) AND (NOT $3::boolean OR state <= 4)"
    " ORDER BY number DESC LIMIT $4",
    4};

enum assay_code store_generation_list(struct store *s, const struct call *call, int32_t collection, int32_t before,
                                      bool only_open, size_t limit, struct generation_row **out, size_t *n,
                                      struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_i32(&args, before);
    wire_bool(&args, only_open);
    wire_i64(&args, (int64_t)limit);
    TRY(store_query(s, call, &generation_list, &args, &rows, err));
    *n = (size_t)rows.n;
    *out = ARENA_ARRAY(call->arena, struct generation_row, *n);
    for (int i = 0; i < rows.n; i++)
        read_generation(rows_at(&rows, i, call->arena), &(*out)[i]);
    return ASSAY_OK;
}

/* ---- changes: each holds the collection's lock, as every writer of it does ---- */

static const struct store_stmt generation_touch = {"generation_touch",
                                                   "UPDATE collections SET revision = revision + 1 WHERE id = $1", 1};

/* The servers notice by the collection's revision. */
static enum assay_code touch(struct writer *w, const char *action, int32_t number, struct err *err)
{
    struct buf args = {0};
    const char *target = arena_printf(tx_arena(w->tx), "%d", (int)number);
    wire_i32(&args, w->collection);
    TRY(tx_exec(w->tx, &generation_touch, &args, NULL, err));
    return tx_audit(w->tx, w->collection, w->now_us, action, str_of(target), (struct str){0}, err);
}

static const struct store_stmt generation_next = {
    "generation_next",
    "SELECT coalesce(max(number), 0) + 1, count(*) FILTER (WHERE state <= 2) FROM generations"
    " WHERE collection_id = $1",
    1};
static const struct store_stmt generation_insert = {
    "generation_insert",
    "INSERT INTO generations (collection_id, number, embedder, embedder_id, index_params, state, manual, created_by,"
    " created_at) VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8)",
    8};

static enum assay_code next_number(struct writer *w, int32_t *number, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, w->collection);
    TRY(tx_exec(w->tx, &generation_next, &args, &rows, err));
    struct row r = rows_at(&rows, 0, tx_arena(w->tx));
    *number = (int32_t)row_int(&r);
    if (row_int(&r) > 0)
        return err_set(err, ASSAY_CONFLICT, "generation-under-way",
                       "Another generation of this collection is on its way: let it be served, or cancel it.");
    return ASSAY_OK;
}

struct create_work {
    int32_t collection;
    const struct generation_new *in;
    struct generation_row *out;
};

static enum assay_code create_body(struct tx *tx, void *ctx, struct err *err)
{
    struct create_work *c = ctx;
    struct writer w;
    struct buf args = {0};
    int32_t number;
    TRY(writer_begin(tx, c->collection, &w, err));
    TRY(next_number(&w, &number, err));
    wire_i32(&args, c->collection);
    wire_i32(&args, number);
    wire_str(&args, c->in->embedder_json);
    wire_digest(&args, &c->in->embedder);
    wire_str(&args, c->in->index_json);
    wire_bool(&args, c->in->manual);
    wire_cstr(&args, tx_call(tx)->actor);
    wire_time(&args, w.now_us);
    TRY(tx_exec(tx, &generation_insert, &args, NULL, err));
    TRY(touch(&w, "generation.create", number, err));
    return get_generation(tx, c->collection, number, c->out, err);
}

enum assay_code store_generation_create(struct store *s, const struct call *call, int32_t collection,
                                        const struct generation_new *in, struct generation_row *out, struct err *err)
{
    struct create_work w = {collection, in, out};
    return store_transact(s, call, "generation.create", create_body, &w, err);
}

/* What each move asks for and makes of it. */
static const struct move {
    const char *action;
    unsigned from; /* states that allow it, as bits */
    enum generation_state to;
} moves[] = {
    [GENERATION_PAUSE] = {"generation.pause", 1U << GENERATION_BUILDING | 1U << GENERATION_READY, GENERATION_PAUSED},
    [GENERATION_RESUME] = {"generation.resume", 1U << GENERATION_PAUSED, GENERATION_BUILDING},
    [GENERATION_CANCEL] = {"generation.cancel",
                           1U << GENERATION_BUILDING | 1U << GENERATION_PAUSED | 1U << GENERATION_READY,
                           GENERATION_CANCELLED},
    [GENERATION_ARRIVE] = {"generation.ready", 1U << GENERATION_BUILDING, GENERATION_READY},
    [GENERATION_CUT_OVER] = {"generation.cutover", 1U << GENERATION_READY, GENERATION_ACTIVE},
    [GENERATION_ROLL_BACK] = {"generation.rollback", 1U << GENERATION_ACTIVE, GENERATION_PREVIOUS},
    [GENERATION_DROP] = {"generation.drop", 1U << GENERATION_PREVIOUS, GENERATION_DROPPED},
};

/* The moment goes where the new state has a column for it. */
static const struct store_stmt generation_set = {
    "generation_set",
    "UPDATE generations SET state = $3::smallint, error = $4,"
    "       ready_at = CASE WHEN $3 = 2 THEN $5::timestamptz WHEN $3 IN (0, 1) THEN NULL ELSE ready_at END,"
    "       served_at = CASE WHEN $3 = 3 THEN $5 ELSE served_at END,"
    "       ended_at = CASE WHEN $3 IN (5, 6) THEN $5 ELSE ended_at END"
    " WHERE collection_id = $1 AND number = $2",
    5};

static enum assay_code set_state(struct writer *w, int32_t number, enum generation_state state, struct str error,
                                 struct err *err)
{
    struct buf args = {0};
    wire_i32(&args, w->collection);
    wire_i32(&args, number);
    wire_i16(&args, (int)state);
    wire_str(&args, error);
    wire_time(&args, w->now_us);
    return tx_exec(w->tx, &generation_set, &args, NULL, err);
}

static const struct store_stmt generation_in = {
    "generation_in", "SELECT number FROM generations WHERE collection_id = $1 AND state = $2", 2};

/* The one generation in this state; 0: none. */
static enum assay_code in_state(struct writer *w, enum generation_state state, int32_t *number, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    *number = 0;
    wire_i32(&args, w->collection);
    wire_i16(&args, (int)state);
    TRY(tx_exec(w->tx, &generation_in, &args, &rows, err));
    if (rows.n == 0)
        return ASSAY_OK;
    struct row r = rows_at(&rows, 0, tx_arena(w->tx));
    *number = (int32_t)row_int(&r);
    return ASSAY_OK;
}

static const struct store_stmt generation_serve = {
    "generation_serve",
    "UPDATE collections c SET generation = g.number, embedder = g.embedder, index_params = g.index_params"
    "  FROM generations g WHERE c.id = $1 AND g.collection_id = c.id AND g.number = $2",
    2};

static enum assay_code serve(struct writer *w, int32_t number, struct err *err)
{
    struct buf args = {0};
    TRY(set_state(w, number, GENERATION_ACTIVE, STR_LIT(""), err));
    wire_i32(&args, w->collection);
    wire_i32(&args, number);
    return tx_exec(w->tx, &generation_serve, &args, NULL, err);
}

static enum assay_code cut_over(struct writer *w, int32_t number, struct err *err)
{
    int32_t active, previous;
    TRY(in_state(w, GENERATION_ACTIVE, &active, err));
    TRY(in_state(w, GENERATION_PREVIOUS, &previous, err));
    if (previous)
        TRY(set_state(w, previous, GENERATION_DROPPED, STR_LIT(""), err));
    if (active)
        TRY(set_state(w, active, GENERATION_PREVIOUS, STR_LIT(""), err));
    return serve(w, number, err);
}

static enum assay_code roll_back(struct writer *w, int32_t number, struct err *err)
{
    int32_t previous;
    TRY(in_state(w, GENERATION_PREVIOUS, &previous, err));
    if (!previous)
        return err_set(err, ASSAY_CONFLICT, "nothing-to-roll-back-to", "No earlier generation is kept.");
    TRY(set_state(w, number, GENERATION_PREVIOUS, STR_LIT(""), err));
    return serve(w, previous, err);
}

struct move_work {
    int32_t collection, number;
    enum generation_move move;
    struct str why;
    struct generation_row *out;
};

static enum assay_code move_body(struct tx *tx, void *ctx, struct err *err)
{
    struct move_work *m = ctx;
    const struct move *move = &moves[m->move];
    struct writer w;
    struct generation_row row = {0};
    TRY(writer_begin(tx, m->collection, &w, err));
    TRY(get_generation(tx, m->collection, m->number, &row, err));
    if (!(move->from & 1U << row.state))
        return err_set(err, ASSAY_CONFLICT, "generation-state", "The generation is %s, which does not allow that.",
                       generation_state_names[row.state]);
    if (m->move == GENERATION_CUT_OVER)
        TRY(cut_over(&w, m->number, err));
    else if (m->move == GENERATION_ROLL_BACK)
        TRY(roll_back(&w, m->number, err));
    else
        TRY(set_state(&w, m->number, move->to, m->why, err));
    TRY(touch(&w, move->action, m->number, err));
    return get_generation(tx, m->collection, m->number, m->out, err);
}

enum assay_code store_generation_move(struct store *s, const struct call *call, int32_t collection, int32_t number,
                                      enum generation_move move, struct str why, struct generation_row *out,
                                      struct err *err)
{
    struct move_work w = {collection, number, move, why, out};
    return store_transact(s, call, "generation.move", move_body, &w, err);
}

static const struct store_stmt generation_progress = {
    "generation_progress",
    "UPDATE generations SET done_seq = $3 WHERE collection_id = $1 AND number = $2 AND done_seq < $3", 3};

enum assay_code store_generation_progress(struct store *s, const struct call *call, int32_t collection, int32_t number,
                                          int64_t seq, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, collection);
    wire_i32(&args, number);
    wire_i64(&args, seq);
    return store_query(s, call, &generation_progress, &args, &rows, err);
}

const struct store_stmt *const store_generations_stmts[] = {
    &generation_get, &generation_list, &generation_touch, &generation_next,     &generation_insert,
    &generation_set, &generation_in,   &generation_serve, &generation_progress, NULL};
