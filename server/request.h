/*
 * One HTTP request as handlers see it. Owned by the HTTP layer; lives until the reply is sent. Handlers never see
 * libmicrohttpd.
 */
#ifndef ASSAY_SERVER_REQUEST_H
#define ASSAY_SERVER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/call.h"
#include "base/err.h"
#include "base/json_read.h"
#include "base/str.h"
#include "server/auth.h"

struct server;
struct body_stream;

enum { REQUEST_PATH_PARAMS_MAX = 4, REQUEST_QUERY_MAX = 64, REQUEST_URI_MAX = 8192 };

/* The headers that are kept for handlers; the order is that of the names in request.c. */
enum request_header_id {
    HEADER_ACCEPT,
    HEADER_AUTHORIZATION, /* for dispatch.c; gone when a handler runs */
    HEADER_CONTENT_ENCODING,
    HEADER_CONTENT_TYPE,
    HEADER_IDEMPOTENCY_KEY,
    HEADER_IF_MATCH,
    HEADER_IF_NONE_MATCH,
    HEADER_LAST_EVENT_ID,
    HEADER_TRACEPARENT,
    HEADER_X_REQUEST_ID,
    REQUEST_HEADER_COUNT
};
extern const char *const request_header_names[REQUEST_HEADER_COUNT]; /* lower case */

struct request {
    struct server *server;
    struct call call;                           /* arena, deadline, request id, actor ("key:<name>") */
    const char *operation;                      /* the route's operation_id */
    struct str method, path;                    /* path: raw, still percent-encoded, without the query */
    struct str params[REQUEST_PATH_PARAMS_MAX]; /* {name} parts of the pattern, decoded, in order */
    struct json_param query[REQUEST_QUERY_MAX];
    size_t n_query;
    struct str body;            /* whole body of a buffered route */
    struct body_stream *stream; /* of a streaming route, else NULL */
    struct principal actor;     /* who asks; scopes already checked against the route */
    bool on_worker;             /* blocking calls are allowed */
    const char *traceparent;    /* what the reply returns: the trace taken, with a span of ours; NULL when none came */
    struct str headers[REQUEST_HEADER_COUNT];
};

/* Splits a query string (after the '?') into req->query, decoded as a form. ASSAY_INVALID for bad escapes, text that is
 * not UTF-8, and more than REQUEST_QUERY_MAX parameters. */
enum assay_code request_parse_query(struct request *req, struct str query, struct err *err) MUST_USE;
/* Takes a valid W3C traceparent and makes ours: same trace id and flags, a new span id. NULL when it is not valid. */
const char *request_trace(struct arena *a, struct str traceparent);
/* Is it fit to be a request id: 1 to 64 of [A-Za-z0-9._-]? */
bool request_id_valid(struct str s);

/* Parses the body as a JSON object and reads it by the table. An empty body counts as {} when no field is required. */
enum assay_code request_json(struct request *req, const struct json_field *fields, void *target,
                             struct err *err) MUST_USE;
/* Same, and also gives the tree. */
enum assay_code request_json_tree(struct request *req, json_t **out, struct err *err) MUST_USE;
/* Query parameters by the table. */
enum assay_code request_query(struct request *req, const struct json_field *fields, void *target,
                              struct err *err) MUST_USE;
/* Of an operation without query parameters: one that is given is refused, since it would be ignored. */
enum assay_code request_no_query(struct request *req, struct err *err) MUST_USE;
/* A header's value, or the absent string. Name is case-insensitive. The HTTP layer keeps those named in request.c. */
struct str request_header(const struct request *req, const char *name);
/* If-Match: revision number of a strong ETag `"<n>"`, 0 when absent or `*`. ASSAY_INVALID when malformed. */
enum assay_code request_if_match(const struct request *req, int64_t *revision, struct err *err) MUST_USE;

/* Blocking read of the next bytes of a streamed body; *n == 0 at its end. Worker threads only. Fails with ASSAY_TIMEOUT
 * when the client stalls past the request timeout, ASSAY_UNAVAILABLE when it went away. */
enum assay_code body_stream_read(struct body_stream *s, char *to, size_t max, size_t *n, struct err *err) MUST_USE;

/* Opaque cursors: base64url over the keyset text plus the operation, so that a cursor of another list is refused. */
enum assay_code request_cursor(struct request *req, struct str cursor, struct str *keyset, struct err *err) MUST_USE;
char *request_cursor_make(struct request *req, struct str keyset); /* arena-owned */

#endif
