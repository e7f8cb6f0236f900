/*
 * Collections in memory. Readers go through an atomic count over an array whose entries are written once, before the
 * count covers them (release/acquire), and through atomic pointers within an entry; writers hold the lock, never while
 * they wait for the store.
 */
#include "server/catalog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/index_spec.h"
#include "server/policy.h"

enum { PAGE = 100, ARENA_FIRST = 1 << 14 };

/* Where a collection is found, whatever becomes of it. */
struct collection_place {
    int32_t id;
    struct str name;
    _Atomic(struct collection *) now;                       /* what searches see */
    _Atomic(struct collection *) writing;                   /* with the generation that is active in the store */
    _Atomic(struct collection *) open[CATALOG_GENERATIONS]; /* with each open generation; NULL: empty */
};

struct catalog {
    struct store *store;
    struct vindex *vindex;
    struct static_models *models;
    pthread_mutex_t lock; /* guards arena and every change */
    struct arena *arena;  /* owns every collection; only grows */
    atomic_size_t n;
    struct index_generation *closed; /* guarded by lock: waits for catalog_bury */
    struct collection_place *items[CATALOG_MAX];
};

static void close_place(struct collection_place *place)
{
    for (size_t j = 0; j < CATALOG_GENERATIONS; j++) {
        struct collection *open = atomic_load(&place->open[j]);
        if (open)
            vindex_collection_close(open->index);
    }
}

