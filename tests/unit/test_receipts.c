#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "server/receipts.h"
#include "store/store.h"

/* Nothing listens there: every receipt stays in the ring, which is what these tests look at. That receipts reach
 * PostgreSQL and can be read back is for the integration tests. */
static struct store *store_away(void)
{
    struct store_config cfg = {.url = "host=/nonexistent-socket-dir dbname=none",
                               .pool_size = 1,
                               .connect_timeout_s = 1,
                               .statement_timeout_ms = 1000,
                               .migrations_dir = "migrations"};
    struct store *s = NULL;
    struct err err = {0};
    assert_int_equal(store_open(&cfg, &s, &err), ASSAY_OK);
    return s;
}

static struct receipt_put receipt(const struct receipt_hit *hits, size_t n)
{
    struct receipt_put r = {.collection = 1, .hits = hits, .n_hits = n};
    uuid_new(r.id);
    return r;
}

static void test_receipts_push__drops_and_counts_when_full(void **state)
{
    (void)state;
    enum { SLOTS = 4096, MORE = 100 };
    struct store *store = store_away();
    struct receipts *rs = receipts_new(store, 1.0);
    static const struct receipt_hit hits[RECEIPT_HITS_MAX + 50];
    int taken = 0;
    for (int i = 0; i < SLOTS + MORE; i++) {
        struct receipt_put r = receipt(hits, sizeof hits / sizeof *hits);
        taken += receipts_push(rs, &r);
    }
    int64_t kept, dropped, pending;
    receipts_stats(rs, &kept, &dropped, &pending);
    assert_int_equal(taken, SLOTS);
    assert_true(kept == 0 && dropped == MORE && pending == SLOTS);

    int64_t started_us = clock_mono_us();
    assert_false(receipts_flush(rs, started_us + CLOCK_SECOND / 5));
    assert_true(clock_mono_us() - started_us >= CLOCK_SECOND / 5);
    assert_true(clock_mono_us() - started_us < 2 * CLOCK_SECOND);

    started_us = clock_mono_us();
    receipts_free(rs);
    assert_true(clock_mono_us() - started_us < 5 * CLOCK_SECOND);
    store_close(store);
}

static void *push_many(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        struct receipt_hit hit = {.score = i};
        struct receipt_put r = receipt(&hit, 1);
        if (!receipts_push(arg, &r))
            return NULL;
    }
    return arg;
}

static void test_receipts_push__takes_from_many_threads(void **state)
{
    (void)state;
    struct store *store = store_away();
    struct receipts *rs = receipts_new(store, 1.0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, push_many, rs), 0);
    for (int i = 0; i < 4; i++) {
        void *ok;
        assert_int_equal(pthread_join(threads[i], &ok), 0);
        assert_non_null(ok);
    }
    int64_t kept, dropped, pending;
    receipts_stats(rs, &kept, &dropped, &pending);
    assert_true(kept == 0 && dropped == 0 && pending == 4000);
    receipts_free(rs);
    store_close(store);
}

static void test_receipts_push__samples(void **state)
{
    (void)state;
    static const double samples[] = {0.0, 0.25};
    for (size_t s = 0; s < 2; s++) {
        struct store *store = store_away();
        struct receipts *rs = receipts_new(store, samples[s]);
        for (int i = 0; i < 4000; i++) {
            struct receipt_put r = receipt(NULL, 0);
            assert_true(receipts_push(rs, &r)); /* left out on purpose is not dropped */
        }
        int64_t kept, dropped, pending;
        receipts_stats(rs, &kept, &dropped, &pending);
        assert_true(dropped == 0);
        assert_true(pending >= (int64_t)(4000 * samples[s] * 0.8) && pending <= (int64_t)(4000 * samples[s] * 1.2));
        assert_true(receipts_flush(rs, clock_mono_us() + CLOCK_SECOND / 10) == (pending == 0));
        receipts_free(rs);
        store_close(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receipts_push__drops_and_counts_when_full),
        cmocka_unit_test(test_receipts_push__takes_from_many_threads),
        cmocka_unit_test(test_receipts_push__samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
