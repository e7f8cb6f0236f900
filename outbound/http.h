/*
 * HTTP calls out, through libcurl. One client per process; connections are kept alive and shared by threads through a
 * pool of easy handles. Redirects are not followed, only http and https are spoken, certificates are verified, bodies
 * are bounded, the call's deadline bounds every wait. Thread-safe, but for outbound_new and outbound_free.
 */
#ifndef ASSAY_OUTBOUND_HTTP_H
#define ASSAY_OUTBOUND_HTTP_H

#include "base/call.h"
#include "base/err.h"
#include "base/str.h"

struct outbound;
/* Sets libcurl up (curl_global_init, which older libraries do not allow beside other threads): call it before threads
 * are started. NULL when libcurl cannot be initialised. */
struct outbound *outbound_new(void);
/* No call may be under way. NULL is ignored. */
void outbound_free(struct outbound *o);

struct outbound_request {
    const char *url;
    struct str bearer; /* secret, may be absent; never logged */
    struct str body;   /* JSON; POST */
    int timeout_ms;
    size_t reply_max; /* bytes */
};
struct outbound_reply {
    int status;
    struct str body;       /* in call->arena */
    int64_t retry_after_s; /* of the Retry-After header; 0 when there was none */
};
/* ASSAY_OK for any HTTP status; ASSAY_UNAVAILABLE when there was no answer in time, ASSAY_UPSTREAM when the answer is
 * larger than reply_max or not HTTP. */
enum assay_code outbound_post(struct outbound *o, const struct call *call, const struct outbound_request *req,
                              struct outbound_reply *reply, struct err *err) MUST_USE;

#endif
