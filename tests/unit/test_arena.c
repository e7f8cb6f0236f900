#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static void test_arena__allocations_are_aligned_distinct_and_writable(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    char *last = NULL;
    for (size_t n = 0; n < 3000; n += 7) {
        char *p = arena_alloc(a, n);
        assert_true((uintptr_t)p % 16 == 0);
        assert_ptr_not_equal(p, last);
        memset(p, 0xAB, n);
        last = p;
    }
    arena_free(a);
}

static void test_arena__calloc_zeroes_reused_memory(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    memset(arena_alloc(a, 512), 0xFF, 512);
    arena_reset(a);
    const char *p = arena_calloc(a, 8, 64);
    for (size_t i = 0; i < 512; i++)
        assert_int_equal(p[i], 0);
    arena_free(a);
}

static void test_arena__keeps_contents_over_growth(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    char *texts[500];
    for (int i = 0; i < 500; i++)
        texts[i] = arena_printf(a, "text %d", i);
    assert_non_null(arena_alloc(a, 3 * 1024 * 1024)); /* larger than any block */
    for (int i = 0; i < 500; i++) {
        char want[32];
        (void)snprintf(want, sizeof want, "text %d", i);
        assert_string_equal(texts[i], want);
    }
    assert_true(arena_reserved(a) > 3U * 1024 * 1024);
    arena_free(a);
}

static void test_arena__strndup_terminates(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
    assert_string_equal(arena_strndup(a, NULL, 0), "");
    arena_free(a);
}

struct trace {
    char order[8];
    size_t n;
};

struct step {
    struct trace *trace;
    char name;
};

static void note(void *ptr)
{
    const struct step *s = ptr;
    s->trace->order[s->trace->n++] = s->name;
    s->trace->order[s->trace->n] = '\0';
}

static void test_arena__defers_run_newest_first_and_once(void **state)
{
    (void)state;
    struct trace t = {.n = 0};
    struct step steps[3] = {{&t, 'a'}, {&t, 'b'}, {&t, 'c'}};
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < 3; i++)
        arena_defer(a, note, &steps[i]);
    arena_reset(a);
    assert_string_equal(t.order, "cba");
    arena_free(a);
    assert_string_equal(t.order, "cba");
}

static void test_arena__rollback_undoes_exactly_what_came_after_the_mark(void **state)
{
    (void)state;
    struct trace t = {.n = 0};
    struct step steps[3] = {{&t, 'a'}, {&t, 'b'}, {&t, 'c'}};
    struct arena *a = arena_new(1024);
    char *kept = arena_strndup(a, "kept", 4);
    arena_defer(a, note, &steps[0]);
    struct arena_mark mark = arena_mark(a);
    size_t reserved = arena_reserved(a);
    for (int round = 0; round < 3; round++) {
        arena_defer(a, note, &steps[1]);
        (void)!arena_alloc(a, 100000);
        arena_defer(a, note, &steps[2]);
        arena_rollback(a, mark);
        assert_string_equal(t.order, "cb");
        assert_int_equal(arena_reserved(a), reserved);
        t.n = 0;
    }
    assert_string_equal(kept, "kept");
    arena_free(a);
    assert_string_equal(t.order, "a");
}

static void test_arena__reset_releases_all_but_the_first_block(void **state)
{
    (void)state;
    struct arena *a = arena_new(2048);
    size_t fresh = arena_reserved(a);
    for (int i = 0; i < 100; i++)
        (void)!arena_alloc(a, 10000);
    arena_reset(a);
    assert_int_equal(arena_reserved(a), fresh);
    arena_free(a);
    arena_free(NULL);
}

static void test_mem__never_gives_null(void **state)
{
    (void)state;
    void *p = mem_alloc(0);
    assert_non_null(p);
    p = mem_realloc(p, 0);
    assert_non_null(p);
    free(p);
    char *s = mem_strndup("abcdef", 2);
    assert_string_equal(s, "ab");
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__allocations_are_aligned_distinct_and_writable),
        cmocka_unit_test(test_arena__calloc_zeroes_reused_memory),
        cmocka_unit_test(test_arena__keeps_contents_over_growth),
        cmocka_unit_test(test_arena__strndup_terminates),
        cmocka_unit_test(test_arena__defers_run_newest_first_and_once),
        cmocka_unit_test(test_arena__rollback_undoes_exactly_what_came_after_the_mark),
        cmocka_unit_test(test_arena__reset_releases_all_but_the_first_block),
        cmocka_unit_test(test_mem__never_gives_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
