/* The life of one request: headers, body, handler, reply. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/config.h"
#include "server/http_internal.h"

enum { ARENA_FIRST = 8 << 10 };

struct exchange *exchange_new(struct http *h, struct MHD_Connection *connection, const char *uri)
{
    struct exchange *ex = mem_calloc(1, sizeof *ex);
    ex->http = h;
    ex->connection = connection;
    atomic_init(&ex->refs, 1);
    atomic_init(&ex->phase, PHASE_RECEIVING);
    if (pthread_mutex_init(&ex->lock, NULL) != 0) {
        log_error("a request's lock cannot be made", "%s", "");
        abort();
    }
    ex->begun_us = clock_mono_us();
    ex->received_by_us = ex->begun_us + h->server->config->request_timeout_s * CLOCK_SECOND;
    ex->req.server = h->server;
    ex->req.operation = "unmatched";
    ex->req.call.arena = arena_new(ARENA_FIRST);
    ex->req.call.deadline_us = ex->received_by_us;
    ex->req.call.actor = "anonymous";
    ex->req.call.request_id = ex->request_id;
    uuid_new(ex->request_id); /* until the client names another */
    size_t len = strlen(uri);
    /* One byte more than is allowed is enough to refuse it. */
    ex->uri = str_dup(ex->req.call.arena, (struct str){uri, len > REQUEST_URI_MAX ? REQUEST_URI_MAX + 1 : len});
    ex->counted = !atomic_load(&h->server->draining);
    if (ex->counted)
        atomic_fetch_add(&h->under_way, 1);
    return ex;
}

static void exchange_release(struct exchange *ex)
{
    if (atomic_fetch_sub(&ex->refs, 1) != 1)
        return;
    atomic_fetch_sub(&ex->http->buffered, (long long)ex->body.len);
    reply_clear(&ex->reply);
    buf_free(&ex->body);
    body_stream_free(ex->stream);
    arena_free(ex->req.call.arena);
    pthread_mutex_destroy(&ex->lock);
    free(ex);
}

/* ---- becoming ready ---- */

static void become_ready(struct exchange *ex)
{
    pthread_mutex_lock(&ex->lock);
    ex->ready_us = clock_mono_us();
    int phase = atomic_load(&ex->phase);
    while (phase != PHASE_KILLED && !atomic_compare_exchange_weak(&ex->phase, &phase, PHASE_READY))
        continue;
    if (ex->waiting) {
        ex->waiting = false;
        MHD_resume_connection(ex->connection);
    }
    pthread_mutex_unlock(&ex->lock);
}

/* Answers with a problem instead of running (or going on with) a handler; the rest of the body is read and dropped. */
static void refuse(struct exchange *ex, struct err *err)
{
    log_bind(ex->request_id);
    dispatch_problem(&ex->req, &ex->dispatch, &ex->reply, err);
    log_bind(NULL);
    err_clear(err);
    ex->refused = true;
    become_ready(ex);
}

/* ---- workers ---- */

static void work(void *arg)
{
    struct exchange *ex = arg;
    ex->req.on_worker = true;
    dispatch_run(&ex->req, &ex->dispatch, &ex->reply);
    if (ex->stream)
        body_stream_close(ex->stream);
    become_ready(ex);
    exchange_release(ex);
}

/* Hands the exchange to a worker, or refuses it when there is no room. */
static void submit(struct exchange *ex)
{
    struct http *h = ex->http;
    atomic_fetch_add(&ex->refs, 1);
    pthread_mutex_lock(&h->lock);
    bool taken = !h->closed && workers_submit(h->server->workers, work, ex);
    pthread_mutex_unlock(&h->lock);
    if (taken)
        return;
    struct err err = {0};
    err_set(&err, ASSAY_UNAVAILABLE, "overloaded", "Too many requests are waiting; try again in a moment.");
    if (ex->stream)
        body_stream_close(ex->stream);
    refuse(ex, &err);
    exchange_release(ex);
}

/* ---- headers ---- */

struct header_walk {
    struct exchange *ex;
    const char *repeated; /* a header that must not be, but was */
    bool content_length, transfer_encoding, chunked, expect, nul;
    bool needs_host; /* HTTP/1.1 */
    int hosts;
    int64_t length;
};

static void note_framing(struct header_walk *w, struct str name, struct str value)
{
    if (name.len == 14 && strncasecmp(name.ptr, "content-length", 14) == 0) {
        w->content_length = true;
        if (!str_to_i64(str_trim(value), &w->length))
            w->length = INT64_MAX;
    } else if (name.len == 17 && strncasecmp(name.ptr, "transfer-encoding", 17) == 0) {
        w->transfer_encoding = true;
        struct str v = str_trim(value);
        w->chunked = v.len == 7 && strncasecmp(v.ptr, "chunked", 7) == 0;
    } else if (name.len == 6 && strncasecmp(name.ptr, "expect", 6) == 0) {
        w->expect = true;
    } else if (name.len == 4 && strncasecmp(name.ptr, "host", 4) == 0) {
        w->hosts++;
    }
}

