#include "server/body_stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/request.h"

struct body_stream {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    char *ring;
    size_t first, used;
    int64_t total, total_max;
    bool ended, aborted, closed, too_large, paused;
    int64_t timeout_us, waited_us; /* waited since the last BODY_STREAM_MIN_BYTES arrived */
    size_t window_bytes;
    struct call *call;
    void (*pause)(void *);
    void (*resume)(void *);
    void *ctx;
};

struct body_stream *body_stream_new(int64_t timeout_us, int64_t total_max, struct call *call, void (*pause)(void *),
                                    void (*resume)(void *), void *ctx)
{
    struct body_stream *s = mem_calloc(1, sizeof *s);
    pthread_condattr_t attr;
    bool ok = pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&s->arrived, &attr) == 0 && pthread_mutex_init(&s->lock, NULL) == 0;
    if (!ok) {
        log_error("a stream's locks cannot be made", "%s", "");
        abort();
    }
    pthread_condattr_destroy(&attr);
    s->ring = mem_alloc(BODY_STREAM_SIZE);
    s->timeout_us = timeout_us;
    s->total_max = total_max;
    s->call = call;
    s->pause = pause;
    s->resume = resume;
    s->ctx = ctx;
    return s;
}

void body_stream_free(struct body_stream *s)
{
    if (!s)
        return;
    pthread_cond_destroy(&s->arrived);
    pthread_mutex_destroy(&s->lock);
    free(s->ring);
    free(s);
}

static void ring_put(struct body_stream *s, const char *data, size_t n)
{
    size_t at = (s->first + s->used) % BODY_STREAM_SIZE;
    size_t head = n < BODY_STREAM_SIZE - at ? n : BODY_STREAM_SIZE - at;
    memcpy(s->ring + at, data, head);
    memcpy(s->ring, data + head, n - head);
    s->used += n;
}

static void ring_get(struct body_stream *s, char *to, size_t n)
{
    size_t head = n < BODY_STREAM_SIZE - s->first ? n : BODY_STREAM_SIZE - s->first;
    memcpy(to, s->ring + s->first, head);
    memcpy(to + head, s->ring, n - head);
    s->first = (s->first + n) % BODY_STREAM_SIZE;
    s->used -= n;
}

static void resume_if_paused(struct body_stream *s)
{
    if (s->paused) {
        s->paused = false;
        s->resume(s->ctx);
    }
}

size_t body_stream_push(struct body_stream *s, const char *data, size_t n)
{
    pthread_mutex_lock(&s->lock);
    size_t taken = n;
    if (!s->closed && !s->aborted && !s->too_large) {
        size_t space = BODY_STREAM_SIZE - s->used;
        taken = n < space ? n : space;
        ring_put(s, data, taken);
        s->window_bytes += taken;
        s->too_large = s->total_max > 0 && s->total + (int64_t)taken > s->total_max;
        if (taken < n) {
            s->paused = true;
            s->pause(s->ctx);
        }
        pthread_cond_signal(&s->arrived);
    }
    s->total += (int64_t)taken;
    pthread_mutex_unlock(&s->lock);
    return taken;
}

void body_stream_end(struct body_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    pthread_cond_signal(&s->arrived);
    pthread_mutex_unlock(&s->lock);
}

void body_stream_abort(struct body_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->aborted = !s->ended;
    resume_if_paused(s);
    pthread_cond_signal(&s->arrived);
    pthread_mutex_unlock(&s->lock);
}

void body_stream_close(struct body_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    s->used = 0;
    resume_if_paused(s);
    pthread_mutex_unlock(&s->lock);
}

/* Waits until there is something to say; called with the lock held. False: the client is too slow. */
static bool wait_for_client(struct body_stream *s)
{
    while (s->used == 0 && !s->ended && !s->aborted && !s->too_large) {
        if (s->window_bytes >= BODY_STREAM_MIN_BYTES) {
            s->window_bytes = 0;
            s->waited_us = 0;
        }
        int64_t from = clock_mono_us();
        int64_t left = s->timeout_us - s->waited_us;
        if (left <= 0)
            return false;
        int64_t until = from + left;
        struct timespec at = {(time_t)(until / CLOCK_SECOND), (long)(until % CLOCK_SECOND) * 1000};
        int rc = pthread_cond_timedwait(&s->arrived, &s->lock, &at);
        s->waited_us += clock_mono_us() - from;
        if (rc == ETIMEDOUT)
            s->waited_us = s->timeout_us;
    }
    return true;
}

enum assay_code body_stream_read(struct body_stream *s, char *to, size_t max, size_t *n, struct err *err)
{
    enum assay_code code = ASSAY_OK;
    *n = 0;
    pthread_mutex_lock(&s->lock);
    if (!wait_for_client(s)) {
        code = err_set(err, ASSAY_TIMEOUT, NULL, "The body arrived too slowly.");
    } else if (s->aborted) {
        code = err_set(err, ASSAY_UNAVAILABLE, "body-broken-off", "The body broke off before its end.");
    } else if (s->too_large) {
        code = err_set(err, ASSAY_TOO_LARGE, "body-too-large", "The body is longer than %lld bytes.",
                       (long long)s->total_max);
    } else {
        *n = s->used < max ? s->used : max;
        ring_get(s, to, *n);
        if (s->used <= BODY_STREAM_SIZE / 2)
            resume_if_paused(s);
    }
    s->call->deadline_us = clock_mono_us() + s->timeout_us;
    pthread_mutex_unlock(&s->lock);
    return code;
}
