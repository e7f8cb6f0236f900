#include "server/dispatch.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/server.h"

enum { IDEMPOTENCY_KEY_MAX = 255 };

/* ---- headers ---- */

/* "text/html; charset=utf-8" -> "text/html" */
static struct str media_essence(struct str content_type)
{
    const char *semicolon = content_type.len ? memchr(content_type.ptr, ';', content_type.len) : NULL;
    if (semicolon)
        content_type.len = (size_t)(semicolon - content_type.ptr);
    return str_trim(content_type);
}

static bool equals_ignoring_case(struct str s, const char *lower)
{
    return s.len == strlen(lower) && strncasecmp(s.ptr, lower, s.len) == 0;
}

bool dispatch_is_json(struct str content_type)
{
    static const char tree[] = "application/", suffix[] = "+json";
    struct str type = media_essence(content_type);
    size_t head = sizeof tree - 1, tail = sizeof suffix - 1;
    if (equals_ignoring_case(type, "application/json"))
        return true;
    return type.len > head + tail && strncasecmp(type.ptr, tree, head) == 0 &&
           strncasecmp(type.ptr + type.len - tail, suffix, tail) == 0;
}

static enum assay_code bad_idempotency_key(struct err *err)
{
    return err_set(err, ASSAY_INVALID, "bad-idempotency-key",
                   "Idempotency-Key must be a quoted string or visible ASCII characters, 1 to %d of them.",
                   IDEMPOTENCY_KEY_MAX);
}

enum assay_code dispatch_idempotency_key(struct arena *a, struct str header, struct str *out, struct err *err)
{
    struct str h = str_trim(header);
    bool quoted = h.len >= 2 && h.ptr[0] == '"' && h.ptr[h.len - 1] == '"';
    if (quoted)
        h = (struct str){h.ptr + 1, h.len - 2};
    if (h.len > 2 * IDEMPOTENCY_KEY_MAX)
        return bad_idempotency_key(err);
    char *key = arena_alloc(a, h.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < h.len; i++) {
        char c = h.ptr[i];
        if (quoted && c == '\\') {
            if (++i == h.len || (h.ptr[i] != '"' && h.ptr[i] != '\\'))
                return bad_idempotency_key(err);
            c = h.ptr[i];
        } else if (c == '"' || c < (quoted ? ' ' : '!') || c > '~') {
            return bad_idempotency_key(err);
        }
        key[n++] = c;
    }
    if (n == 0 || n > IDEMPOTENCY_KEY_MAX)
        return bad_idempotency_key(err);
    *out = (struct str){key, n};
    return ASSAY_OK;
}

/* ---- before the handler ---- */

static const char *scope_name(unsigned scope)
{
    switch (scope) {
    case SCOPE_READ:
        return "read";
    case SCOPE_WRITE:
        return "write";
    case SCOPE_STEWARD:
        return "steward";
    case SCOPE_ADMIN:
        return "admin";
    default:
        return "delegate";
    }
}

static enum assay_code authenticate(struct request *req, struct err *err)
{
    static const char scheme[] = "Bearer ";
    struct str h = str_trim(req->headers[HEADER_AUTHORIZATION]);
    req->headers[HEADER_AUTHORIZATION] = (struct str){0};
    size_t head = sizeof scheme - 1;
    if (h.len == 0)
        return err_set(err, ASSAY_UNAUTHENTICATED, NULL, "This operation needs an Authorization: Bearer header.");
    enum assay_code code = ASSAY_UNAUTHENTICATED;
    if (h.len <= head || strncasecmp(h.ptr, scheme, head) != 0)
        err_set(err, code, NULL, "The Authorization header must be `Bearer <key>`.");
    else
        code = auth_check(req->server->auth, req->call.arena, (struct str){h.ptr + head, h.len - head}, clock_now_us(),
                          &req->actor, err);
    if (code == ASSAY_OK)
        req->call.actor = arena_printf(req->call.arena, "key:%.*s", STR_FMT(req->actor.name));
    else
        metrics_add(req->server->metrics, METRIC_AUTH_FAILURES, 1);
    return code;
}

static enum assay_code check_media(struct request *req, bool has_body, struct dispatch *d, struct err *err)
{
    const struct route *r = d->route;
    struct str coding = str_trim(req->headers[HEADER_CONTENT_ENCODING]);
    if (has_body && !r->encoded_body && coding.len > 0 && !equals_ignoring_case(coding, "identity"))
        return err_set(err, ASSAY_MEDIA_TYPE, "unsupported-encoding", "This operation takes no encoded body.");
    struct str type = req->headers[HEADER_CONTENT_TYPE];
    if (r->stream_type && equals_ignoring_case(media_essence(type), r->stream_type)) {
        d->streamed = true;
        return ASSAY_OK;
    }
    if (!has_body)
        return ASSAY_OK;
    if (r->body == BODY_NONE)
        return err_set(err, ASSAY_INVALID, "unexpected-body", "This operation takes no body.");
    if (dispatch_is_json(type))
        return ASSAY_OK;
    return err_set(err, ASSAY_MEDIA_TYPE, NULL, "Content-Type must be application/json%s%s.",
                   r->stream_type ? " or " : "", r->stream_type ? r->stream_type : "");
}

enum assay_code dispatch_open(struct request *req, struct str query, bool has_body, struct dispatch *d, struct err *err)
{
    *d = (struct dispatch){0};
    req->operation = "unmatched";
    TRY(router_match(req->call.arena, req->method, req->path, &d->route, req->params, &d->allow, err));
    req->operation = d->route->operation;
    /* Probes and figures are answered to the last; they are what tells the others to go elsewhere. */
    if (d->route->scope != 0) {
        if (atomic_load(&req->server->draining))
            return err_set(err, ASSAY_UNAVAILABLE, "draining", "The server is stopping.");
        TRY(authenticate(req, err));
        if ((req->actor.scopes & d->route->scope) == 0)
            return err_set(err, ASSAY_FORBIDDEN, NULL, "This operation needs a key with the scope \"%s\".",
                           scope_name(d->route->scope));
    }
    TRY(request_parse_query(req, query, err));
    return check_media(req, has_body, d, err);
}

