/*
 * Collections in memory. Readers go through an atomic count over an array whose entries are written once, before the
 * count covers them (release/acquire); writers hold the lock.
 */
#include "server/catalog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "index/embed.h"
#include "server/policy.h"

enum { PAGE = 100, ARENA_FIRST = 1 << 14 };

struct catalog {
    struct store *store;
    struct vindex *vindex;
    pthread_mutex_t lock; /* one refresh at a time; guards arena */
    struct arena *arena;  /* owns every collection; only grows */
    atomic_size_t n;
    struct collection *items[CATALOG_MAX];
};

struct catalog *catalog_new(struct store *store, struct vindex *v)
{
    struct catalog *c = mem_calloc(1, sizeof *c);
    c->store = store;
    c->vindex = v;
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
        vindex_collection_close(c->items[i]->index);
    arena_free(c->arena);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct collection *catalog_at(struct catalog *c, size_t i)
{
    return i < atomic_load_explicit(&c->n, memory_order_acquire) ? c->items[i] : NULL;
}

struct collection *catalog_find(struct catalog *c, struct str name)
{
    if (name.len == 0)
        name = STR_LIT("default");
    size_t n = atomic_load_explicit(&c->n, memory_order_acquire);
    for (size_t i = 0; i < n; i++)
        if (str_eq(c->items[i]->name, name))
            return c->items[i];
    return NULL;
}

struct collection *catalog_by_id(struct catalog *c, int32_t id)
{
    size_t n = atomic_load_explicit(&c->n, memory_order_acquire);
    for (size_t i = 0; i < n; i++)
        if (c->items[i]->id == id)
            return c->items[i];
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

/* What identifies the vectors: the declaration, and for the built-in embedder also its algorithm. */
static void embedder_digest(const struct collection *c, struct digest *out)
{
    if (c->spec.kind == EMBEDDER_BUILTIN)
        embed_builtin_id(c->spec.dim, out);
    else
        digest_sha256(c->embedder_json.ptr, c->embedder_json.len, out);
}

/* The index belongs to this collection under this embedder: a new release with another built-in embedder starts over.
 */
static void index_identity(const struct collection *c, const struct digest *row, struct digest *out)
{
    struct digest_ctx *ctx = digest_begin();
    digest_update(ctx, row->b, DIGEST_LEN);
    digest_update(ctx, c->embedder.b, DIGEST_LEN);
    digest_end(ctx, out);
}

/* Parses one of the row's JSON members. `what` names it for the log. */
static enum assay_code parse_member(struct arena *a, struct str text, const char *what, json_t **out, struct err *err)
{
    if (json_parse(a, text, out, err) == ASSAY_OK)
        return ASSAY_OK;
    return err_set(err, ASSAY_INTERNAL, NULL, "The stored %s of a collection is not JSON.", what);
}

/* Everything of a collection but its index; in c->arena. */
static enum assay_code build(struct arena *a, const struct collection_row *row, struct collection *c, struct err *err)
{
    json_t *json = NULL;
    struct str text;
    c->id = row->id;
    c->name = str_dup(a, row->name);
    c->description = str_dup(a, row->description);
    c->embedder_json = str_dup(a, row->embedder_json);
    c->created_at_us = row->created_at_us;
    TRY(parse_member(a, c->embedder_json, "embedder", &json, err));
    TRY(embedder_spec_parse(a, json, "/embedder", &c->spec, &text, err));
    TRY(parse_member(a, str_dup(a, row->pipeline_json), "pipeline", &json, err));
    TRY(pipeline_parse(a, json, "/pipeline", &c->pipeline, err));
    if (!digest_eq(&c->pipeline.id, &row->pipeline))
        return err_set(err, ASSAY_INTERNAL, NULL,
                       "The stored pipeline of a collection does not have the id it is stored by.");
    TRY(parse_member(a, str_dup(a, row->policy_json), "policy", &json, err));
    TRY(policy_parse(a, json, "/policy", c->spec.kind, &c->rules, &c->policy_json, err));
    digest_sha256(c->policy_json.ptr, c->policy_json.len, &c->policy);
    embedder_digest(c, &c->embedder);
    index_identity(c, &row->identity, &c->identity);
    return ASSAY_OK;
}

static enum assay_code publish(struct catalog *cat, const struct collection_row *row, struct err *err)
{
    size_t n = atomic_load_explicit(&cat->n, memory_order_relaxed);
    struct collection *c = ARENA_NEW(cat->arena, struct collection);
    if (n == CATALOG_MAX)
        return err_set(err, ASSAY_TOO_MANY, "too-many-collections", "There are more than %d collections.", CATALOG_MAX);
    TRY(build(cat->arena, row, c, err));
    struct vindex_spec spec = {.id = c->id, .identity = c->identity, .kind = c->spec.kind, .dim = c->spec.dim};
    TRY(vindex_collection_open(cat->vindex, &spec, &c->index, &c->applied_at_open, err));
    cat->items[n] = c;
    atomic_store_explicit(&cat->n, n + 1, memory_order_release);
    log_info("collection opened", "name=%s applied=%lld", log_quote(str_cstr(cat->arena, c->name)).s,
             (long long)c->applied_at_open);
    return ASSAY_OK;
}

/* Publishes what one page of rows brings. A collection that cannot be opened does not keep the others away. */
static void publish_page(struct catalog *cat, const struct collection_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct err one = {0};
        if (catalog_by_id(cat, rows[i].id))
            continue;
        struct arena_mark mark = arena_mark(cat->arena);
        if (publish(cat, &rows[i], &one) != ASSAY_OK) {
            log_err(LOG_ERROR, "collection cannot be opened", &one);
            arena_rollback(cat->arena, mark);
        }
        err_clear(&one);
    }
}

static enum assay_code load(struct catalog *cat, const struct call *call, struct err *err)
{
    struct str after = STR_LIT("");
    for (;;) {
        struct collection_row *rows = NULL;
        size_t n = 0;
        TRY(store_collection_list(cat->store, call, after, PAGE, &rows, &n, err));
        publish_page(cat, rows, n);
        if (n < PAGE)
            return ASSAY_OK;
        after = rows[n - 1].name;
    }
}

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
    pipeline_default(call->arena, &p);
    struct collection_new in = {
        .name = STR_LIT("default"),
        .description = STR_LIT("The collection that is meant when none is named."),
        .embedder_json = embedder,
        .policy_json = STR_LIT("{}"),
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

static enum assay_code refresh_locked(struct catalog *cat, const struct call *call, struct err *err)
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
    pthread_mutex_lock(&cat->lock);
    enum assay_code code = refresh_locked(cat, &own, err);
    pthread_mutex_unlock(&cat->lock);
    arena_free(own.arena);
    return code;
}
