/*
 * Time limits that a timeout on silence cannot keep: whoever sends a byte a second is never silent. The janitor looks
 * at every connection twice a second and cuts those whose request takes longer to arrive than request_timeout_s.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/config.h"
#include "server/http_internal.h"

enum { TICK_MS = 250 };

static bool kill_from(struct exchange *ex, int phase)
{
    return atomic_compare_exchange_strong(&ex->phase, &phase, PHASE_KILLED);
}

/* A body that does not come to its end: 408. */
static void cut_slow(struct exchange *ex)
{
    struct err err = {0};
    struct reply reply = {0};
    err_set(&err, ASSAY_TIMEOUT, NULL, "The request took longer than %d seconds to arrive.",
            ex->http->server->config->request_timeout_s);
    reply_problem(&reply, &err, ex->request_id);
    exchange_cut(ex, &reply);
    reply_clear(&reply);
    err_clear(&err);
}

static void inspect(struct http *h, struct conn *c, int64_t now)
{
    const struct config *config = h->server->config;
    struct exchange *ex = c->current;
    if (!ex) {
        /* Idle, or dribbling its request line; the library's own timeout closes the silent ones. */
        int64_t limit = (config->idle_timeout_s + config->request_timeout_s) * CLOCK_SECOND;
        if (now - c->idle_since_us > limit && shutdown(c->fd, SHUT_RDWR) != 0)
            log_debug("an idle client was gone already", "errno=%d", errno);
        return;
    }
    int phase = atomic_load(&ex->phase);
    if (phase == PHASE_RECEIVING && now > ex->received_by_us) {
        if (kill_from(ex, PHASE_RECEIVING))
            cut_slow(ex);
    } else if (phase == PHASE_READY && !atomic_load(&ex->body_done) &&
               now > ex->ready_us + HTTP_DISCARD_SECONDS * CLOCK_SECOND) {
        if (kill_from(ex, PHASE_READY))
            exchange_cut(ex, &ex->reply);
    }
}

void *http_janitor_main(void *arg)
{
    struct http *h = arg;
    while (!atomic_load(&h->stopping)) {
        struct timespec tick = {0, TICK_MS * 1000000L};
        nanosleep(&tick, NULL);
        int64_t now = clock_mono_us();
        pthread_mutex_lock(&h->lock);
        for (struct conn *c = h->conns; c; c = c->next)
            inspect(h, c, now);
        pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}
