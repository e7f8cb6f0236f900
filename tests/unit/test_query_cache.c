#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/query_cache.h"

enum { DIM = 16 };

static struct digest key_of(int n)
{
    struct digest d;
    digest_sha256(&n, sizeof n, &d);
    return d;
}

static void put(struct query_cache *c, int n)
{
    struct digest key = key_of(n);
    float v[DIM] = {(float)n};
    query_cache_put(c, &key, v, DIM);
}

/* The vector that is there is that of its key. */
static bool has(struct query_cache *c, int n)
{
    struct digest key = key_of(n);
    float v[DIM] = {0};
    bool found = query_cache_get(c, &key, v, DIM);
    if (found)
        assert_true(v[0] == (float)n);
    return found;
}

static void test_query_cache__gives_up_the_least_recently_used(void **state)
{
    (void)state;
    struct query_cache *c = query_cache_new(10000);
    put(c, 0);
    size_t one = query_cache_bytes(c);
    int room = (int)(10000 / one);
    for (int i = 1; i < room; i++)
        put(c, i);
    assert_true(has(c, 0)); /* and is now the newest */
    put(c, room);
    assert_true(has(c, 0));
    assert_false(has(c, 1));
    for (int i = 2; i <= room; i++)
        assert_true(has(c, i));
    query_cache_free(c);
}

static void test_query_cache__stays_within_its_bytes(void **state)
{
    (void)state;
    struct query_cache *c = query_cache_new(20000);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2000; i++) {
            put(c, i);
            assert_true(query_cache_bytes(c) <= 20000);
            assert_true(has(c, i));
        }
    }
    put(c, 1999); /* is there already */
    put(c, 1999);
    assert_true(query_cache_bytes(c) <= 20000 && has(c, 1999));
    query_cache_free(c);
}

static void test_query_cache__keeps_nothing_without_room(void **state)
{
    (void)state;
    struct query_cache *c = query_cache_new(0);
    put(c, 1);
    assert_false(has(c, 1));
    assert_int_equal(query_cache_bytes(c), 0);
    query_cache_free(c);
    query_cache_free(NULL);
}

static void test_query_cache__another_dimension_is_another_vector(void **state)
{
    (void)state;
    struct query_cache *c = query_cache_new(10000);
    struct digest key = key_of(1);
    float v[2];
    put(c, 1);
    assert_false(query_cache_get(c, &key, v, 2));
    query_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_cache__gives_up_the_least_recently_used),
        cmocka_unit_test(test_query_cache__stays_within_its_bytes),
        cmocka_unit_test(test_query_cache__keeps_nothing_without_room),
        cmocka_unit_test(test_query_cache__another_dimension_is_another_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