/* ---- the handler ---- */

void dispatch_problem(const struct request *req, const struct dispatch *d, struct reply *reply, const struct err *err)
{
    struct err shown = *err;
    if (shown.code == ASSAY_OK || shown.code == ASSAY_RETRY || shown.code == ASSAY_DEFER) {
        log_error("a handler's error cannot be shown", "operation=%s code=%d", req->operation, (int)shown.code);
        shown.code = ASSAY_INTERNAL;
        shown.slug = NULL;
        shown.detail[0] = '\0';
    }
    if (err_status(shown.code) >= 500) {
        /* Turning requests away while stopping is no news; that PostgreSQL is away is said once by whoever noticed. */
        bool stopping = atomic_load(&req->server->draining);
        log_err(shown.code != ASSAY_UNAVAILABLE ? LOG_ERROR : stopping ? LOG_DEBUG : LOG_WARN, "request failed", err);
    }
    reply_problem(reply, &shown, req->call.request_id);
    if (d->allow)
        reply_header(reply, "Allow", "%s", d->allow);
}

/* Runs the handler once. True: deferred. */
static bool run_handler(struct request *req, const struct dispatch *d, struct reply *reply)
{
    struct err err = {0};
    route_handler handler = d->streamed ? d->route->stream_handler : d->route->handler;
    enum assay_code code = handler(req, reply, &err);
    if (code == ASSAY_DEFER && !req->on_worker) {
        reply_clear(reply);
        err_clear(&err);
        return true;
    }
    if (code != ASSAY_OK) {
        err.code = code;
        dispatch_problem(req, d, reply, &err);
    }
    err_clear(&err);
    if (reply->status == 0)
        reply->status = 200;
    return false;
}

/* The same key with another request is refused, so everything that makes the request what it is goes in. */
static void fingerprint_of(const struct request *req, struct digest *out)
{
    struct digest_ctx *c = digest_begin();
    digest_update_field(c, req->method);
    digest_update_field(c, req->path);
    for (size_t i = 0; i < req->n_query; i++) {
        digest_update_field(c, req->query[i].name);
        digest_update_field(c, req->query[i].value);
    }
    digest_update_field(c, req->body);
    digest_end(c, out);
}

static void replay(struct reply *reply, const struct idempotency_row *row)
{
    reply->status = row->status;
    bool problem = str_eqc(row->content_type, "application/problem+json");
    reply->content_type = problem ? "application/problem+json" : "application/json";
    buf_put(&reply->body, row->body.ptr, row->body.len);
    reply_header(reply, "Idempotency-Replayed", "true");
}

static enum assay_code begin_idempotent(struct request *req, struct str key, struct idempotency_row *row,
                                        struct err *err)
{
    struct digest fingerprint;
    fingerprint_of(req, &fingerprint);
    TRY(store_idempotency_begin(req->server->store, &req->call, str_of(req->actor.key_id), str_of(req->operation), key,
                                &fingerprint, row, err));
    if (row->state == IDEM_RUNNING)
        return err_set(err, ASSAY_CONFLICT, "idempotency-in-progress",
                       "The first request with this Idempotency-Key is still being worked on.");
    if (row->state == IDEM_OTHER_PAYLOAD)
        return err_set(err, ASSAY_UNPROCESSABLE, "idempotency-key-reused",
                       "This Idempotency-Key was used with another request.");
    return ASSAY_OK;
}

static void end_idempotent(struct request *req, struct str key, const struct reply *reply)
{
    struct err err = {0};
    int status = reply->status >= 500 ? 0 : reply->status; /* a failure of ours may be tried again */
    struct str type = str_of(reply->content_type ? reply->content_type : "application/json");
    struct call call = req->call;
    call.deadline_us = clock_mono_us() + 5 * CLOCK_SECOND; /* the handler may have used up its own */
    if (store_idempotency_end(req->server->store, &call, str_of(req->actor.key_id), str_of(req->operation), key, status,
                              type, buf_str(&reply->body), &err) != ASSAY_OK)
        log_err(LOG_WARN, "an outcome could not be kept for its Idempotency-Key", &err);
    err_clear(&err);
}

static bool run_idempotent(struct request *req, const struct dispatch *d, struct reply *reply)
{
    struct err err = {0};
    struct str key = {0};
    struct idempotency_row row = {0};
    enum assay_code code = dispatch_idempotency_key(req->call.arena, req->headers[HEADER_IDEMPOTENCY_KEY], &key, &err);
    if (code == ASSAY_OK)
        code = begin_idempotent(req, key, &row, &err);
    if (code != ASSAY_OK) {
        dispatch_problem(req, d, reply, &err);
    } else if (row.state == IDEM_DONE) {
        replay(reply, &row);
    } else {
        run_handler(req, d, reply);
        end_idempotent(req, key, reply);
    }
    err_clear(&err);
    return false;
}

bool dispatch_run(struct request *req, const struct dispatch *d, struct reply *reply)
{
    log_bind(req->call.request_id);
    bool keyed = d->route->idempotent_key && !d->streamed && req->on_worker && req->headers[HEADER_IDEMPOTENCY_KEY].ptr;
    bool deferred = keyed ? run_idempotent(req, d, reply) : run_handler(req, d, reply);
    log_bind(NULL);
    return deferred;
}
