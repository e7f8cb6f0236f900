#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "index/code8.h"
#include "index/kernel.h"

enum { DIM_MAX = 400, STRIDE_MAX = 4096 };

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 32);
}

/* Codes at both ends of their range, where a sum in 16 bits would saturate. */
static void test_code8__every_version_gives_the_same_sums(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (size_t stride = CODE8_ALIGN; stride <= STRIDE_MAX; stride *= 2) {
        int8_t *query = mem_aligned(CODE8_ALIGN, stride);
        uint8_t *block = mem_aligned(CODE8_ALIGN, CODE8_ROWS * stride);
        const uint8_t *rows[CODE8_ROWS];
        int32_t want[CODE8_ROWS] = {0}, got[CODE8_ROWS];
        for (size_t i = 0; i < stride; i++) {
            query[i] = (int8_t)(next(&seed) % 3 == 0 ? 127 : next(&seed) % 255 - 127);
        }
        for (size_t r = 0; r < CODE8_ROWS; r++) {
            rows[r] = block + r * stride;
            for (size_t i = 0; i < stride; i++) {
                block[r * stride + i] = (uint8_t)(r == 0 ? 255 : r == 1 ? 1 : 1 + next(&seed) % 255);
                want[r] += query[i] * block[r * stride + i];
            }
        }
        for (unsigned v = 0; code8_version(v) != NULL; v++) {
            code8_sum4_version(v, query, rows, stride, got);
            assert_memory_equal(got, want, sizeof(got));
        }
        free(block);
        free(query);
    }
}

static void fill(uint64_t *seed, float *v, size_t dim)
{
    struct err err = {0};
    for (size_t i = 0; i < dim; i++) {
        v[i] = (float)next(seed) / 2147483648.0F - 1;
    }
    assert_int_equal(kernel_normalise(v, dim, v, &err), ASSAY_OK);
}

static void test_code8__scores_are_within_their_bound(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (size_t dim = 1; dim <= DIM_MAX; dim += 13) {
        float query[DIM_MAX], row[CODE8_ROWS * DIM_MAX], four[CODE8_ROWS];
        struct code8_row of[CODE8_ROWS];
        const struct code8_row *ofs[CODE8_ROWS];
        int8_t *code = mem_aligned(CODE8_ALIGN, code8_stride(dim));
        uint8_t *codes = mem_aligned(CODE8_ALIGN, CODE8_ROWS * code8_stride(dim));
        const uint8_t *rows[CODE8_ROWS];
        struct code8_query q;
        fill(&seed, query, dim);
        for (size_t r = 0; r < CODE8_ROWS; r++) {
            fill(&seed, row + r * dim, dim);
            rows[r] = codes + r * code8_stride(dim);
            ofs[r] = &of[r];
        }
        code8_make_query(query, dim, code, &q);
        code8_rows(row, CODE8_ROWS, dim, codes, of);
        code8_score4(&q, rows, ofs, four);
        for (size_t r = 0; r < CODE8_ROWS; r++) {
            float one = code8_score(&q, rows[r], &of[r]), exact = kernel_dot(query, row + r * dim, dim);
            float bound = code8_bound(&q, &of[r]);
            assert_memory_equal(&one, &four[r], sizeof(one));
            assert_true(fabsf(one - exact) <= bound);
            assert_true(bound < 0.03F); /* and it is worth something */
        }
        free(codes);
        free(code);
    }
}

/* A row made a query scores another as its floats would, coded: the codes are the same ones. */
static void test_code8__a_row_can_be_the_query(void **state)
{
    (void)state;
    uint64_t seed = 17;
    for (size_t dim = 1; dim <= DIM_MAX; dim += 31) {
        float two[2 * DIM_MAX];
        struct code8_row of[2];
        struct code8_query by_floats, by_row;
        uint8_t *codes = mem_aligned(CODE8_ALIGN, 2 * code8_stride(dim));
        int8_t *first = mem_aligned(CODE8_ALIGN, code8_stride(dim)),
               *same = mem_aligned(CODE8_ALIGN, code8_stride(dim));
        fill(&seed, two, dim);
        fill(&seed, two + dim, dim);
        code8_rows(two, 2, dim, codes, of);
        code8_make_query(two, dim, first, &by_floats);
        code8_make_query_of_row(codes, &of[0], dim, same, &by_row);
        assert_memory_equal(first, same, code8_stride(dim));
        float a = code8_score(&by_floats, codes + code8_stride(dim), &of[1]);
        float b = code8_score(&by_row, codes + code8_stride(dim), &of[1]);
        assert_memory_equal(&a, &b, sizeof(a));
        free(same);
        free(first);
        free(codes);
    }
}

static void test_code8__a_zero_vector_scores_zero(void **state)
{
    (void)state;
    float zero[3] = {0}, one[3] = {0, 1, 0};
    struct code8_row of;
    int8_t *code = mem_aligned(CODE8_ALIGN, CODE8_ALIGN);
    uint8_t *row = mem_aligned(CODE8_ALIGN, CODE8_ALIGN);
    struct code8_query q;
    code8_rows(zero, 1, 3, row, &of);
    code8_make_query(one, 3, code, &q);
    assert_true(code8_score(&q, row, &of) == 0);
    code8_rows(one, 1, 3, row, &of);
    assert_true(fabsf(code8_score(&q, row, &of) - 1) < 1e-5F);
    free(row);
    free(code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code8__every_version_gives_the_same_sums),
        cmocka_unit_test(test_code8__scores_are_within_their_bound),
        cmocka_unit_test(test_code8__a_row_can_be_the_query),
        cmocka_unit_test(test_code8__a_zero_vector_scores_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
