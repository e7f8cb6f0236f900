/* Server-sent events: suspended connections and one thread that asks their sources what is new. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http_internal.h"

enum { TICK_MS = 500, PING_SECONDS = 15, BLOCK = 8 << 10, UNSENT_MAX = 1 << 20 };

/* Held by the hub's list (until the ticker drops it) and by the library's response. */
struct sse_stream {
    struct sse_stream *next;
    struct sse_source source;
    struct MHD_Connection *connection;
    struct sse_hub *hub;
    atomic_int refs;
    pthread_mutex_t lock;
    struct buf out;
    size_t sent; /* of out */
    int64_t last_us;
    bool done; /* nothing will be added */
    bool suspended;
    bool gone; /* the connection is */
};

struct sse_hub {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct sse_stream *streams;
    int n;
    bool ended, stopping;
    pthread_t ticker;
    bool ticker_runs;
};

static void stream_release(struct sse_stream *s)
{
    if (atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    if (s->source.free)
        s->source.free(s->source.ctx);
    buf_free(&s->out);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Appends (or ends) and lets the connection go on when it waits for this. */
static void stream_add(struct sse_stream *s, const struct buf *events, bool done)
{
    int64_t now = clock_mono_us();
    pthread_mutex_lock(&s->lock);
    /* A client that does not read is not worth memory. */
    done = done || s->out.len - s->sent > UNSENT_MAX;
    if (events->len > 0) {
        buf_put(&s->out, events->data, events->len);
        s->last_us = now;
    } else if (now - s->last_us >= PING_SECONDS * CLOCK_SECOND) {
        buf_puts(&s->out, ":\n\n");
        s->last_us = now;
    }
    s->done = s->done || done;
    if (s->suspended && !s->gone && (s->done || s->out.len > s->sent)) {
        s->suspended = false;
        MHD_resume_connection(s->connection);
    }
    pthread_mutex_unlock(&s->lock);
}

static bool stream_is_over(struct sse_stream *s)
{
    pthread_mutex_lock(&s->lock);
    bool over = s->gone || s->done;
    pthread_mutex_unlock(&s->lock);
    return over;
}

/* One round over all streams. Sources may block, so the hub is not locked while they are asked; only the ticker removes
 * streams from the list, so walking it is safe, and new ones come in at its head. */
static void tick(struct sse_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    struct sse_stream *first = hub->streams;
    bool ended = hub->ended;
    pthread_mutex_unlock(&hub->lock);
    for (struct sse_stream *s = first; s; s = s->next) {
        struct buf events = {0};
        bool done = ended;
        if (!ended && !stream_is_over(s))
            s->source.poll(s->source.ctx, &events, &done);
        stream_add(s, &events, done);
        buf_free(&events);
    }
    pthread_mutex_lock(&hub->lock);
    for (struct sse_stream **at = &hub->streams; *at;) {
        struct sse_stream *s = *at;
        if (!stream_is_over(s)) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        hub->n--;
        stream_release(s);
    }
    pthread_mutex_unlock(&hub->lock);
}

static void *ticker_main(void *arg)
{
    struct sse_hub *hub = arg;
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        pthread_mutex_lock(&hub->lock);
        if (!hub->stopping)
            pthread_cond_timedwait(&hub->wake, &hub->lock, &until);
        bool stopping = hub->stopping;
        pthread_mutex_unlock(&hub->lock);
        tick(hub);
        if (stopping)
            return NULL;
    }
}

struct sse_hub *sse_hub_new(void)
{
    struct sse_hub *hub = mem_calloc(1, sizeof *hub);
    pthread_condattr_t attr;
    bool ok = pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&hub->wake, &attr) == 0 && pthread_mutex_init(&hub->lock, NULL) == 0;
    if (!ok) {
        log_error("the event hub's locks cannot be made", "%s", "");
        abort();
    }
    pthread_condattr_destroy(&attr);
    hub->ticker_runs = pthread_create(&hub->ticker, NULL, ticker_main, hub) == 0;
    return hub;
}

static ssize_t read_events(void *cls, uint64_t position, char *to, size_t max)
{
    (void)position;
    struct sse_stream *s = cls;
    ssize_t n = 0;
    pthread_mutex_lock(&s->lock);
    size_t left = s->out.len - s->sent;
    if (left > 0) {
        size_t take = left < max ? left : max;
        memcpy(to, s->out.data + s->sent, take);
        s->sent += take;
        if (s->sent == s->out.len)
            s->out.len = s->sent = 0;
        n = (ssize_t)take;
    } else if (s->done) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        s->suspended = true;
        MHD_suspend_connection(s->connection);
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* The library is through with the response: the client went away or has it all. */
static void forget_stream(void *cls)
{
    struct sse_stream *s = cls;
    pthread_mutex_lock(&s->lock);
    s->gone = true;
    pthread_mutex_unlock(&s->lock);
    stream_release(s);
}

struct MHD_Response *sse_response(struct sse_hub *hub, struct MHD_Connection *connection, const struct sse_source *from)
{
    struct sse_stream *s = mem_calloc(1, sizeof *s);
    s->source = *from;
    s->connection = connection;
    s->hub = hub;
    s->last_us = clock_mono_us();
    atomic_init(&s->refs, 2);
    if (pthread_mutex_init(&s->lock, NULL) != 0) {
        log_error("an event stream's lock cannot be made", "%s", "");
        abort();
    }
    buf_puts(&s->out, "retry: 2000\n\n");
    pthread_mutex_lock(&hub->lock);
    bool taken = hub->ticker_runs && !hub->ended && hub->n < HTTP_SSE_MAX;
    if (taken) {
        s->next = hub->streams;
        hub->streams = s;
        hub->n++;
    }
    pthread_mutex_unlock(&hub->lock);
    if (!taken) {
        atomic_store(&s->refs, 1);
        stream_release(s);
        return NULL;
    }
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_events, s, forget_stream);
    if (!r) {
        forget_stream(s);
        return NULL;
    }
    if (MHD_add_response_header(r, "X-Accel-Buffering", "no") != MHD_YES)
        log_debug("a proxy may buffer events", "%s", "");
    return r;
}

void sse_hub_end(struct sse_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->ended = true;
    pthread_cond_signal(&hub->wake);
    pthread_mutex_unlock(&hub->lock);
}

void sse_hub_stop(struct sse_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->stopping = hub->ended = true;
    pthread_cond_signal(&hub->wake);
    bool runs = hub->ticker_runs;
    hub->ticker_runs = false;
    pthread_mutex_unlock(&hub->lock);
    if (runs)
        pthread_join(hub->ticker, NULL); /* its last round has ended every stream */
}

void sse_hub_free(struct sse_hub *hub)
{
    if (!hub)
        return;
    sse_hub_stop(hub);
    pthread_cond_destroy(&hub->wake);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}
