#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "index/bits.h"
#include "index/code8.h"
#include "index/faiss_index.h"
#include "index/kernel.h"

enum { ROWS = 6000, BASE = 4000, DIM = 40, QUERIES = 40, K = 10, EF = 96 };

struct set {
    float *vectors, *queries;
    struct arena *arena;
};

static double random_unit(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static float *random_vectors(uint64_t seed, size_t n)
{
    struct err err = {0};
    float *v = calloc(n * DIM, sizeof(*v));
    assert_non_null(v);
    for (size_t i = 0; i < n; i++) {
        for (size_t d = 0; d < DIM; d++) {
            v[i * DIM + d] = (float)(random_unit(&seed) + random_unit(&seed) - 1);
        }
        v[i * DIM + i % 8] += 0.5F; /* eight loose clusters, dealt round robin */
        assert_int_equal(kernel_normalise(v + i * DIM, DIM, v + i * DIM, &err), ASSAY_OK);
    }
    return v;
}

static struct set set_new(void)
{
    return (struct set){random_vectors(1, ROWS), random_vectors(2, QUERIES), arena_new(1 << 16)};
}

static void set_free(struct set *s)
{
    free(s->vectors);
    free(s->queries);
    arena_free(s->arena);
}

static struct graph *build(float *vectors, size_t n, const struct graph_base *base)
{
    struct err err = {0};
    struct graph *g = NULL;
    atomic_bool cancel = false;
    const struct graph_params params = {GRAPH_M, GRAPH_EF_CONSTRUCTION, 1};
    assert_int_equal(
        graph_build(&(struct graph_rows){.vectors = vectors, .n = n, .dim = DIM}, base, &params, &cancel, &g, &err),
        ASSAY_OK);
    return g;
}

/* How many rows score higher than this one among the allowed. */
static size_t better(const struct set *s, const uint64_t *allowed, const float *query, float score)
{
    size_t n = 0;
    for (size_t row = 0; row < ROWS; row++) {
        n += (allowed == NULL || bits_get(allowed, row)) && kernel_dot(query, s->vectors + row * DIM, DIM) > score;
    }
    return n;
}

/* Recall at K against the exact answer; every hit is allowed, its score the row's own, in descending order. */
static double recall(struct set *s, const struct graph *g, const uint64_t *allowed)
{
    size_t good = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        const float *query = s->queries + q * DIM;
        int64_t rows[K];
        float scores[K];
        size_t found = graph_search(g, query, K, EF, allowed, s->arena, rows, scores);
        for (size_t i = 0; i < found; i++) {
            assert_in_range(rows[i], 0, ROWS - 1);
            assert_true(allowed == NULL || bits_get(allowed, (size_t)rows[i]));
            float score = kernel_dot(query, s->vectors + (size_t)rows[i] * DIM, DIM);
            assert_memory_equal(&score, &scores[i], sizeof(score));
            assert_true(i == 0 || scores[i] <= scores[i - 1]);
            good += better(s, allowed, query, score) < K;
        }
    }
    return (double)good / (QUERIES * K);
}

static void test_graph__finds_the_nearest(void **state)
{
    (void)state;
    struct set s = set_new();
    struct graph *g = build(s.vectors, ROWS, NULL);
    assert_true(recall(&s, g, NULL) >= 0.98);
    graph_free(g);
    set_free(&s);
}

/* The walk goes by 8 bits a dimension; what comes out has the vectors' own scores (recall() compares the bits). */
static void test_graph__codes_cost_hardly_any_recall(void **state)
{
    (void)state;
    struct set s = set_new();
    struct graph *g = build(s.vectors, ROWS, NULL);
    uint8_t *codes = mem_aligned(CODE8_ALIGN, ROWS * code8_stride(DIM));
    struct code8_row *rows = mem_alloc(ROWS * sizeof(*rows));
    uint64_t allowed[(ROWS + 63) / 64] = {0};
    double by_vectors = recall(&s, g, NULL);
    code8_rows(s.vectors, ROWS, DIM, codes, rows);
    graph_use_codes(g, codes, rows);
    assert_true(recall(&s, g, NULL) >= by_vectors - 0.01);
    for (size_t row = 0; row < ROWS; row += 3) {
        bits_put(allowed, row, true);
    }
    assert_true(recall(&s, g, allowed) >= 0.97);
    /* And they are what it goes by: with the codes of other rows it gets lost. */
    code8_rows(s.vectors + (ptrdiff_t)DIM * (ROWS / 2), ROWS / 2, DIM, codes, rows);
    assert_true(recall(&s, g, NULL) < by_vectors - 0.1);
    graph_free(g);
    free(rows);
    free(codes);
    set_free(&s);
}

/* Four vectors for all rows: each query finds K of the nearest one's rows, and building takes no longer than usual
 * (many minutes, when FAISS follows every tie). */
