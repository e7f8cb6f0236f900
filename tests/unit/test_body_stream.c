#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "server/body_stream.h"
#include "server/request.h"

struct side {
    atomic_int pauses, resumes;
};

static void pause_side(void *ctx)
{
    atomic_fetch_add(&((struct side *)ctx)->pauses, 1);
}

static void resume_side(void *ctx)
{
    atomic_fetch_add(&((struct side *)ctx)->resumes, 1);
}

static char byte_at(size_t i)
{
    return (char)(i * 31 + i / 251);
}

enum { TOTAL = 3 << 20 };

struct producer {
    struct body_stream *stream;
    struct side *side;
};

/* What the HTTP thread does: pushes, and waits for the resume where it was paused. */
static void *produce(void *arg)
{
    struct producer *p = arg;
    char block[40000];
    for (size_t at = 0; at < TOTAL;) {
        size_t n = TOTAL - at < sizeof block ? TOTAL - at : sizeof block;
        for (size_t i = 0; i < n; i++)
            block[i] = byte_at(at + i);
        size_t taken = body_stream_push(p->stream, block, n);
        at += taken;
        while (taken < n && atomic_load(&p->side->resumes) < atomic_load(&p->side->pauses))
            nanosleep(&(struct timespec){0, 10000}, NULL);
    }
    body_stream_end(p->stream);
    return NULL;
}

static void test_body_stream__carries_every_byte_in_order(void **state)
{
    (void)state;
    struct side side = {0};
    struct call call = {0};
    struct body_stream *s = body_stream_new(5 * CLOCK_SECOND, 0, &call, pause_side, resume_side, &side);
    struct producer p = {s, &side};
    pthread_t thread;
    struct err err = {0};
    char got[7777];
    size_t at = 0, n = 1;
    assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
    while (n > 0) {
        assert_int_equal(body_stream_read(s, got, sizeof got, &n, &err), ASSAY_OK);
        for (size_t i = 0; i < n; i++)
            if (got[i] != byte_at(at + i))
                fail_msg("byte %zu is wrong", at + i);
        at += n;
    }
    pthread_join(thread, NULL);
    assert_int_equal(at, TOTAL);
    assert_true(atomic_load(&side.pauses) > 0);
    assert_int_equal(atomic_load(&side.pauses), atomic_load(&side.resumes));
    assert_true(call.deadline_us > clock_mono_us());
    body_stream_free(s);
}

static void test_body_stream__is_bounded(void **state)
{
    (void)state;
    struct side side = {0};
    struct call call = {0};
    struct body_stream *s = body_stream_new(CLOCK_SECOND, 0, &call, pause_side, resume_side, &side);
    static char big[BODY_STREAM_SIZE + 100];
    assert_int_equal(body_stream_push(s, big, sizeof big), BODY_STREAM_SIZE);
    assert_int_equal(atomic_load(&side.pauses), 1);
    /* Once nobody reads any more, the rest is swallowed and the producer goes on. */
    body_stream_close(s);
    assert_int_equal(atomic_load(&side.resumes), 1);
    assert_int_equal(body_stream_push(s, big, sizeof big), sizeof big);
    body_stream_free(s);
}

static void test_body_stream_read__gives_up_on_a_slow_client(void **state)
{
    (void)state;
    struct side side = {0};
    struct call call = {0};
    struct err err = {0};
    char got[16];
    size_t n = 0;
    struct body_stream *s = body_stream_new(50000, 0, &call, pause_side, resume_side, &side);
    assert_int_equal(body_stream_push(s, "x", 1), 1);
    assert_int_equal(body_stream_read(s, got, sizeof got, &n, &err), ASSAY_OK);
    assert_int_equal(n, 1);
    assert_int_equal(body_stream_read(s, got, sizeof got, &n, &err), ASSAY_TIMEOUT);
    /* A byte now and then does not buy more time. */
    assert_int_equal(body_stream_push(s, "x", 1), 1);
    assert_int_equal(body_stream_read(s, got, sizeof got, &n, &err), ASSAY_OK);
    int64_t from = clock_mono_us();
    assert_int_equal(body_stream_read(s, got, sizeof got, &n, &err), ASSAY_TIMEOUT);
    assert_true(clock_mono_us() - from < 40000);
    err_clear(&err);
    body_stream_free(s);
}

static void test_body_stream_read__notices_that_the_client_went_away(void **state)
{
    (void)state;
    struct side side = {0};
    struct call call = {0};
    struct err err = {0};
    char got[16];
    size_t n = 0;
    struct body_stream *s = body_stream_new(CLOCK_SECOND, 0, &call, pause_side, resume_side, &side);
    assert_int_equal(body_stream_push(s, "half a line", 11), 11);
    body_stream_abort(s);
    assert_int_equal(body_stream_read(s, got, sizeof got, &n, &err), ASSAY_UNAVAILABLE);
    err_clear(&err);
    body_stream_free(s);
}

static void test_body_stream_read__refuses_what_is_too_long(void **state)
{
    (void)state;
    struct side side = {0};
    struct call call = {0};
    struct err err = {0};
    char got[16];
    size_t n = 0;
    struct body_stream *s = body_stream_new(CLOCK_SECOND, 10, &call, pause_side, resume_side, &side);
    assert_int_equal(body_stream_push(s, "0123456789", 10), 10);
    assert_int_equal(body_stream_read(s, got, sizeof got, &n, &err), ASSAY_OK);
    assert_int_equal(body_stream_push(s, "x", 1), 1);
    assert_int_equal(body_stream_read(s, got, sizeof got, &n, &err), ASSAY_TOO_LARGE);
    err_clear(&err);
    body_stream_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_stream__carries_every_byte_in_order),
        cmocka_unit_test(test_body_stream__is_bounded),
        cmocka_unit_test(test_body_stream_read__gives_up_on_a_slow_client),
        cmocka_unit_test(test_body_stream_read__notices_that_the_client_went_away),
        cmocka_unit_test(test_body_stream_read__refuses_what_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