struct catalog *catalog_new(struct store *store, struct vindex *v, const char *models_dir)
{
    struct catalog *c = mem_calloc(1, sizeof *c);
    c->store = store;
    c->vindex = v;
    c->models = static_models_new(models_dir);
    c->arena = arena_new(ARENA_FIRST);
    pthread_mutex_init(&c->lock, NULL);
    atomic_init(&c->n, 0);
    return c;
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    size_t n = atomic_load(&c->n);
    for (size_t i = 0; i < n; i++)
        close_place(c->items[i]);
    catalog_bury(c);
    static_models_free(c->models); /* the indexes are closed */
    arena_free(c->arena);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct collection *catalog_at(struct catalog *c, size_t i)
{
    return i < atomic_load_explicit(&c->n, memory_order_acquire) ? atomic_load(&c->items[i]->now) : NULL;
}

struct collection *catalog_find(struct catalog *c, struct str name)
{
    if (name.len == 0)
        name = STR_LIT("default");
    size_t n = atomic_load_explicit(&c->n, memory_order_acquire);
    for (size_t i = 0; i < n; i++)
        if (str_eq(c->items[i]->name, name))
            return atomic_load(&c->items[i]->now);
    return NULL;
}

struct collection *catalog_by_id(struct catalog *c, int32_t id)
{
    size_t n = atomic_load_explicit(&c->n, memory_order_acquire);
    for (size_t i = 0; i < n; i++)
        if (c->items[i]->id == id)
            return atomic_load(&c->items[i]->now);
    return NULL;
}

enum assay_code catalog_get(struct catalog *c, struct str name, bool in_body, struct collection **out, struct err *err)
{
    *out = catalog_find(c, name);
    if (*out)
        return ASSAY_OK;
    enum assay_code code = in_body ? ASSAY_UNPROCESSABLE : ASSAY_NOT_FOUND;
    err_set(err, code, "unknown-collection", "There is no collection of that name.");
    if (in_body)
        err_add_field(err, "/collection", "There is no collection of that name.");
    return code;
}

enum assay_code catalog_resolve_embedder(struct catalog *c, struct arena *a, const char *pointer,
                                         struct embedder_spec *spec, struct str *canonical, struct err *err)
{
    return embedder_spec_resolve(a, c->models, pointer, spec, canonical, err);
}

/* ---- generations ---- */

/* The index belongs to this collection under this embedder and these parameters: a new release with another built-in
 * embedder starts over. */
static void index_identity(const struct collection_row *row, const struct index_generation *g, struct digest *out)
{
    struct digest_ctx *ctx = digest_begin();
    digest_update(ctx, row->identity.b, DIGEST_LEN);
    digest_update(ctx, g->embedder.b, DIGEST_LEN);
    if (g->number > 1) {
        digest_update(ctx, &g->number, sizeof g->number);
        digest_update_field(ctx, g->index_json);
    }
    digest_end(ctx, out);
}

/* Parses one of the row's JSON members. `what` names it for the log. */
static enum assay_code parse_member(struct arena *a, struct str text, const char *what, json_t **out, struct err *err)
{
    if (json_parse(a, text, out, err) == ASSAY_OK)
        return ASSAY_OK;
    return err_set(err, ASSAY_INTERNAL, NULL, "The stored %s of a collection is not JSON.", what);
}

/* Its declarations and its index, loaded from the disk. */
static enum assay_code open_generation(struct catalog *cat, const struct collection_row *row,
                                       const struct generation_row *in, struct index_generation **out, struct err *err)
{
    struct arena *a = cat->arena;
    struct index_generation *g = ARENA_NEW(a, struct index_generation);
    json_t *json = NULL;
    struct str text;
    g->number = in->number;
    g->embedder_json = str_dup(a, in->embedder_json);
    g->index_json = str_dup(a, in->index_json);
    atomic_init(&g->state, (int)in->state);
    atomic_init(&g->manual, in->manual);
    atomic_init(&g->holders, 0);
    atomic_init(&g->closing, false);
    atomic_init(&g->starved_after, -1);
    TRY(parse_member(a, g->embedder_json, "embedder", &json, err));
    TRY(embedder_spec_parse(a, json, "/embedder", &g->spec, &text, err));
    TRY(catalog_resolve_embedder(cat, a, "/embedder", &g->spec, &text, err));
    embedder_spec_id(&g->spec, g->embedder_json, &g->embedder);
    struct vindex_spec spec = {.id = row->id,
                               .generation = g->number,
                               .kind = g->spec.kind,
                               .dim = g->spec.dim,
                               .model = g->spec.static_model};
    TRY(parse_member(a, g->index_json, "index parameters", &json, err));
    TRY(index_spec_parse(a, json, "/index", &spec.params, &text, err));
    index_identity(row, g, &spec.identity);
    TRY(vindex_collection_open(cat->vindex, &spec, &g->index, &g->applied_at_open, err));
    *out = g;
    log_info("collection opened", "name=%s generation=%d applied=%lld", log_quote(str_cstr(a, row->name)).s,
             (int)g->number, (long long)g->applied_at_open);
    return ASSAY_OK;
}

/* The collection as the row says it, with this generation; in cat->arena. */
static enum assay_code describe(struct catalog *cat, struct collection_place *place, const struct collection_row *row,
                                struct index_generation *g, struct collection **out, struct err *err)
{
    struct arena *a = cat->arena;
    struct collection *c = ARENA_NEW(a, struct collection);
    json_t *json = NULL;
    *c = (struct collection){.id = row->id,
                             .name = place->name,
                             .description = str_dup(a, row->description),
                             .embedder_json = g->embedder_json,
                             .embedder = g->embedder,
                             .spec = g->spec,
                             .created_at_us = row->created_at_us,
                             .revision = row->revision,
                             .has_reverted = row->has_reverted,
                             .reverted = row->reverted,
                             .generation = g,
                             .index = g->index,
                             .place = place};
    TRY(parse_member(a, str_dup(a, row->pipeline_json), "pipeline", &json, err));
    TRY(pipeline_parse(a, json, "/pipeline", &c->pipeline, err));
    if (!digest_eq(&c->pipeline.id, &row->pipeline))
        return err_set(err, ASSAY_INTERNAL, NULL,
                       "The stored pipeline of a collection does not have the id it is stored by.");
    TRY(parse_member(a, str_dup(a, row->policy_json), "policy", &json, err));
    TRY(policy_parse(a, json, "/policy", c->spec.kind, &c->rules, &c->policy_json, err));
    digest_sha256(c->policy_json.ptr, c->policy_json.len, &c->policy);
    *out = c;
    return ASSAY_OK;
}

static const struct generation_row *find_row(const struct generation_row *rows, size_t n, int32_t number)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].number == number)
            return &rows[i];
    return NULL;
}

/* The slot of an open generation, or an empty one for number 0; CATALOG_GENERATIONS when there is none. */
static size_t slot_of(const struct collection_place *place, int32_t number)
{
    size_t j = 0;
    for (; j < CATALOG_GENERATIONS; j++) {
        const struct collection *c = atomic_load(&place->open[j]);
        if ((c ? c->generation->number : 0) == number)
            break;
    }
    return j;
}

/* Opens what is new, and describes every generation as the row says now. A generation that cannot be opened stands
 * still on this server, which goes on with the one it has. */