static void test_graph__equal_vectors_are_no_burden(void **state)
{
    (void)state;
    enum { GROUPS = 4, EQUAL = 20000 };
    struct arena *a = arena_new(1 << 16);
    struct err err = {0};
    struct graph *g = NULL;
    atomic_bool cancel = false;
    struct graph_params params = {.m = 16, .ef_construction = 40, .threads = 1};
    float *some = random_vectors(7, GROUPS), *rows = mem_alloc((size_t)EQUAL * DIM * sizeof(*rows));
    for (size_t i = 0; i < EQUAL; i++) {
        memcpy(rows + i * DIM, some + i % GROUPS * DIM, DIM * sizeof(*rows));
    }
    assert_int_equal(
        graph_build(&(struct graph_rows){.vectors = rows, .n = EQUAL, .dim = DIM}, NULL, &params, &cancel, &g, &err),
        ASSAY_OK);
    for (size_t q = 0; q < GROUPS; q++) {
        int64_t found[K];
        float scores[K];
        assert_int_equal(graph_search(g, some + q * DIM, K, EF, NULL, a, found, scores), K);
    }
    graph_free(g);
    free(rows);
    free(some);
    arena_free(a);
}

static void test_graph__a_filter_costs_no_recall(void **state)
{
    (void)state;
    struct set s = set_new();
    struct graph *g = build(s.vectors, ROWS, NULL);
    uint64_t allowed[(ROWS + 63) / 64];
    for (size_t part = 2; part <= 16; part *= 2) {
        memset(allowed, 0, sizeof(allowed));
        for (size_t row = 0; row < ROWS; row++) {
            bits_put(allowed, row, row * 2654435761U % 1024 < 1024 / part);
        }
        assert_true(recall(&s, g, allowed) >= 0.97);
    }
    /* The one cluster in eight that the entry does not lie in: what is near most queries is hidden. */
    for (size_t row = 0; row < ROWS; row++) {
        bits_put(allowed, row, row % 8 == 3);
    }
    assert_true(recall(&s, g, allowed) >= 0.97);
    graph_free(g);
    set_free(&s);
}

static void test_graph__nothing_allowed_finds_nothing(void **state)
{
    (void)state;
    struct set s = set_new();
    struct graph *g = build(s.vectors, ROWS, NULL);
    uint64_t allowed[(ROWS + 63) / 64] = {0};
    int64_t rows[K];
    float scores[K];
    assert_int_equal(graph_search(g, s.queries, K, EF, allowed, s.arena, rows, scores), 0);
    bits_put(allowed, ROWS - 1, true);
    assert_int_equal(graph_search(g, s.queries, K, EF, allowed, s.arena, rows, scores), 1);
    assert_int_equal(rows[0], ROWS - 1);
    graph_free(g);
    set_free(&s);
}

static void test_graph__extends_another_graph(void **state)
{
    (void)state;
    struct set s = set_new();
    struct graph *base = build(s.vectors, BASE, NULL);
    struct graph_base from = {base, NULL};
    struct graph *g = build(s.vectors, ROWS, &from);
    assert_true(recall(&s, g, NULL) >= 0.98);
    graph_free(base); /* the new one does not need it */
    assert_true(recall(&s, g, NULL) >= 0.98);
    graph_free(g);
    set_free(&s);
}

static void test_graph__extends_with_rows_in_between(void **state)
{
    (void)state;
    struct set s = set_new();
    int64_t *order = calloc(ROWS, sizeof(*order));
    float *first = calloc((size_t)BASE * DIM, sizeof(*first));
    assert_true(order != NULL && first != NULL);
    int64_t old = 0, added = BASE;
    for (size_t row = 0; row < ROWS; row++) { /* every third row is new */
        order[row] = row % 3 == 1 ? added++ : old++;
        if (order[row] < BASE) {
            memcpy(first + order[row] * DIM, s.vectors + row * DIM, DIM * sizeof(float));
        }
    }
    assert_int_equal(old, BASE);
    struct graph *base = build(first, BASE, NULL);
    struct graph_base from = {base, order};
    struct graph *g = build(s.vectors, ROWS, &from);
    graph_free(base);
    free(first);
    free(order);
    assert_true(recall(&s, g, NULL) >= 0.98);
    graph_free(g);
    set_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph__finds_the_nearest),
        cmocka_unit_test(test_graph__equal_vectors_are_no_burden),
        cmocka_unit_test(test_graph__codes_cost_hardly_any_recall),
        cmocka_unit_test(test_graph__a_filter_costs_no_recall),
        cmocka_unit_test(test_graph__nothing_allowed_finds_nothing),
        cmocka_unit_test(test_graph__extends_another_graph),
        cmocka_unit_test(test_graph__extends_with_rows_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
