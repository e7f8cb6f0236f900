/*
 * Sources: POST, GET, PATCH /sources, and blocking. The answers to PATCH, block and unblock come when this server's
 * index obeys, so that no search that begins afterwards returns a passage that should be gone.
 */
#include <string.h>

#include "base/clock.h"
#include "handlers/handlers.h"
#include "handlers/page.h"
#include "handlers/settle.h"
#include "server/server.h"
#include "store/sources.h"

enum { NAME_MAX = 128, TEXT_MAX = 512, DESCRIPTION_MAX = 4096 };

/* ---- what they share ---- */

struct path_query {
    struct str collection;
};
static const struct json_field path_fields[] = {
    JSON_FIELD(struct path_query, collection, JSON_FIELD_STR, .max = NAME_MAX),
    JSON_FIELDS_END,
};

/* The collection of ?collection= on a path that names one source. */
static enum assay_code path_collection(struct request *req, struct collection **out, struct err *err)
{
    struct path_query q = {0};
    TRY(request_query(req, path_fields, &q, err));
    return catalog_get(req->server->catalog, q.collection, false, out, err);
}

/* A duration as text, which is kept as given, or null: documents of the source do not age. */
static enum assay_code read_max_age(const json_t *json, struct str *text, int64_t *us, struct err *err)
{
    *text = STR_LIT("");
    *us = CLOCK_NEVER;
    if (!json || json_is_null(json))
        return ASSAY_OK;
    *text = (struct str){json_string_value(json), json_string_length(json)};
    if (text->len == 0 || text->len > CLOCK_TEXT || !clock_parse_duration(*text, us))
        return err_add_field(err, "/max_age",
                             "must be a positive ISO 8601 duration of at most 1000 years such as P90D, or null");
    return ASSAY_OK;
}

static void write_optional(struct jsonw *w, const char *key, struct str s)
{
    jsonw_kstr(w, key, s.len ? s : (struct str){0});
}

/* The members, without the braces. Only a single source has its counts. */
static void write_members(struct jsonw *w, const struct collection *c, const struct source_row *r, bool counts)
{
    jsonw_kstr(w, "name", r->name);
    jsonw_kstr(w, "collection", c->name);
    jsonw_kcstr(w, "state", r->active ? "active" : "blocked");
    write_optional(w, "block_reason", r->block_reason);
    write_optional(w, "owner", r->owner);
    write_optional(w, "contact", r->contact);
    write_optional(w, "licence", r->licence);
    write_optional(w, "description", r->description);
    write_optional(w, "max_age", r->max_age);
    jsonw_kdouble(w, "trust", r->trust);
    jsonw_ktime(w, "created_at", r->created_at_us);
    jsonw_ktime(w, "updated_at", r->updated_at_us);
    jsonw_kint(w, "revision", r->revision);
    if (counts) {
        jsonw_kint(w, "documents", r->documents);
        jsonw_kint(w, "chunks", r->chunks);
        jsonw_kint(w, "active_chunks", r->active_chunks);
    }
}

static void reply_source(struct reply *reply, int status, const struct collection *c, const struct source_row *r,
                         const struct store_commit *commit)
{
    struct jsonw w;
    reply_json(reply, status, &w);
    jsonw_object(&w);
    write_members(&w, c, r, commit == NULL);
    if (commit)
        settle_write(&w, commit);
    jsonw_object_end(&w);
    reply_etag(reply, r->revision);
}

/* ---- POST /sources ---- */

struct create_body {
    struct str collection, name, owner, contact, licence, description;
    json_t *max_age;
    double trust;
};
static const struct json_field create_fields[] = {
    JSON_FIELD(struct create_body, collection, JSON_FIELD_STR, .max = NAME_MAX),
    JSON_FIELD(struct create_body, name, JSON_FIELD_STR, .required = true, .min = 1, .max = NAME_MAX),
    JSON_FIELD(struct create_body, owner, JSON_FIELD_STR, .max = TEXT_MAX, .nullable = true),
    JSON_FIELD(struct create_body, contact, JSON_FIELD_STR, .max = TEXT_MAX, .nullable = true),
    JSON_FIELD(struct create_body, licence, JSON_FIELD_STR, .max = TEXT_MAX, .nullable = true),
    JSON_FIELD(struct create_body, description, JSON_FIELD_STR, .max = DESCRIPTION_MAX, .nullable = true),
    JSON_FIELD(struct create_body, max_age, JSON_FIELD_ANY),
    JSON_FIELD(struct create_body, trust, JSON_FIELD_DOUBLE, .min = 0, .max = 1),
    JSON_FIELDS_END,
};

enum assay_code handle_sources_create(struct request *req, struct reply *reply, struct err *err)
{
    struct create_body in = {.trust = 1.0};
    struct collection *c;
    struct source_row row = {0};
    struct store_commit commit = {0};
    TRY(request_no_query(req, err));
    TRY(request_json(req, create_fields, &in, err));
    if (!str_is_name(in.name, NAME_MAX))
        return err_add_field(err, "/name", "must match ^[A-Za-z0-9._-]{1,128}$");
    struct source_new source = {.name = in.name,
                                .owner = in.owner,
                                .contact = in.contact,
                                .licence = in.licence,
                                .description = in.description,
                                .trust = in.trust};
    TRY(read_max_age(in.max_age, &source.max_age, &source.max_age_us, err));
    TRY(catalog_get(req->server->catalog, in.collection, true, &c, err));
    TRY(store_source_create(req->server->store, &req->call, c->id, &source, &row, &commit, err));
    follower_notify(req->server->follower);
    reply_source(reply, 201, c, &row, &commit);
    reply_header(reply, "Location", "/sources/%.*s?collection=%.*s", STR_FMT(row.name), STR_FMT(c->name));
    return ASSAY_OK;
}