static enum assay_code take_generations(struct catalog *cat, struct collection_place *place,
                                        const struct collection_row *row, const struct generation_row *rows, size_t n,
                                        struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct err own = {0};
        struct index_generation *g = NULL;
        struct collection *c = NULL;
        size_t j = slot_of(place, rows[i].number);
        if (j < CATALOG_GENERATIONS)
            g = atomic_load(&place->open[j])->generation;
        else if ((j = slot_of(place, 0)) == CATALOG_GENERATIONS)
            continue; /* all slots wait to be closed; the follower asks again */
        else if (open_generation(cat, row, &rows[i], &g, &own) != ASSAY_OK)
            log_err(LOG_ERROR, "a generation of an index cannot be opened", &own);
        err_clear(&own);
        if (!g)
            continue;
        enum assay_code code = describe(cat, place, row, g, &c, err);
        if (code != ASSAY_OK) {
            if (!atomic_load(&place->open[j]))
                vindex_collection_close(g->index);
            return code;
        }
        atomic_store(&g->state, (int)rows[i].state);
        atomic_store(&place->open[j], c);
    }
    return ASSAY_OK;
}

/* Points `now` and `writing` at the new descriptions, and marks what is gone. */
static void settle_place(struct collection_place *place, const struct generation_row *rows, size_t n)
{
    for (size_t j = 0; j < CATALOG_GENERATIONS; j++) {
        struct collection *c = atomic_load(&place->open[j]), *now = atomic_load(&place->now);
        if (!c)
            continue;
        if (!find_row(rows, n, c->generation->number))
            atomic_store(&c->generation->state, GENERATION_DROPPED);
        if (now && now->generation == c->generation)
            atomic_store(&place->now, c);
        if (atomic_load(&c->generation->state) == GENERATION_ACTIVE)
            atomic_store(&place->writing, c);
    }
}

/* At first: the active generation, or the one before when this server has more of it on disk. */
static struct collection *first_served(const struct collection_place *place)
{
    struct collection *best = NULL;
    for (size_t j = 0; j < CATALOG_GENERATIONS; j++) {
        struct collection *c = atomic_load(&place->open[j]);
        if (!c)
            continue;
        int state = atomic_load(&c->generation->state);
        if (state != GENERATION_ACTIVE && state != GENERATION_PREVIOUS)
            continue;
        int64_t lead = best ? c->generation->applied_at_open - best->generation->applied_at_open : 1;
        if (lead > 0 || (lead == 0 && state == GENERATION_ACTIVE))
            best = c;
    }
    return best;
}

static void remove_leftovers(struct catalog *cat, int32_t id, const struct generation_row *rows, size_t n)
{
    int32_t numbers[CATALOG_GENERATIONS];
    size_t kept = n < CATALOG_GENERATIONS ? n : CATALOG_GENERATIONS;
    for (size_t i = 0; i < kept; i++)
        numbers[i] = rows[i].number;
    vindex_keep_generations(cat->vindex, id, numbers, kept);
}

static enum assay_code open_place(struct catalog *cat, struct collection_place *place, const struct collection_row *row,
                                  const struct generation_row *rows, size_t n, struct err *err)
{
    place->id = row->id;
    place->name = str_dup(cat->arena, row->name);
    remove_leftovers(cat, row->id, rows, n);
    TRY(take_generations(cat, place, row, rows, n, err));
    struct collection *served = first_served(place);
    if (!served)
        return err_set(err, ASSAY_INTERNAL, NULL, "No generation of a collection's index can be opened.");
    atomic_store(&place->now, served);
    atomic_store(&place->writing, served);
    settle_place(place, rows, n);
    return ASSAY_OK;
}

static enum assay_code publish(struct catalog *cat, const struct collection_row *row, const struct generation_row *rows,
                               size_t n_rows, struct err *err)
{
    size_t n = atomic_load_explicit(&cat->n, memory_order_relaxed);
    if (n == CATALOG_MAX)
        return err_set(err, ASSAY_TOO_MANY, "too-many-collections", "There are more than %d collections.", CATALOG_MAX);
    struct arena_mark mark = arena_mark(cat->arena);
    struct collection_place *place = ARENA_NEW(cat->arena, struct collection_place);
    enum assay_code code = open_place(cat, place, row, rows, n_rows, err);
    if (code != ASSAY_OK) {
        close_place(place);
        arena_rollback(cat->arena, mark);
        return code;
    }
    cat->items[n] = place;
    atomic_store_explicit(&cat->n, n + 1, memory_order_release);
    return ASSAY_OK;
}

