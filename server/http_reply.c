/* Replies: through libmicrohttpd, or past it when it cannot. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http_internal.h"

enum { CUT_BODY_MAX = 16 << 10 };

static bool add_header(struct MHD_Response *r, const char *name, const char *value)
{
    if (MHD_add_response_header(r, name, value) == MHD_YES)
        return true;
    log_warn("a reply header was refused", "name=%s", name);
    return false;
}

static void add_headers(const struct exchange *ex, struct MHD_Response *r)
{
    const struct reply *reply = &ex->reply;
    if (reply->body.len > 0 || reply->sse)
        add_header(r, "Content-Type", reply->content_type ? reply->content_type : "application/json");
    add_header(r, "X-Request-Id", ex->request_id);
    if (ex->req.traceparent)
        add_header(r, "traceparent", ex->req.traceparent);
    add_header(r, "X-Content-Type-Options", "nosniff");
    add_header(r, "Cache-Control", reply->sse ? "no-cache" : "no-store");
    for (size_t i = 0; i < reply->n_headers; i++)
        add_header(r, reply->headers[i].name, reply->headers[i].value);
    if (atomic_load(&ex->http->server->draining))
        add_header(r, "Connection", "close");
}

/* The response takes over the body's memory, or the event source. */
static struct MHD_Response *make_response(struct exchange *ex)
{
    struct reply *reply = &ex->reply;
    if (reply->sse) {
        struct MHD_Response *r = sse_response(ex->http->sse, ex->connection, reply->sse);
        if (r) {
            reply->content_type = "text/event-stream";
            return r;
        }
        struct err err = {0};
        err_set(&err, ASSAY_UNAVAILABLE, "overloaded", "Too many event streams are open.");
        reply->sse = NULL;
        dispatch_problem(&ex->req, &ex->dispatch, reply, &err);
        err_clear(&err);
    }
    if (reply->body.len == 0)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *r = MHD_create_response_from_buffer(reply->body.len, reply->body.data, MHD_RESPMEM_MUST_FREE);
    if (r)
        reply->body.data = NULL; /* len stays for the headers; forgotten below */
    return r;
}

enum MHD_Result exchange_queue(struct exchange *ex)
{
    int ready = PHASE_READY;
    if (!atomic_compare_exchange_strong(&ex->phase, &ready, PHASE_QUEUED))
        return MHD_NO; /* the janitor was faster */
    struct MHD_Response *r = make_response(ex);
    if (!r)
        return MHD_NO;
    size_t bytes = ex->reply.sse ? 0 : ex->reply.body.len;
    add_headers(ex, r);
    enum MHD_Result done = MHD_queue_response(ex->connection, (unsigned)ex->reply.status, r);
    MHD_destroy_response(r);
    ex->reply.sse = NULL;
    if (!ex->reply.body.data)
        ex->reply.body = (struct buf){0};
    ex->status = ex->reply.status;
    ex->sent_bytes = bytes;
    ex->took_us = clock_mono_us() - ex->begun_us;
    metrics_request(ex->http->server->metrics, ex->req.operation, ex->status, ex->took_us);
    return done;
}

/* ---- past the library ---- */

static const char *reason_of(int status)
{
    switch (status) {
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Error";
    }
}

void exchange_cut(struct exchange *ex, const struct reply *reply)
{
    struct buf out = {0};
    /* Under TLS the bytes would have to go through the session, which belongs to the library: the connection just ends.
     */
    if (!ex->http->tls_cert && reply->body.len <= CUT_BODY_MAX) {
        buf_printf(&out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nX-Request-Id: %s\r\n",
                   reply->status, reason_of(reply->status), reply->content_type, reply->body.len, ex->request_id);
        for (size_t i = 0; i < reply->n_headers; i++)
            buf_printf(&out, "%s: %s\r\n", reply->headers[i].name, reply->headers[i].value);
        buf_puts(&out, "Cache-Control: no-store\r\nConnection: close\r\n\r\n");
        buf_put(&out, reply->body.data, reply->body.len);
        if (send(ex->conn->fd, out.data, out.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            log_debug("a slow client did not take the refusal", "errno=%d", errno);
        buf_free(&out);
    }
    if (shutdown(ex->conn->fd, SHUT_RDWR) != 0)
        log_debug("a slow client was gone already", "errno=%d", errno);
    ex->status = reply->status;
    ex->took_us = clock_mono_us() - ex->begun_us;
    metrics_request(ex->http->server->metrics, ex->req.operation, reply->status, ex->took_us);
}
