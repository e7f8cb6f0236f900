/*
 * A reply under construction. Handlers set status, headers and write a body; the HTTP layer sends it. Errors are turned
 * into RFC 9457 problems in one place (reply_problem).
 */
#ifndef ASSAY_SERVER_REPLY_H
#define ASSAY_SERVER_REPLY_H

#include "base/err.h"
#include "base/json_write.h"
#include "base/str.h"

enum { REPLY_HEADERS_MAX = 12 };
struct reply_header {
    const char *name; /* static */
    char value[256];
};
struct sse_source;
struct reply {
    int status;               /* default 200 */
    const char *content_type; /* static; default application/json */
    struct buf body;          /* handed to the HTTP layer without a copy */
    struct reply_header headers[REPLY_HEADERS_MAX];
    size_t n_headers;
    struct sse_source *sse; /* server-sent events instead of a body */
};

/* Starts a JSON body with the given status. */
void reply_json(struct reply *r, int status, struct jsonw *w);
void reply_header(struct reply *r, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
void reply_etag(struct reply *r, int64_t revision); /* strong: "<n>" */
void reply_clear(struct reply *r);
/* Replaces whatever was built by the problem that `err` describes. */
void reply_problem(struct reply *r, const struct err *err, const char *request_id);
/* The list envelope {"items":[ ... ],"next":...}: begin, write the items, end with the cursor or NULL. */
void reply_list(struct reply *r, struct jsonw *w);
void reply_list_end(struct jsonw *w, const char *next);

#endif
