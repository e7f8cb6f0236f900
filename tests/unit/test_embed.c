#include "index_fixture.h"

#include <math.h>

#include "index/embed.h"
#include "index/kernel.h"

enum { DIM = EMBED_BUILTIN_DIM };

struct pair {
    struct words *w;
    struct embedder *e;
};

static struct pair open_pair(void)
{
    return (struct pair){words_new(), embedder_new()};
}

static void close_pair(struct pair *p)
{
    words_free(p->w);
    embedder_free(p->e);
}

static void chunk(struct pair *p, const char *text, float *out)
{
    embed_chunk(p->e, p->w, STR_LIT(""), STR_LIT(""), str_of(text), DIM, out);
}

static double idf_one(void *ctx, struct str stem)
{
    (void)ctx;
    (void)stem;
    return 1;
}

static void test_embed__vectors_are_unit_and_repeatable(void **state)
{
    (void)state;
    struct pair p = open_pair(), fresh = open_pair();
    float a[DIM], b[DIM];
    char *big = mem_alloc(200000);
    for (size_t i = 0; i < 199999; i++) {
        big[i] = i % 7 == 6 ? ' ' : (char)('a' + (i * 31 + i / 7) % 26);
    }
    big[199999] = '\0';
    chunk(&p, big, a); /* grows the table; what follows must not notice */
    chunk(&p, "Autovacuum removes dead tuples.", a);
    chunk(&fresh, "Autovacuum removes dead tuples.", b);
    assert_memory_equal(a, b, sizeof(a));
    assert_true(fabs((double)kernel_dot(a, a, DIM) - 1) < 1e-5);
    free(big);
    close_pair(&p);
    close_pair(&fresh);
}

static void test_embed__is_nearer_to_what_shares_its_words(void **state)
{
    (void)state;
    struct pair p = open_pair();
    float q[DIM], near[DIM], far[DIM], typo[DIM];
    chunk(&p, "Autovacuum removes dead tuples from tables and indexes.", near);
    chunk(&p, "A trigger function is called when a row is inserted.", far);
    assert_true(embed_query(p.e, p.w, STR_LIT("how are dead tuples removed"), DIM, idf_one, NULL, q));
    assert_true((double)kernel_dot(q, near, DIM) > (double)kernel_dot(q, far, DIM) + 0.2);
    assert_true(embed_query(p.e, p.w, STR_LIT("autovacum"), DIM, idf_one, NULL, typo));
    assert_true((double)kernel_dot(typo, near, DIM) > (double)kernel_dot(typo, far, DIM) + 0.05);
    close_pair(&p);
}

static void test_embed__nothing_to_embed(void **state)
{
    (void)state;
    struct pair p = open_pair();
    float v[DIM];
    chunk(&p, "", v);
    assert_true(fabs((double)kernel_dot(v, v, DIM) - 1) < 1e-6);
    assert_false(embed_query(p.e, p.w, STR_LIT("?!"), DIM, idf_one, NULL, v));
    close_pair(&p);
}

static void test_embed__id_depends_on_dimension(void **state)
{
    (void)state;
    struct digest a, b, c;
    embed_builtin_id(384, &a);
    embed_builtin_id(384, &b);
    embed_builtin_id(256, &c);
    assert_true(digest_eq(&a, &b));
    assert_false(digest_eq(&a, &c));
}

static void test_kernel__gate_refuses_what_has_no_direction(void **state)
{
    (void)state;
    struct err err = {0};
    float v[3] = {0, 0, 0}, out[3];
    assert_int_equal(kernel_normalise(v, 3, out, &err), ASSAY_INVALID);
    v[1] = NAN;
    assert_int_equal(kernel_normalise(v, 3, out, &err), ASSAY_INVALID);
    v[1] = INFINITY;
    assert_int_equal(kernel_normalise(v, 3, out, &err), ASSAY_INVALID);
    v[1] = 3e38F;
    v[2] = 3e38F;
    assert_int_equal(kernel_normalise(v, 3, out, &err), ASSAY_OK);
    assert_true(fabs((double)kernel_dot(out, out, 3) - 1) < 1e-6);
    err_clear(&err);
}

/* The sum in the documented order, in plain C: what every CPU's version has to equal to the bit. */
static float reference_dot(const float *a, const float *b, size_t dim)
{
    volatile float s[KERNEL_LANES] = {0};
    for (size_t i = 0; i < dim; i++) {
        volatile float product = a[i] * b[i];
        s[i % KERNEL_LANES] = s[i % KERNEL_LANES] + product;
    }
    for (size_t half = KERNEL_LANES / 2; half > 0; half /= 2) {
        for (size_t lane = 0; lane < half; lane++) {
            s[lane] = s[lane] + s[lane + half];
        }
    }
    return s[0];
}

static void test_kernel__dot_is_the_documented_sum_to_the_bit(void **state)
{
    (void)state;
    uint64_t seed = 42;
    float a[1000], b[1000];
    for (size_t dim = 1; dim < 1000; dim += 13) {
        for (size_t i = 0; i < dim; i++) {
            a[i] = (float)(random_unit(&seed) - 0.5);
            b[i] = (float)(random_unit(&seed) - 0.5);
        }
        float want = reference_dot(a, b, dim), got = kernel_dot(a, b, dim);
        assert_memory_equal(&want, &got, sizeof(want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embed__vectors_are_unit_and_repeatable),
        cmocka_unit_test(test_embed__is_nearer_to_what_shares_its_words),
        cmocka_unit_test(test_embed__nothing_to_embed),
        cmocka_unit_test(test_embed__id_depends_on_dimension),
        cmocka_unit_test(test_kernel__gate_refuses_what_has_no_direction),
        cmocka_unit_test(test_kernel__dot_is_the_documented_sum_to_the_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
