/* What is handed over: in order, once, never more than is behind the index, freed whatever happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/handover.h"

static void count(void *p)
{
    int *freed = p;
    ++*freed;
}

/* An arena that counts when it is freed, with `n` changes behind `from` in it. */
static void give(struct handover *h, int32_t collection, int64_t from, size_t n, int *freed)
{
    struct arena *a = arena_new(256);
    struct documents_written w = {
        ARENA_ARRAY(a, struct vindex_change, n), n, from, from + (int64_t)n, {{(uint8_t)from}}, {{0}}};
    w.changes[0].seq = from + 1;
    arena_defer(a, count, freed);
    handover_give(h, collection, &w, a);
}

static void take(struct handover *h, int32_t collection, int64_t applied, size_t n)
{
    struct handed got;
    assert_true(handover_take(h, collection, applied, &got));
    assert_int_equal(got.n, n);
    assert_int_equal(got.changes[0].seq, applied + 1);
    assert_int_equal(got.upto, applied + (int64_t)n);
    assert_int_equal(got.commit.b[0], applied);
    arena_free(got.arena);
}

static void test_handover__gives_what_continues_the_log(void **state)
{
    (void)state;
    struct handover *h = handover_new();
    struct handed got;
    int freed = 0;
    assert_false(handover_take(h, 1, 0, &got));
    give(h, 1, 10, 5, &freed);
    give(h, 2, 10, 3, &freed);
    give(h, 1, 15, 2, &freed);
    assert_false(handover_take(h, 1, 9, &got)); /* another writer's commit lies between: it has to be read */
    take(h, 1, 10, 5);
    take(h, 2, 10, 3);
    take(h, 1, 15, 2);
    assert_false(handover_take(h, 1, 15, &got));
    assert_int_equal(freed, 3);
    handover_free(h);
}

static void test_handover__lets_go_of_what_was_read_meanwhile(void **state)
{
    (void)state;
    struct handover *h = handover_new();
    struct handed got;
    int freed = 0;
    give(h, 1, 10, 5, &freed);
    give(h, 1, 15, 5, &freed);
    give(h, 2, 3, 1, &freed);
    assert_false(handover_take(h, 1, 18, &got)); /* in the midst of the second: neither can be used */
    assert_int_equal(freed, 2);
    take(h, 2, 3, 1);
    assert_int_equal(freed, 3);
    handover_free(h);
}

static void test_handover__holds_few_and_frees_what_is_left(void **state)
{
    (void)state;
    struct handover *h = handover_new();
    int freed = 0;
    for (int64_t i = 0; i < 6; i++)
        give(h, 1, i, 1, &freed);
    assert_int_equal(freed, 2); /* there was no room: the index will read those */
    take(h, 1, 0, 1);
    give(h, 2, 0, 1, &freed);
    handover_drop(h, 1);
    assert_int_equal(freed, 6);
    handover_free(h);
    assert_int_equal(freed, 7);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handover__gives_what_continues_the_log),
        cmocka_unit_test(test_handover__lets_go_of_what_was_read_meanwhile),
        cmocka_unit_test(test_handover__holds_few_and_frees_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
