/*
 * From a request whose headers have arrived to a reply: what is the same for every operation. Knows no HTTP library.
 */
#ifndef ASSAY_SERVER_DISPATCH_H
#define ASSAY_SERVER_DISPATCH_H

#include "server/reply.h"
#include "server/request.h"
#include "server/router.h"

struct dispatch {
    const struct route *route; /* NULL until matched */
    const char *allow;         /* methods for a 405 */
    bool streamed;             /* the body goes to route->stream_handler */
};

/* Matches, refuses while draining, authenticates, authorises and checks the Content-Type, in this order. The request
 * has its method, path, query text (without '?') and headers; params, query, operation, actor and call.actor are
 * filled. has_body says whether a body was announced. Never blocks. */
enum assay_code dispatch_open(struct request *req, struct str query, bool has_body, struct dispatch *d,
                              struct err *err) MUST_USE;
/* Runs the handler and builds the reply, a problem included. True when the handler of an inline route wants to be run
 * again on a worker (req->on_worker): nothing is in the reply then. */
bool dispatch_run(struct request *req, const struct dispatch *d, struct reply *reply);
/* Builds the problem for an error; a 5xx is logged here and nowhere else. */
void dispatch_problem(const struct request *req, const struct dispatch *d, struct reply *reply, const struct err *err);

/* Idempotency-Key: a quoted string (RFC 8941, section 3.3.3) or bare visible characters; 1 to 255 of them. */
enum assay_code dispatch_idempotency_key(struct arena *a, struct str header, struct str *out, struct err *err) MUST_USE;
/* Does a Content-Type name JSON: application/json or application/<anything>+json, whatever its parameters? */
bool dispatch_is_json(struct str content_type);

#endif
