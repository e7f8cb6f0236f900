/*
 * Server-sent events (WHATWG HTML, section 9.2) for replies that go on: a source is polled by one ticker thread every
 * 500 ms; a connection with nothing to send stays suspended and costs no thread. A ":" comment every 15 s.
 */
#ifndef ASSAY_SERVER_SSE_H
#define ASSAY_SERVER_SSE_H

#include <stdbool.h>

#include "base/str.h"

/* The struct is copied when the reply is sent. ctx must not live in the request's arena: the stream outlives it. */
struct sse_source {
    /* Appends zero or more complete events; *done ends the stream after them. Called by the ticker thread. */
    void (*poll)(void *ctx, struct buf *out, bool *done);
    void (*free)(void *ctx);
    void *ctx;
};

#endif