static enum assay_code read_generations(struct catalog *cat, const struct call *call, int32_t id,
                                        struct generation_row **rows, size_t *n, struct err *err)
{
    return store_generation_list(cat->store, call, id, 0, true, CATALOG_GENERATIONS, rows, n, err);
}

/* Publishes what one page of rows brings. A collection that cannot be opened does not keep the others away. */
static enum assay_code publish_page(struct catalog *cat, const struct call *call, const struct collection_row *rows,
                                    size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct err one = {0};
        struct generation_row *generations;
        size_t n_generations;
        if (catalog_by_id(cat, rows[i].id))
            continue;
        TRY(read_generations(cat, call, rows[i].id, &generations, &n_generations, err));
        pthread_mutex_lock(&cat->lock);
        if (!catalog_by_id(cat, rows[i].id) && publish(cat, &rows[i], generations, n_generations, &one) != ASSAY_OK)
            log_err(LOG_ERROR, "collection cannot be opened", &one);
        pthread_mutex_unlock(&cat->lock);
        err_clear(&one);
    }
    return ASSAY_OK;
}

static enum assay_code load(struct catalog *cat, const struct call *call, struct err *err)
{
    struct str after = STR_LIT("");
    for (;;) {
        struct collection_row *rows = NULL;
        size_t n = 0;
        TRY(store_collection_list(cat->store, call, after, PAGE, &rows, &n, err));
        TRY(publish_page(cat, call, rows, n, err));
        if (n < PAGE)
            return ASSAY_OK;
        after = rows[n - 1].name;
    }
}

static struct collection_place *find_place(struct catalog *cat, int32_t id)
{
    const struct collection *c = catalog_by_id(cat, id);
    return c ? c->place : NULL;
}

static enum assay_code sync_place(struct catalog *cat, const struct collection_row *row,
                                  const struct generation_row *rows, size_t n, struct err *err)
{
    struct collection_place *place = find_place(cat, row->id);
    if (!place || atomic_load(&place->now)->revision > row->revision)
        return ASSAY_OK; /* not open here, or another thread has read more recently */
    TRY(take_generations(cat, place, row, rows, n, err));
    settle_place(place, rows, n);
    return ASSAY_OK;
}

/* The rows are read before the lock is taken; of two that do so at once the newer revision stays. */
enum assay_code catalog_sync(struct catalog *cat, const struct call *call, struct str name, struct err *err)
{
    struct call own = *call;
    struct collection_row row;
    struct generation_row *rows;
    size_t n;
    own.arena = arena_new(ARENA_FIRST);
    enum assay_code code = store_collection_get(cat->store, &own, name, &row, err);
    if (code == ASSAY_OK)
        code = read_generations(cat, &own, row.id, &rows, &n, err);
    if (code == ASSAY_OK) {
        pthread_mutex_lock(&cat->lock);
        code = sync_place(cat, &row, rows, n, err);
        pthread_mutex_unlock(&cat->lock);
    }
    arena_free(own.arena);
    return code;
}

/* ---- holding ---- */

/* Counts first, then looks whether it is too late: the other way round than catalog_reap, both in the one order of
 * sequentially consistent operations. */
static bool hold(struct index_generation *g)
{
    atomic_fetch_add(&g->holders, 1);
    if (!atomic_load(&g->closing))
        return true;
    atomic_fetch_sub(&g->holders, 1);
    return false;
}

struct collection *collection_hold(struct collection *c)
{
    for (;;) {
        struct collection *now = atomic_load(&c->place->now);
        if (hold(now->generation))
            return now;
    }
}

struct collection *collection_hold_generation(struct collection *c, int32_t number)
{
    for (size_t j = 0; j < CATALOG_GENERATIONS; j++) {
        struct collection *open = atomic_load(&c->place->open[j]);
        if (open && open->generation->number == number)
            return hold(open->generation) ? open : NULL;
    }
    return NULL;
}

void collection_release(struct collection *held)
{
    atomic_fetch_sub(&held->generation->holders, 1);
}

struct collection *collection_for_writing(struct collection *c)
{
    return atomic_load(&c->place->writing);
}

