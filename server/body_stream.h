/*
 * A bounded pipe between the thread that receives a body and the worker that reads it (body_stream_read in request.h).
 *
 * The producer never waits: when the pipe is full it is asked to pause (the connection is suspended), and to go on once
 * half of the pipe is free again. Both callbacks run under the stream's lock, so a resume never overtakes its pause.
 */
#ifndef ASSAY_SERVER_BODY_STREAM_H
#define ASSAY_SERVER_BODY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"

enum {
    BODY_STREAM_SIZE = 256 << 10,
    /* A client that is waited for has to deliver this much per timeout, so that a byte a second holds no worker. */
    BODY_STREAM_MIN_BYTES = 4 << 10
};

struct body_stream;
/* timeout_us: how long the reader waits for the client. total_max: bytes of the whole body, 0: no limit. The deadline
 * of `call` (the request's) is moved on with every read: a long body is many short requests in one. */
struct body_stream *body_stream_new(int64_t timeout_us, int64_t total_max, struct call *call, void (*pause)(void *),
                                    void (*resume)(void *), void *ctx);
void body_stream_free(struct body_stream *s);

/* Producer. Returns how many bytes were taken; less than n means that pause was called. After body_stream_close all
 * bytes are taken and dropped. */
size_t body_stream_push(struct body_stream *s, const char *data, size_t n);
void body_stream_end(struct body_stream *s);   /* the body is complete */
void body_stream_abort(struct body_stream *s); /* the client went away, or the server stops */
/* Consumer: will not read again. */
void body_stream_close(struct body_stream *s);

#endif