static enum MHD_Result keep_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                   const char *value, size_t value_len)
{
    (void)kind;
    struct header_walk *w = cls;
    struct str n = {name, name_len}, v = {value ? value : "", value ? value_len : 0};
    note_framing(w, n, v);
    w->nul = w->nul || (v.len && memchr(v.ptr, '\0', v.len));
    for (size_t i = 0; i < REQUEST_HEADER_COUNT; i++) {
        if (strlen(request_header_names[i]) != n.len || strncasecmp(request_header_names[i], n.ptr, n.len) != 0)
            continue;
        if (!w->ex->req.headers[i].ptr)
            w->ex->req.headers[i] = str_dup(w->ex->req.call.arena, v);
        else if (i != HEADER_ACCEPT)
            w->repeated = request_header_names[i];
    }
    return MHD_YES;
}

static void identify(struct exchange *ex)
{
    struct request *req = &ex->req;
    struct str id = req->headers[HEADER_X_REQUEST_ID];
    if (request_id_valid(id)) {
        memcpy(ex->request_id, id.ptr, id.len);
        ex->request_id[id.len] = '\0';
    }
    if (req->headers[HEADER_TRACEPARENT].ptr)
        req->traceparent = request_trace(req->call.arena, req->headers[HEADER_TRACEPARENT]);
}

/* Everything that headers alone can be refused for. */
static enum assay_code check_head(struct exchange *ex, const struct header_walk *w, bool has_body, struct err *err)
{
    struct str uri = ex->uri;
    const char *mark = memchr(uri.ptr, '?', uri.len);
    struct str query = mark ? (struct str){mark + 1, uri.len - (size_t)(mark + 1 - uri.ptr)} : STR_LIT("");
    ex->req.path = mark ? (struct str){uri.ptr, (size_t)(mark - uri.ptr)} : uri;
    if (uri.len > REQUEST_URI_MAX)
        return err_set(err, ASSAY_URI_TOO_LONG, NULL, "The request target is longer than %d bytes.", REQUEST_URI_MAX);
    if (w->repeated)
        return err_set(err, ASSAY_INVALID, "bad-header", "The header %s is there more than once.", w->repeated);
    if (w->nul)
        return err_set(err, ASSAY_INVALID, "bad-header", "A header holds a NUL.");
    /* RFC 9112, section 3.2 */
    if (w->hosts > 1 || (w->hosts == 0 && w->needs_host))
        return err_set(err, ASSAY_INVALID, "bad-header", "The request needs one Host header.");
    /* Two framings are how requests are smuggled past proxies (RFC 9112, section 6.1). */
    if (w->transfer_encoding && (w->content_length || !w->chunked))
        return err_set(err, ASSAY_INVALID, "bad-framing",
                       "Transfer-Encoding must be `chunked`, without Content-Length.");
    TRY(dispatch_open(&ex->req, query, has_body, &ex->dispatch, err));
    const struct config *config = ex->http->server->config;
    int64_t max = ex->dispatch.streamed ? config->bulk_body_max : config->body_max;
    if (max > 0 && w->content_length && w->length > max)
        return err_set(err, ASSAY_TOO_LARGE, "body-too-large", "The body is longer than %lld bytes.", (long long)max);
    return ASSAY_OK;
}

static void stream_pause(void *ctx)
{
    MHD_suspend_connection(((struct exchange *)ctx)->connection);
}

static void stream_resume(void *ctx)
{
    MHD_resume_connection(((struct exchange *)ctx)->connection);
}

/* A streamed body: the worker starts now and reads while the rest arrives. */
static void begin_stream(struct exchange *ex)
{
    const struct config *config = ex->http->server->config;
    ex->stream = body_stream_new(config->request_timeout_s * CLOCK_SECOND, config->bulk_body_max, &ex->req.call,
                                 stream_pause, stream_resume, ex);
    ex->req.stream = ex->stream;
    atomic_store(&ex->phase, PHASE_WORKING);
    submit(ex);
}