/* ---- GET /sources, GET /sources/{name} ---- */

struct list_query {
    struct str collection, cursor;
    int64_t limit;
};
static const struct json_field list_fields[] = {
    JSON_FIELD(struct list_query, collection, JSON_FIELD_STR, .max = NAME_MAX),
    PAGE_FIELDS(struct list_query),
    JSON_FIELDS_END,
};

enum assay_code handle_sources_list(struct request *req, struct reply *reply, struct err *err)
{
    struct list_query q = {.limit = PAGE_DEFAULT};
    struct collection *c;
    struct str after;
    struct source_row *rows;
    size_t n;
    TRY(request_query(req, list_fields, &q, err));
    TRY(catalog_get(req->server->catalog, q.collection, false, &c, err));
    TRY(request_cursor(req, q.cursor, &after, err));
    TRY(store_source_list(req->server->store, &req->call, c->id, after, (size_t)q.limit + 1, &rows, &n, err));
    bool more = page_cut(&n, q.limit);
    struct jsonw w;
    reply_list(reply, &w);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&w);
        write_members(&w, c, &rows[i], false);
        jsonw_object_end(&w);
    }
    reply_list_end(&w, more ? request_cursor_make(req, rows[n - 1].name) : NULL);
    return ASSAY_OK;
}

enum assay_code handle_sources_get(struct request *req, struct reply *reply, struct err *err)
{
    struct collection *c;
    struct source_row row;
    TRY(path_collection(req, &c, err));
    TRY(store_source_get(req->server->store, &req->call, c->id, req->params[0], &row, err));
    reply_source(reply, 200, c, &row, NULL);
    return ASSAY_OK;
}

/* ---- PATCH /sources/{name} ---- */

struct patch_body {
    json_t *max_age; /* null takes the limit away. First: a present_offset of 0 would mean that there is none */
    struct source_patch patch;
};
#define PATCH_TEXT(member, longest)                                                                                    \
    {                                                                                                                  \
        .name = #member, .type = JSON_FIELD_STR, .offset = offsetof(struct patch_body, patch.member),                  \
        .present_offset = offsetof(struct patch_body, patch.has_##member), .max = (longest)                            \
    }
static const struct json_field patch_fields[] = {
    PATCH_TEXT(owner, TEXT_MAX),
    PATCH_TEXT(contact, TEXT_MAX),
    PATCH_TEXT(licence, TEXT_MAX),
    PATCH_TEXT(description, DESCRIPTION_MAX),
    {.name = "max_age",
     .type = JSON_FIELD_ANY,
     .offset = offsetof(struct patch_body, max_age),
     .present_offset = offsetof(struct patch_body, patch.has_max_age)},
    {.name = "trust",
     .type = JSON_FIELD_DOUBLE,
     .offset = offsetof(struct patch_body, patch.trust),
     .present_offset = offsetof(struct patch_body, patch.has_trust),
     .min = 0,
     .max = 1},
    JSON_FIELDS_END,
};

enum assay_code handle_sources_patch(struct request *req, struct reply *reply, struct err *err)
{
    struct patch_body in = {0};
    struct source_patch *p = &in.patch;
    struct collection *c;
    struct source_row row = {0};
    struct store_commit commit = {0};
    TRY(path_collection(req, &c, err));
    TRY(request_json(req, patch_fields, &in, err));
    TRY(read_max_age(in.max_age, &p->max_age, &p->max_age_us, err));
    if (!(p->has_owner || p->has_contact || p->has_licence || p->has_description || p->has_max_age || p->has_trust))
        return err_set(err, ASSAY_INVALID, NULL,
                       "nothing to change: give owner, contact, licence, description, max_age or trust");
    TRY(request_if_match(req, &p->if_revision, err));
    TRY(store_source_patch(req->server->store, &req->call, c->id, req->params[0], p, &row, &commit, err));
    TRY(settle(req, c, &commit, err));
    reply_source(reply, 200, c, &row, &commit);
    return ASSAY_OK;
}

/* ---- POST /sources/{name}/block, /unblock ---- */

struct block_body {
    struct str reason; /* called note when it is lifted */
};
static const struct json_field block_fields[] = {
    JSON_FIELD(struct block_body, reason, JSON_FIELD_STR, .required = true, .min = 1, .max = TEXT_MAX),
    JSON_FIELDS_END,
};
static const struct json_field unblock_fields[] = {
    {.name = "note",
     .type = JSON_FIELD_STR,
     .offset = offsetof(struct block_body, reason),
     .max = TEXT_MAX,
     .nullable = true},
    JSON_FIELDS_END,
};

static enum assay_code set_blocked(struct request *req, struct reply *reply, bool block, struct err *err)
{
    struct block_body in = {.reason = STR_LIT("")};
    struct collection *c;
    struct source_row row = {0};
    struct store_commit commit = {0};
    TRY(path_collection(req, &c, err));
    TRY(request_json(req, block ? block_fields : unblock_fields, &in, err));
    if (block && str_trim(in.reason).len == 0)
        return err_add_field(err, "/reason", "must not be blank");
    TRY(store_source_block(req->server->store, &req->call, c->id, req->params[0], block, in.reason, &row, &commit,
                           err));
    TRY(settle(req, c, &commit, err));
    reply_source(reply, 200, c, &row, &commit);
    return ASSAY_OK;
}

enum assay_code handle_sources_block(struct request *req, struct reply *reply, struct err *err)
{
    return set_blocked(req, reply, true, err);
}

enum assay_code handle_sources_unblock(struct request *req, struct reply *reply, struct err *err)
{
    return set_blocked(req, reply, false, err);
}
