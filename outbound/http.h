/*
 * HTTP calls out, through libcurl. One client per process; connections are kept alive and shared by threads through a
 * pool of easy handles. Redirects are not followed, only http and https are spoken, bodies are bounded, the call's
 * deadline bounds every wait. Thread-safe.
 */
#ifndef ASSAY_OUTBOUND_HTTP_H
#define ASSAY_OUTBOUND_HTTP_H

#include "base/call.h"
#include "base/err.h"
#include "base/str.h"

struct outbound;
struct outbound *outbound_new(void);
void outbound_free(struct outbound *o);

struct outbound_request {
    const char *url;
    struct str bearer;      /* secret, may be absent; never logged */
    struct str body;        /* JSON; POST */
    int timeout_ms;
    size_t reply_max;       /* bytes */
};
/* ASSAY_OK for any HTTP status (in *status); ASSAY_UNAVAILABLE when there was no answer in time. Reply in call->arena. */
enum assay_code outbound_post(struct outbound *o, const struct call *call, const struct outbound_request *req,
                              int *status, struct str *reply, struct err *err) MUST_USE;

#endif
