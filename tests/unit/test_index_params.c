#include "index_fixture.h"

#include <math.h>

#include "index/faiss_index.h"
#include "index/kernel.h"

enum { DIM = 32, ROWS = 4000, QUERIES = 100, K = 10 };

static void random_vector(uint64_t *seed, float *out)
{
    struct err err = {0};
    for (size_t i = 0; i < DIM; i++) {
        out[i] = (float)(random_unit(seed) + random_unit(seed) - 1);
    }
    assert_int_equal(kernel_normalise(out, DIM, out, &err), ASSAY_OK);
}

/* Applies `n` rows from chunk number `from` on. */
static void feed(struct fixture *f, int64_t from, size_t n)
{
    struct vindex_change *ch = calloc(n + 1, sizeof(*ch));
    float *vectors = calloc(n * DIM, sizeof(*vectors));
    assert_true(ch != NULL && vectors != NULL);
    uint64_t seed = (uint64_t)from + 77;
    ch[0] = source_change(1, "s", true, CLOCK_NEVER);
    for (size_t i = 0; i < n; i++) {
        random_vector(&seed, vectors + i * DIM);
        ch[i + 1] = add_change(from + (int64_t)i, "text");
        ch[i + 1].embedding = vectors + i * DIM;
    }
    apply(f, ch, n + 1);
    free(ch);
    free(vectors);
}

/* Closes the collection and opens it with other parameters. */
static void reopen_with(struct fixture *f, struct vindex_params params)
{
    struct err err = {0};
    assert_int_equal(vindex_checkpoint(f->c, &err), ASSAY_OK);
    vindex_collection_close(f->c);
    f->spec.params = params;
    fixture_reopen(f);
}

static void open_with(struct fixture *f, struct vindex_params params)
{
    fixture_open(f, EMBEDDER_CLIENT, DIM, 500);
    vindex_collection_close(f->c);
    f->spec.params = params;
    fixture_reopen(f);
}

/* The share of the exact answer that approximate searches find. */
static double recall(struct fixture *f)
{
    size_t found = 0;
    uint64_t seed = 5;
    for (size_t i = 0; i < QUERIES; i++) {
        float v[DIM];
        random_vector(&seed, v);
        struct vindex_query q = {.mode = VINDEX_VECTOR, .vector = v, .k = K, .now_us = NOW};
        struct vindex_result fast = search(f, &q);
        assert_string_equal(fast.plan, "graph");
        q.exact = true;
        struct vindex_result exact = search(f, &q);
        for (size_t a = 0; a < fast.n; a++) {
            for (size_t b = 0; b < exact.n; b++) {
                found += digest_eq(&fast.hits[a].chunk, &exact.hits[b].chunk) ? 1 : 0;
            }
        }
        vindex_result_release(f->c, &fast);
        vindex_result_release(f->c, &exact);
    }
    return (double)found / (QUERIES * K);
}

static size_t disk_bytes(struct fixture *f)
{
    struct err err = {0};
    struct vindex_stats st;
    assert_int_equal(vindex_checkpoint(f->c, &err), ASSAY_OK);
    vindex_stats(f->c, &st);
    assert_int_equal(st.head_rows, 0);
    return st.disk_bytes;
}

static void expect_refused(struct fixture *f, struct vindex_params params)
{
    struct err err = {0};
    struct vindex_spec spec = f->spec;
    struct vindex_collection *c = NULL;
    int64_t applied = 0;
    spec.params = params;
    assert_int_equal(vindex_params_check(&params, &err), ASSAY_INVALID);
    assert_true(strlen(err.detail) > 0);
    err_clear(&err);
    assert_int_equal(vindex_collection_open(f->v, &spec, &c, &applied, &err), ASSAY_INVALID);
    assert_null(c);
    err_clear(&err);
}

static void test_params__out_of_range_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_CLIENT, DIM, 0);
    vindex_collection_close(f.c);
    expect_refused(&f, (struct vindex_params){.m = VINDEX_M_MIN - 1});
    expect_refused(&f, (struct vindex_params){.m = VINDEX_M_MAX + 1});
    expect_refused(&f, (struct vindex_params){.m = -1});
    expect_refused(&f, (struct vindex_params){.ef_construction = VINDEX_EF_CONSTRUCTION_MIN - 1});
    expect_refused(&f, (struct vindex_params){.ef_construction = VINDEX_EF_CONSTRUCTION_MAX + 1});
    expect_refused(&f, (struct vindex_params){.ef_search = VINDEX_EF_SEARCH_MIN - 1});
    expect_refused(&f, (struct vindex_params){.ef_search = VINDEX_EF_SEARCH_MAX + 1});
    expect_refused(&f, (struct vindex_params){.precision = (enum vindex_precision)(VINDEX_F16 + 1)});
    expect_refused(&f, (struct vindex_params){.precision = VINDEX_F16});
    fixture_reopen(&f);
    fixture_close(&f);
}

static void test_params__ef_search_is_the_collections_own(void **state)
{
    (void)state;
    struct fixture f;
    open_with(&f, (struct vindex_params){.m = 8, .ef_construction = 40, .ef_search = 12});
    feed(&f, 0, ROWS);
    wait_for_builds(&f, 1);
    double narrow = recall(&f);
    reopen_with(&f, (struct vindex_params){.m = 8, .ef_construction = 40, .ef_search = 150});
    double wide = recall(&f);
    assert_true(wide > 0.9 && narrow < wide - 0.1);
    fixture_close(&f);
}

static void test_params__ef_construction_makes_a_better_graph(void **state)
{
    (void)state;
    double found[2];
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        open_with(&f, (struct vindex_params){.m = 8, .ef_construction = i == 0 ? 10 : 200, .ef_search = 30});
        feed(&f, 0, ROWS);
        wait_for_builds(&f, 1);
        found[i] = recall(&f);
        fixture_close(&f);
    }
    assert_true(found[1] > found[0] + 0.02);
}

static void test_params__m_is_the_number_of_links(void **state)
{
    (void)state;
    size_t bytes[2];
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        open_with(&f, (struct vindex_params){.m = i == 0 ? 4 : 64});
        feed(&f, 0, ROWS);
        wait_for_builds(&f, 1);
        bytes[i] = disk_bytes(&f);
        fixture_close(&f);
    }
    assert_true(bytes[1] - bytes[0] > (size_t)ROWS * 2 * 55 * sizeof(int32_t));
}

static void test_params__another_m_serves_what_is_there_and_holds_from_the_next_build(void **state)
{
    (void)state;
    struct fixture f;
    open_with(&f, (struct vindex_params){.m = 8});
    feed(&f, 0, ROWS);
    wait_for_builds(&f, 1);
    size_t before = disk_bytes(&f);
    reopen_with(&f, (struct vindex_params){.m = 48});
    assert_int_equal(f.applied, f.seq);
    assert_true(f.applied > 0);
    assert_true(recall(&f) > 0.5);
    assert_int_equal(disk_bytes(&f), before);
    feed(&f, ROWS, 600); /* more than one in sixteen: the large segment takes them in */
    wait_for_builds(&f, 1);
    assert_true(disk_bytes(&f) - before > (size_t)ROWS * 2 * 40 * sizeof(int32_t));
    assert_true(recall(&f) > 0.97);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params__out_of_range_is_refused),
        cmocka_unit_test(test_params__ef_search_is_the_collections_own),
        cmocka_unit_test(test_params__ef_construction_makes_a_better_graph),
        cmocka_unit_test(test_params__m_is_the_number_of_links),
        cmocka_unit_test(test_params__another_m_serves_what_is_there_and_holds_from_the_next_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
