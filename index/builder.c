#include "index/builder.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "index/segment_file.h"

enum { BUILD_NICE = 19 };

struct builder {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows; held for moments */
    pthread_cond_t changed;
    struct build_job *first, *last;
    bool stop;
};

/* Puts the mapped file in the place of a large result. When that fails it stays in memory and the next checkpoint tries
 * again. */
static void write_large(struct build_job *job)
{
    struct err err = {0};
    const char *why = "";
    if (job->dir == NULL || segment_heap_bytes(job->out) < job->write_bytes) {
        return;
    }
    if (segment_file_write(job->out, job->dir, &job->file, &err) == ASSAY_OK) {
        struct segment *mapped = segment_file_reopen(job->dir, &job->file, job->out->dim, job->cold, &why);
        if (mapped != NULL) {
            segment_unref(job->out);
            job->out = mapped;
        } else {
            log_error("index file not usable", "file=%llu reason=\"%s\"", (unsigned long long)job->file.number, why);
        }
    }
    err_clear(&err);
}

static void run(struct build_job *job)
{
    struct err err = {0};
    if (job->work != NULL) {
        job->work(job);
        return;
    }
    job->out = segment_merge(job->in, (const uint64_t *const *)job->keep, job->n, &job->origins);
    if (job->out != NULL) {
        job->code = segment_seal(job->out, job->in, job->n, job->origins, &job->params, &job->cancel, &err);
    }
    if (job->code != ASSAY_OK) {
        if (!atomic_load(&job->cancel)) {
            log_err(LOG_ERROR, "segment build failed", &err);
        }
        segment_unref(job->out);
        job->out = NULL;
    }
    if (job->out != NULL) {
        write_large(job);
    }
    err_clear(&err);
}

static void *builder_main(void *arg)
{
    struct builder *b = arg;
    (void)pthread_setname_np(pthread_self(), "builder");
    /* Searches go first where cores are scarce, by about three to one; OpenMP's threads inherit it. */
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), BUILD_NICE) != 0) {
        log_warn("the builder runs at the priority of searches", "errno=%d", errno);
    }
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (b->first == NULL && !b->stop) {
            pthread_cond_wait(&b->changed, &b->lock);
        }
        struct build_job *job = b->first;
        if (job == NULL) {
            break;
        }
        b->first = job->next;
        b->last = b->first == NULL ? NULL : b->last;
        pthread_mutex_unlock(&b->lock);
        run(job);
        pthread_mutex_lock(&b->lock);
        atomic_store(&job->done, true);
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

struct builder *builder_new(void)
{
    struct builder *b = mem_calloc(1, sizeof(*b));
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    if (pthread_create(&b->thread, NULL, builder_main, b) != 0) {
        pthread_cond_destroy(&b->changed);
        pthread_mutex_destroy(&b->lock);
        free(b);
        return NULL;
    }
    return b;
}

void builder_free(struct builder *b)
{
    if (b == NULL) {
        return;
    }
    pthread_mutex_lock(&b->lock);
    assert(b->first == NULL);
    b->stop = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void builder_submit(struct builder *b, struct build_job *job)
{
    pthread_mutex_lock(&b->lock);
    job->next = NULL;
    if (b->last != NULL) {
        b->last->next = job;
    } else {
        b->first = job;
    }
    b->last = job;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

void builder_wait(struct builder *b, struct build_job *job)
{
    pthread_mutex_lock(&b->lock);
    while (!atomic_load(&job->done)) {
        pthread_cond_wait(&b->changed, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
}

void build_job_free(struct build_job *job)
{
    for (size_t i = 0; i < job->n; i++) {
        segment_unref(job->in[i]);
        free(job->keep[i]);
    }
    segment_unref(job->out);
    free(job->origins);
    free(job->in);
    free(job->keep);
    free(job);
}