enum MHD_Result exchange_begin(struct exchange *ex, const char *method, const char *version)
{
    struct header_walk walk = {.ex = ex, .needs_host = strcmp(version, MHD_HTTP_VERSION_1_0) != 0};
    struct err err = {0};
    ex->begun = true;
    ex->req.method = str_dup(ex->req.call.arena, str_of(method));
    MHD_get_connection_values_n(ex->connection, MHD_HEADER_KIND, keep_header, &walk);
    identify(ex);
    bool has_body = walk.transfer_encoding || (walk.content_length && walk.length > 0);
    if (check_head(ex, &walk, has_body, &err) != ASSAY_OK) {
        refuse(ex, &err);
        /* A client that waits for `100 Continue`, or means to send very much, hears the refusal at once and is cut off;
         * of any other the body is read first, since a reply to a client that is still writing is easily lost. */
        bool endless = walk.transfer_encoding && !walk.chunked; /* nothing says where the body ends */
        bool at_once = has_body && (walk.expect || walk.length > HTTP_DISCARD_MAX || endless);
        return at_once ? exchange_queue(ex) : MHD_YES;
    }
    if (ex->dispatch.streamed)
        begin_stream(ex);
    return MHD_YES;
}

/* ---- body ---- */

static enum MHD_Result discard(struct exchange *ex, size_t *n)
{
    ex->discarded += (int64_t)*n;
    *n = 0;
    return ex->discarded > HTTP_DISCARD_MAX ? MHD_NO : MHD_YES;
}

static void keep_body(struct exchange *ex, const char *data, size_t n)
{
    struct http *h = ex->http;
    struct err err = {0};
    int64_t max = h->server->config->body_max;
    if ((int64_t)(ex->body.len + n) > max) {
        err_set(&err, ASSAY_TOO_LARGE, "body-too-large", "The body is longer than %lld bytes.", (long long)max);
    } else if (atomic_load(&h->buffered) + (long long)n > h->buffered_max) {
        err_set(&err, ASSAY_UNAVAILABLE, "overloaded", "Too many bodies are arriving; try again in a moment.");
    } else {
        atomic_fetch_add(&h->buffered, (long long)n);
        buf_put(&ex->body, data, n);
        return;
    }
    refuse(ex, &err);
}

enum MHD_Result exchange_data(struct exchange *ex, const char *data, size_t *n)
{
    if (atomic_load(&ex->phase) == PHASE_KILLED)
        return MHD_NO;
    if (ex->refused)
        return discard(ex, n);
    if (ex->stream) {
        bool over = atomic_load(&ex->phase) == PHASE_READY;
        if (over)
            return discard(ex, n);
        *n -= body_stream_push(ex->stream, data, *n);
        return MHD_YES;
    }
    keep_body(ex, data, *n);
    *n = 0;
    return MHD_YES;
}

/* ---- the end of the body ---- */

/* Suspends until the reply is ready; false when it is already. */
static bool wait_for_reply(struct exchange *ex)
{
    pthread_mutex_lock(&ex->lock);
    bool wait = atomic_load(&ex->phase) == PHASE_WORKING;
    if (wait) {
        ex->waiting = true;
        MHD_suspend_connection(ex->connection);
    }
    pthread_mutex_unlock(&ex->lock);
    return wait;
}

/* The whole request is here: runs the handler here or on a worker. */
static enum MHD_Result handle(struct exchange *ex)
{
    ex->req.body = buf_str(&ex->body);
    ex->req.call.deadline_us = clock_mono_us() + ex->http->server->config->request_timeout_s * CLOCK_SECOND;
    bool deferred = ex->dispatch.route->run == RUN_WORKER || dispatch_run(&ex->req, &ex->dispatch, &ex->reply);
    if (!deferred) {
        become_ready(ex);
        return exchange_queue(ex);
    }
    wait_for_reply(ex);
    submit(ex);
    return MHD_YES;
}

enum MHD_Result exchange_end(struct exchange *ex)
{
    atomic_store(&ex->body_done, true);
    int receiving = PHASE_RECEIVING;
    if (!ex->stream && atomic_compare_exchange_strong(&ex->phase, &receiving, PHASE_WORKING))
        return handle(ex);
    if (ex->stream)
        body_stream_end(ex->stream);
    if (wait_for_reply(ex))
        return MHD_YES;
    return exchange_queue(ex);
}

/* ---- the end of it all ---- */

void exchange_completed(struct exchange *ex)
{
    if (ex->stream)
        body_stream_abort(ex->stream);
    bool quiet = ex->dispatch.route && ex->dispatch.route->scope == 0;
    log_bind(ex->request_id);
    log_at(quiet ? LOG_DEBUG : LOG_INFO, "request", "method=%s operation=%s status=%d bytes=%zu took_ms=%.3f key=%s",
           log_quote(ex->req.method.ptr).s, ex->req.operation, ex->status, ex->sent_bytes,
           (double)(ex->status ? ex->took_us : clock_mono_us() - ex->begun_us) / 1000.0,
           log_quote(ex->req.actor.name.ptr ? ex->req.actor.name.ptr : "-").s);
    log_bind(NULL);
    if (ex->counted)
        atomic_fetch_sub(&ex->http->under_way, 1);
    exchange_release(ex);
}
