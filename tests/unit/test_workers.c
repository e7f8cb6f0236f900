#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "server/workers.h"

static void count(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int inside;
    bool open;
};

static void wait_at(void *ctx)
{
    struct gate *g = ctx;
    pthread_mutex_lock(&g->lock);
    g->inside++;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void wait_for_inside(struct gate *g, int n)
{
    pthread_mutex_lock(&g->lock);
    while (g->inside < n)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void test_workers_free__finishes_what_is_queued(void **state)
{
    (void)state;
    atomic_int done = 0;
    struct workers *w = workers_new(3, 1000);
    assert_non_null(w);
    for (int i = 0; i < 1000; i++)
        while (!workers_submit(w, count, &done))
            continue;
    workers_free(w);
    assert_int_equal(atomic_load(&done), 1000);
}

static void test_workers_submit__refuses_when_full_and_after_stop(void **state)
{
    (void)state;
    struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    atomic_int done = 0;
    struct workers *w = workers_new(1, 2);
    assert_true(workers_submit(w, wait_at, &g));
    wait_for_inside(&g, 1); /* the only thread is busy, the queue is empty */
    assert_true(workers_submit(w, count, &done));
    assert_true(workers_submit(w, count, &done));
    assert_false(workers_submit(w, count, &done));
    assert_int_equal(workers_queued(w), 2);
    pthread_mutex_lock(&g.lock);
    g.open = true;
    pthread_cond_broadcast(&g.changed);
    pthread_mutex_unlock(&g.lock);
    workers_stop(w);
    assert_int_equal(atomic_load(&done), 2);
    assert_false(workers_submit(w, count, &done));
    assert_int_equal(workers_queued(w), 0);
    workers_free(w);
}

static void test_workers__run_at_the_same_time(void **state)
{
    (void)state;
    struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct workers *w = workers_new(4, 8);
    for (int i = 0; i < 4; i++)
        assert_true(workers_submit(w, wait_at, &g));
    wait_for_inside(&g, 4); /* hangs unless all four are inside together */
    pthread_mutex_lock(&g.lock);
    g.open = true;
    pthread_cond_broadcast(&g.changed);
    pthread_mutex_unlock(&g.lock);
    workers_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_free__finishes_what_is_queued),
        cmocka_unit_test(test_workers_submit__refuses_when_full_and_after_stop),
        cmocka_unit_test(test_workers__run_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
