#include "index_fixture.h"

#include <math.h>

#include "index/fuse.h"

static struct digest ids[512]; /* ascending */

static struct candidate item(float score, uint32_t row)
{
    return (struct candidate){score, 0, row, &ids[row]};
}

static int setup(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 512; i++) {
        ids[i] = (struct digest){{(uint8_t)(i >> 8), (uint8_t)i}};
    }
    return 0;
}

static void test_fuse__top_keeps_the_best_and_breaks_ties_by_id(void **state)
{
    (void)state;
    uint64_t seed = 7;
    struct candidate kept[10];
    struct top t = {.items = kept, .cap = 10};
    uint32_t order[512];
    for (uint32_t i = 0; i < 512; i++) {
        order[i] = i;
    }
    for (uint32_t i = 511; i > 0; i--) {
        uint32_t j = (uint32_t)(next_random(&seed) % (i + 1)), tmp = order[i];
        order[i] = order[j];
        order[j] = tmp;
    }
    for (uint32_t i = 0; i < 512; i++) {
        struct candidate c = item((float)(order[i] / 8), order[i]); /* eight of each score */
        top_offer(&t, &c);
    }
    top_sort(&t);
    static const uint32_t want[] = {504, 505, 506, 507, 508, 509, 510, 511, 496, 497};
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(t.items[i].row, want[i]);
    }
}

static void test_fuse__rrf_adds_weighted_reciprocal_ranks(void **state)
{
    (void)state;
    struct candidate lexical[] = {item(9, 1), item(8, 2), item(7, 3)}, vector[] = {item(0.9F, 3), item(0.8F, 4)};
    struct top lists[2] = {{lexical, 3, 3}, {vector, 2, 2}};
    const struct fuse_rule rule = {FUSE_RRF, FUSE_K, {1, 0.5}};
    struct fused out[5];
    assert_int_equal(fuse_lists(lists, &rule, out), 4);
    static const uint32_t rows[] = {3, 1, 2, 4};
    const double scores[] = {1.0 / 63 + 0.5 / 61, 1.0 / 61, 1.0 / 62, 0.5 / 62};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(out[i].row, rows[i]);
        assert_true(fabs(out[i].score - scores[i]) < 1e-12);
    }
    assert_int_equal(out[0].ranks[0], 3);
    assert_int_equal(out[0].ranks[1], 1);
    assert_int_equal(out[3].ranks[0], 0);
}

/* Min-max: 9, 8, 5 become 1, 0.75, 0; a list of one score gives its whole weight. */
static void test_fuse__weighted_adds_normalised_scores(void **state)
{
    (void)state;
    struct candidate lexical[] = {item(9, 1), item(8, 2), item(5, 3)}, vector[] = {item(-0.25F, 2), item(-0.25F, 3)};
    struct top lists[2] = {{lexical, 3, 3}, {vector, 2, 2}};
    const struct fuse_rule rule = {FUSE_WEIGHTED, 0, {2, 0.5}};
    struct fused out[5];
    assert_int_equal(fuse_lists(lists, &rule, out), 3);
    static const uint32_t rows[] = {1, 2, 3};
    const double scores[] = {2, 2 * 0.75 + 0.5, 0.5}; /* the first two tie: the smaller id stands first */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(out[i].row, rows[i]);
        assert_true(fabs(out[i].score - scores[i]) < 1e-12);
        assert_true(out[i].base == out[i].score);
    }
}

static void test_fuse__nothing_in_nothing_out(void **state)
{
    (void)state;
    struct top lists[2] = {{0}, {0}};
    const struct fuse_rule rule = {FUSE_WEIGHTED, 0, {1, 1}};
    struct fused out[1];
    assert_int_equal(fuse_lists(lists, &rule, out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fuse__top_keeps_the_best_and_breaks_ties_by_id),
        cmocka_unit_test(test_fuse__rrf_adds_weighted_reciprocal_ranks),
        cmocka_unit_test(test_fuse__weighted_adds_normalised_scores),
        cmocka_unit_test(test_fuse__nothing_in_nothing_out),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
