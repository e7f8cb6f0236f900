#include "server/reply.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "server/problem.h"
#include "server/sse.h"

void reply_clear(struct reply *r)
{
    buf_free(&r->body);
    if (r->sse && r->sse->free)
        r->sse->free(r->sse->ctx);
    *r = (struct reply){0};
}

void reply_json(struct reply *r, int status, struct jsonw *w)
{
    r->status = status;
    r->content_type = "application/json";
    r->body.len = 0;
    jsonw_init(w, &r->body);
}

void reply_header(struct reply *r, const char *name, const char *fmt, ...)
{
    assert(r->n_headers < REPLY_HEADERS_MAX);
    if (r->n_headers == REPLY_HEADERS_MAX)
        return;
    struct reply_header *h = &r->headers[r->n_headers];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(h->value, sizeof h->value, fmt, args);
    va_end(args);
    /* A value that does not fit, or could end the line and forge another header, is left out rather than cut. */
    if (n < 0 || (size_t)n >= sizeof h->value)
        return;
    for (const char *p = h->value; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7F)
            return;
    h->name = name;
    r->n_headers++;
}

void reply_etag(struct reply *r, int64_t revision)
{
    reply_header(r, "ETag", "\"%lld\"", (long long)revision);
}

void reply_problem(struct reply *r, const struct err *err, const char *request_id)
{
    struct jsonw w;
    int status = err_status(err->code);
    reply_clear(r);
    reply_json(r, status, &w);
    r->content_type = "application/problem+json";
    jsonw_object(&w);
    problem_members(&w, err);
    jsonw_kcstr(&w, "request_id", request_id);
    jsonw_object_end(&w);
    if (status == 401)
        reply_header(r, "WWW-Authenticate", "Bearer realm=\"assay\"");
    if (status == 503 || status == 429)
        reply_header(r, "Retry-After", "1");
}

void reply_list(struct reply *r, struct jsonw *w)
{
    reply_json(r, 200, w);
    jsonw_object(w);
    jsonw_key(w, "items");
    jsonw_array(w);
}

void reply_list_end(struct jsonw *w, const char *next)
{
    jsonw_array_end(w);
    jsonw_key(w, "next");
    if (next)
        jsonw_str(w, str_of(next));
    else
        jsonw_null(w);
    jsonw_object_end(w);
}
