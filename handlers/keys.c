/* API keys: made, listed, deleted. The key itself is shown once, in the reply that makes it. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "handlers/handlers.h"
#include "server/server.h"
#include "store/keys.h"

enum { NAME_MAX_BYTES = 128, GROUP_MAX_BYTES = 256, GROUPS_MAX = 100, SCOPE_COUNT = 5 };

static const struct {
    const char *name;
    unsigned bit;
} scope_table[SCOPE_COUNT] = {{"read", SCOPE_READ},
                              {"write", SCOPE_WRITE},
                              {"steward", SCOPE_STEWARD},
                              {"admin", SCOPE_ADMIN},
                              {"delegate", SCOPE_DELEGATE}};

struct key_in {
    struct str name;
    struct str_list scopes, groups;
    int64_t expires_in;
    bool has_expiry;
};
static const struct json_field key_fields[] = {
    JSON_FIELD(struct key_in, name, JSON_FIELD_STR, .required = true, .min = 1, .max = NAME_MAX_BYTES),
    JSON_FIELD(struct key_in, scopes, JSON_FIELD_STRS, .required = true, .min = 1, .max = 16, .max_items = SCOPE_COUNT),
    JSON_FIELD(struct key_in, groups, JSON_FIELD_STRS, .min = 1, .max = GROUP_MAX_BYTES, .max_items = GROUPS_MAX),
    JSON_FIELD(struct key_in, expires_in, JSON_FIELD_DURATION, .nullable = true,
               .present_offset = offsetof(struct key_in, has_expiry)),
    JSON_FIELDS_END};

static enum assay_code read_scopes(struct arena *a, const struct str_list *names, unsigned *out, struct err *err)
{
    *out = 0;
    for (size_t i = 0; i < names->n; i++) {
        unsigned bit = 0;
        for (size_t s = 0; s < SCOPE_COUNT; s++)
            if (str_eqc(names->items[i], scope_table[s].name))
                bit = scope_table[s].bit;
        if (!bit)
            err_add_field(err, arena_printf(a, "/scopes/%zu", i), "must be read, write, steward, admin or delegate");
        *out |= bit;
    }
    if (names->n == 0)
        err_add_field(err, "/scopes", "needs at least one scope");
    return err->code;
}

static void write_strings(struct jsonw *w, const char *key, const struct str_list *list)
{
    jsonw_key(w, key);
    jsonw_array(w);
    for (size_t i = 0; i < list->n; i++)
        jsonw_str(w, list->items[i]);
    jsonw_array_end(w);
}

/* Everything but the key itself, into an open object. */
static void write_key(struct jsonw *w, const struct key_row *k)
{
    jsonw_kstr(w, "id", k->id);
    jsonw_kstr(w, "name", k->name);
    jsonw_key(w, "scopes");
    jsonw_array(w);
    for (size_t s = 0; s < SCOPE_COUNT; s++)
        if (k->scopes & scope_table[s].bit)
            jsonw_cstr(w, scope_table[s].name);
    jsonw_array_end(w);
    write_strings(w, "groups", &k->groups);
    jsonw_ktime(w, "created_at", k->created_at_us);
    jsonw_ktime(w, "expires_at", k->expires_at_us);
}

/* Makes this server honour the change at once; others follow within a minute. */
static void reload(struct request *req)
{
    struct err err = {0};
    if (auth_reload(req->server->auth, &req->call, &err) != ASSAY_OK)
        log_err(LOG_WARN, "the keys were changed but could not be reloaded", &err);
    err_clear(&err);
}

static void audit(struct request *req, const char *action, struct str id)
{
    struct err err = {0};
    if (store_audit(req->server->store, &req->call, 0, action, id, STR_LIT("{}"), &err) != ASSAY_OK)
        log_err(LOG_WARN, "the audit trail lacks an entry", &err);
    err_clear(&err);
}

HANDLER(handle_keys_create)
{
    struct key_in in = {0};
    struct key_row row = {.created_at_us = clock_now_us(), .expires_at_us = CLOCK_NEVER};
    char id[UUID_TEXT + 1], text[AUTH_KEY_TEXT];
    struct jsonw w;
    TRY(request_no_query(req, err));
    TRY(request_json(req, key_fields, &in, err));
    TRY(read_scopes(req->call.arena, &in.scopes, &row.scopes, err));
    if (in.has_expiry)
        row.expires_at_us = row.created_at_us + in.expires_in;
    row.name = in.name;
    row.groups = in.groups;
    uuid_new(id);
    row.id = str_of(id);
    auth_key_make(text, &row.hash);
    enum assay_code code = store_key_create(req->server->store, &req->call, &row, err);
    if (code == ASSAY_OK) {
        audit(req, "key.create", row.id);
        reload(req);
        reply_json(reply, 201, &w);
        jsonw_object(&w);
        write_key(&w, &row);
        jsonw_kcstr(&w, "key", text);
        jsonw_object_end(&w);
    }
    explicit_bzero(text, sizeof text);
    return code;
}

/* There are few keys: one page holds them all. */
HANDLER(handle_keys_list)
{
    struct key_row *rows = NULL;
    size_t n = 0;
    struct jsonw w;
    TRY(request_no_query(req, err));
    TRY(store_keys_all(req->server->store, &req->call, &rows, &n, err));
    reply_list(reply, &w);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&w);
        write_key(&w, &rows[i]);
        jsonw_object_end(&w);
    }
    reply_list_end(&w, NULL);
    return ASSAY_OK;
}

/* Without an admin key nobody could ever make another one. A key that expires does not count: it may be gone tomorrow.
 */
static enum assay_code refuse_last_admin(struct request *req, struct str id, struct err *err)
{
    struct key_row *rows = NULL;
    size_t n = 0;
    bool is_admin = false, other = false;
    TRY(store_keys_all(req->server->store, &req->call, &rows, &n, err));
    for (size_t i = 0; i < n; i++) {
        bool admin = (rows[i].scopes & SCOPE_ADMIN) != 0;
        if (str_eq(rows[i].id, id))
            is_admin = admin;
        else
            other = other || (admin && rows[i].expires_at_us == CLOCK_NEVER);
    }
    if (is_admin && !other)
        return err_set(err, ASSAY_CONFLICT, "last-admin-key",
                       "This is the last admin key that does not expire; make another one first.");
    return ASSAY_OK;
}

HANDLER(handle_keys_delete)
{
    struct str id = req->params[0];
    TRY(request_no_query(req, err));
    if (!uuid_valid(id))
        return err_set(err, ASSAY_NOT_FOUND, "unknown-key", "There is no key with this id.");
    TRY(refuse_last_admin(req, id, err));
    TRY(store_key_delete(req->server->store, &req->call, id, err));
    audit(req, "key.delete", id);
    reload(req);
    reply->status = 204;
    return ASSAY_OK;
}
