/*
 * Routes: one static table (routes.c), one row per operation. Generic work happens before a handler runs, in this
 * order: match (404, 405 + Allow), draining (503), authenticate, authorise, Content-Type, body limit.
 */
#ifndef ASSAY_SERVER_ROUTER_H
#define ASSAY_SERVER_ROUTER_H

#include "server/reply.h"
#include "server/request.h"

enum route_body { BODY_NONE, BODY_JSON };
enum route_run { RUN_INLINE, RUN_WORKER }; /* INLINE: never blocks, runs on the HTTP thread; may return ASSAY_DEFER */

typedef enum assay_code (*route_handler)(struct request *req, struct reply *reply, struct err *err);

struct route {
    const char *method, *pattern; /* "/sources/{name}/block" */
    const char *operation;        /* operationId in openapi.yaml */
    unsigned scope;               /* one of enum key_scope that is needed; 0: open to all */
    enum route_body body;
    enum route_run run;
    bool idempotent_key; /* honours Idempotency-Key */
    route_handler handler;
    const char *stream_type;      /* media type whose body is streamed to stream_handler instead; NULL: none */
    route_handler stream_handler; /* always on a worker */
    bool encoded_body;            /* the handler reads Content-Encoding itself; others take no encoded body */
};
extern const struct route routes[]; /* ends with method NULL */

/* Finds the row; fills params (decoded into the arena). ASSAY_NOT_FOUND, or ASSAY_METHOD with *allow set to the
 * methods. */
enum assay_code router_match(struct arena *a, struct str method, struct str path, const struct route **out,
                             struct str params[REQUEST_PATH_PARAMS_MAX], const char **allow, struct err *err) MUST_USE;

#endif