bool collection_wait(struct collection *c, int64_t seq, int64_t deadline_us)
{
    for (;;) {
        struct collection *held = collection_hold(c);
        bool reached = vindex_wait(held->index, seq, deadline_us);
        bool same = atomic_load(&c->place->now)->generation == held->generation;
        collection_release(held);
        if (same || !reached)
            return reached;
    }
}

void collection_stats(struct collection *c, struct vindex_stats *out)
{
    struct collection *held = collection_hold(c);
    vindex_stats(held->index, out);
    collection_release(held);
}

/* ---- the follower's ---- */

struct collection *catalog_generation(struct catalog *cat, size_t i, size_t j)
{
    return i < atomic_load_explicit(&cat->n, memory_order_acquire) ? atomic_load(&cat->items[i]->open[j]) : NULL;
}

void catalog_serve(struct catalog *cat, size_t i, size_t j)
{
    struct collection_place *place = cat->items[i];
    pthread_mutex_lock(&cat->lock);
    atomic_store(&place->now, atomic_load(&place->open[j]));
    pthread_mutex_unlock(&cat->lock);
}

bool catalog_reap(struct catalog *cat, size_t i)
{
    bool any = false;
    struct collection_place *place = cat->items[i];
    for (size_t j = 0; j < CATALOG_GENERATIONS; j++) {
        struct collection *c = atomic_load(&place->open[j]);
        if (!c || generation_open((enum generation_state)atomic_load(&c->generation->state)))
            continue;
        struct index_generation *g = c->generation;
        if (atomic_load(&place->now)->generation == g || atomic_load(&place->writing)->generation == g)
            continue;
        atomic_store(&g->closing, true);
        if (atomic_load(&g->holders) > 0)
            continue; /* next time */
        pthread_mutex_lock(&cat->lock);
        atomic_store(&place->open[j], NULL);
        g->next_closed = cat->closed;
        cat->closed = g;
        pthread_mutex_unlock(&cat->lock);
        any = true;
    }
    return any;
}

void catalog_bury(struct catalog *cat)
{
    pthread_mutex_lock(&cat->lock);
    struct index_generation *g = cat->closed;
    cat->closed = NULL;
    pthread_mutex_unlock(&cat->lock);
    for (; g; g = g->next_closed) {
        vindex_collection_remove(g->index);
        log_info("index generation removed", "number=%d", (int)g->number);
    }
}

/* ---- the default collection ---- */

/* The collection that every installation has. Another server may make it at the same moment: then theirs is taken. */
static enum assay_code create_default(struct catalog *cat, const struct call *call, struct err *err)
{
    struct pipeline p;
    struct embedder_spec spec;
    struct str embedder;
    struct collection_row row;
    json_t *json = json_pack("{s:s}", "kind", "builtin");
    enum assay_code code = embedder_spec_parse(call->arena, json, "", &spec, &embedder, err);
    json_decref(json);
    TRY(code);
    struct digest id;
    embedder_spec_id(&spec, embedder, &id);
    pipeline_default(call->arena, &p);
    struct collection_new in = {
        .name = STR_LIT("default"),
        .description = STR_LIT("The collection that is meant when none is named."),
        .embedder_json = embedder,
        .policy_json = STR_LIT("{}"),
        .index_json = STR_LIT("{}"),
        .embedder = id,
        .pipeline = p.id,
        .pipeline_json = p.json,
    };
    code = store_collection_create(cat->store, call, &in, &row, err);
    if (code == ASSAY_CONFLICT) {
        err_clear(err);
        return ASSAY_OK;
    }
    return code;
}

static enum assay_code refresh(struct catalog *cat, const struct call *call, struct err *err)
{
    TRY(load(cat, call, err));
    if (catalog_find(cat, STR_LIT("default")))
        return ASSAY_OK;
    TRY(create_default(cat, call, err));
    TRY(load(cat, call, err));
    if (catalog_find(cat, STR_LIT("default")))
        return ASSAY_OK;
    return err_set(err, ASSAY_INTERNAL, NULL, "The collection `default` cannot be opened; the log says why.");
}

enum assay_code catalog_refresh(struct catalog *cat, const struct call *call, struct err *err)
{
    struct call own =
        *call; /* an arena of its own: the rows are copied, and the caller may call for as long as it runs */
    own.arena = arena_new(ARENA_FIRST);
    enum assay_code code = refresh(cat, &own, err);
    arena_free(own.arena);
    return code;
}
