#include "server/workers.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/log.h"

struct task {
    void (*fn)(void *);
    void *ctx;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool stopping;
    struct task *ring; /* queue_max entries */
    size_t queue_max, first, queued;
    int n_threads;
    pthread_t threads[];
};

/* Takes tasks until the pool stops and the queue is empty. */
static void *worker_main(void *arg)
{
    struct workers *w = arg;
    (void)pthread_setname_np(pthread_self(), "worker");
    for (;;) {
        pthread_mutex_lock(&w->lock);
        while (w->queued == 0 && !w->stopping)
            pthread_cond_wait(&w->ready, &w->lock);
        if (w->queued == 0) {
            pthread_mutex_unlock(&w->lock);
            return NULL;
        }
        struct task task = w->ring[w->first];
        w->first = (w->first + 1) % w->queue_max;
        w->queued--;
        pthread_mutex_unlock(&w->lock);
        task.fn(task.ctx);
    }
}

struct workers *workers_new(int threads, size_t queue_max)
{
    struct workers *w = mem_calloc(1, sizeof *w + (size_t)threads * sizeof w->threads[0]);
    w->ring = mem_calloc(queue_max, sizeof *w->ring);
    w->queue_max = queue_max;
    if (pthread_mutex_init(&w->lock, NULL) != 0 || pthread_cond_init(&w->ready, NULL) != 0) {
        log_error("the worker pool's locks cannot be made", "%s", "");
        abort();
    }
    for (; w->n_threads < threads; w->n_threads++)
        if (pthread_create(&w->threads[w->n_threads], NULL, worker_main, w) != 0)
            break;
    if (w->n_threads < threads)
        log_warn("fewer worker threads than asked for", "threads=%d asked=%d", w->n_threads, threads);
    if (w->n_threads == 0) {
        workers_free(w);
        return NULL;
    }
    return w;
}

bool workers_submit(struct workers *w, void (*fn)(void *), void *ctx)
{
    pthread_mutex_lock(&w->lock);
    bool taken = !w->stopping && w->queued < w->queue_max;
    if (taken) {
        w->ring[(w->first + w->queued) % w->queue_max] = (struct task){fn, ctx};
        w->queued++;
        pthread_cond_signal(&w->ready);
    }
    pthread_mutex_unlock(&w->lock);
    return taken;
}

size_t workers_queued(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    size_t n = w->queued;
    pthread_mutex_unlock(&w->lock);
    return n;
}

void workers_stop(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->ready);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i], NULL);
    w->n_threads = 0;
}

void workers_free(struct workers *w)
{
    if (!w)
        return;
    workers_stop(w);
    pthread_cond_destroy(&w->ready);
    pthread_mutex_destroy(&w->lock);
    free(w->ring);
    free(w);
}
