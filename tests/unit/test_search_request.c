#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_vector.h"
#include "handlers/search_request.h"

/* ---- helpers ---- */

struct tried {
    struct arena *arena;
    struct search_request r;
    struct err err;
    enum assay_code code;
};

static struct tried try_body(const char *body)
{
    struct tried t = {.arena = arena_new(4096)};
    t.code = search_request_read(t.arena, str_of(body), &t.r, &t.err);
    return t;
}

static void done(struct tried *t)
{
    err_clear(&t->err);
    arena_free(t->arena);
}

/* The body is refused, and the first problem is at `pointer` (NULL: the text itself is malformed). */
static void assert_refused(const char *body, const char *pointer)
{
    struct tried t = try_body(body);
    if (t.code != ASSAY_INVALID)
        fail_msg("taken: %s", body);
    if (pointer) {
        if (t.err.n_fields == 0)
            fail_msg("no field in: %s", body);
        assert_string_equal(t.err.fields[0].pointer, pointer);
    }
    done(&t);
}

static void assert_vector(const struct search_request *r, const float *expected, size_t n)
{
    assert_int_equal(r->dim, n);
    assert_memory_equal(r->vector, expected, n * sizeof *expected);
}

/* ---- the body ---- */

static void test_search_request__has_defaults(void **state)
{
    (void)state;
    struct tried t = try_body("{\"query\":\"vacuum freeze\"}");
    assert_int_equal(t.code, ASSAY_OK);
    assert_int_equal(t.r.k, 10);
    assert_int_equal(t.r.mode, VINDEX_HYBRID);
    assert_true(str_eqc(t.r.query, "vacuum freeze"));
    assert_null(t.r.vector);
    assert_null(t.r.filter);
    assert_false(t.r.exact || t.r.explain || t.r.include_quarantined || t.r.has_principal);
    done(&t);
}

static void test_search_request__reads_every_field(void **state)
{
    (void)state;
    struct tried t =
        try_body("{\"query\":\"q\",\"vector\":[1,-2.5e-1],\"k\":1000,\"collection\":\"c\",\"mode\":\"vector\","
                 "\"filter\":{\"lang\":\"en\"},\"at\":\"main\",\"min_quality\":0.5,\"principal\":[\"group:a\"],"
                 "\"exact\":true,\"include_quarantined\":true,\"explain\":true,\"highlight\":true}");
    assert_int_equal(t.code, ASSAY_OK);
    assert_vector(&t.r, (const float[]){1.0f, -0.25f}, 2);
    assert_int_equal(t.r.k, 1000);
    assert_int_equal(t.r.mode, VINDEX_VECTOR);
    assert_true(str_eqc(t.r.collection, "c"));
    assert_true(str_eqc(t.r.at, "main"));
    assert_non_null(t.r.filter);
    assert_true(t.r.min_quality == 0.5);
    assert_true(t.r.has_principal && t.r.principal.n == 1 && str_eqc(t.r.principal.items[0], "group:a"));
    assert_true(t.r.exact && t.r.include_quarantined && t.r.explain && t.r.highlight);
    done(&t);
}

static void test_search_request__refuses_what_is_wrong_with_its_pointer(void **state)
{
    (void)state;
    static const struct {
        const char *body, *pointer;
    } cases[] = {
        {"", NULL},
        {"{", NULL},
        {"[]", ""},
        {"{}", "/query"},
        {"{\"query\":\"\"}", "/query"},
        {"{\"query\":\" \\t\"}", "/query"},
        {"{\"query\":7}", "/query"},
        {"{\"query\":\"q\",\"k\":0}", "/k"},
        {"{\"query\":\"q\",\"k\":1001}", "/k"},
        {"{\"query\":\"q\",\"k\":1.5}", "/k"},
        {"{\"query\":\"q\",\"k\":\"10\"}", "/k"},
        {"{\"query\":\"q\",\"mode\":\"fuzzy\"}", "/mode"},
        {"{\"query\":\"q\",\"top\":3}", "/top"},
        {"{\"query\":\"q\",\"filter\":[]}", "/filter"},
        {"{\"query\":\"q\",\"min_quality\":1.01}", "/min_quality"},
        {"{\"query\":\"q\",\"min_quality\":-1}", "/min_quality"},
        {"{\"query\":\"q\",\"principal\":\"a\"}", "/principal"},
        {"{\"query\":\"q\",\"principal\":[\"\"]}", "/principal/0"},
        {"{\"query\":\"q\",\"exact\":1}", "/exact"},
        {"{\"query\":\"q\",\"highlight\":\"yes\"}", "/highlight"},
        {"{\"query\":\"q\",\"at\":\"\"}", "/at"},
        {"{\"query\":\"q\",\"query\":\"r\"}", NULL},
        {"{\"query\":\"q\",\"vector\":[1],\"mode\":\"lexical\"}", "/vector"},
        {"{\"vector\":[1],\"mode\":\"hybrid\"}", "/query"},
        {"{\"vector\":[]}", "/vector"},
        {"{\"vector\":[0,0.0,-0]}", "/vector"},
        {"{\"vector\":{}}", "/vector"},
        {"{\"vector\":7}", "/vector"},
        {"{\"vector\":[1,\"2\"]}", "/vector/1"},
        {"{\"vector\":[1,[2]]}", "/vector/1"},
        {"{\"vector\":[1,null]}", "/vector/1"},
        {"{\"vector\":[1,NaN]}", "/vector/1"},
        {"{\"vector\":[Infinity]}", "/vector/0"},
        {"{\"vector\":[1e39]}", "/vector/0"},
        {"{\"vector\":[1e999]}", "/vector/0"},
        {"{\"vector\":[01]}", "/vector/0"},
        {"{\"vector\":[+1]}", "/vector/0"},
        {"{\"vector\":[.5]}", "/vector/0"},
        {"{\"vector\":[5.]}", "/vector/0"},
        {"{\"vector\":[1e]}", "/vector/0"},
        {"{\"vector\":[0x10]}", "/vector/0"},
        {"{\"vector\":[1 2]}", "/vector/0"},
        {"{\"vector\":[1,]}", "/vector/1"},
        {"{\"vector\":[,1]}", "/vector/0"},
        {"{\"vector\":[1", "/vector/0"},
        {"{\"vector\":[1]", NULL},
        {"{\"vector\":[1]}}", NULL},
        {"{\"vector\":[1],\"vector\":[2]}", NULL},
        {"{\"vector\":[1],\"vector\":\"AACAPw==\"}", NULL},
        {"{\"vector\":[1] \"k\":1}", NULL},
        {"{\"vector\":\"AACA\"}", "/vector"},
        {"{\"vector\":\"????\"}", "/vector"},
        {"{\"vector\":\"AADAfw==\"}", "/vector/0"}, /* a quiet NaN */
        {"{\"vector\":\"AACAfw==\"}", "/vector/0"}, /* infinity */
        {"{\"vector\":\"AAAAAA==\"}", "/vector"},   /* zero */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i].body, cases[i].pointer);
}

static void test_search_request__bounds_the_query(void **state)
{
    (void)state;
    for (size_t n = VINDEX_QUERY_MAX; n <= VINDEX_QUERY_MAX + 1; n++) {
        char *body = calloc(1, n + 64);
        assert_non_null(body);
        memcpy(body, "{\"query\":\"", 10);
        memset(body + 10, 'a', n);
        memcpy(body + 10 + n, "\"}", 2);
        struct tried t = try_body(body);
        assert_int_equal(t.code, n == VINDEX_QUERY_MAX ? ASSAY_OK : ASSAY_INVALID);
        done(&t);
        free(body);
    }
}

static void test_search_request__takes_a_vector_alone(void **state)
{
    (void)state;
    struct tried t = try_body("{\"vector\":[3]}");
    assert_int_equal(t.code, ASSAY_OK);
    assert_int_equal(t.r.mode, VINDEX_VECTOR);
    done(&t);
}

/* ---- the vector ---- */

static void test_search_vector__base64_and_array_agree(void **state)
{
    (void)state;
    struct tried a = try_body("{\"vector\":[1,-2,0.15625]}");
    struct tried b = try_body("{\"vector\":\"AACAPwAAAMAAACA+\"}");
    assert_int_equal(a.code, ASSAY_OK);
    assert_int_equal(b.code, ASSAY_OK);
    assert_vector(&a.r, b.r.vector, b.r.dim);
    done(&a);
    done(&b);
}

/* The scanner must not be led astray by what looks like the member but is not, and the tree takes what it left. */
static void test_search_vector__finds_only_the_top_member(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"vector\":[2]}",
        " \n{ \"query\" : \"\\\"vector\\\":[9]\" , \"vector\" : [ 2 ] , \"k\":1 }",
        "{\"filter\":{\"vector\":[9]},\"vector\":[2]}",
        "{\"filter\":{\"x\":{\"$in\":[\"vector\",\"a\"]}},\"vector\":[2]}",
        "{\"query\":\"vector\",\"vector\":[2]}",
        "{\"query\":\"a\\\\\",\"vector\":[2]}",
        "{\"\\u0076ector\":[2]}",
        "{\"vector\":[2.0e0]}",
        "{\"vector\":[0.000000000000000000000000000002e30]}",
        "{\"vector\":[200000000000000000000000000000e-29]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct tried t = try_body(bodies[i]);
        if (t.code != ASSAY_OK)
            fail_msg("refused: %s", bodies[i]);
        assert_vector(&t.r, (const float[]){2.0f}, 1);
        done(&t);
    }
}

static void test_search_vector__leaves_malformed_text_to_the_parser(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",         "\"vector\":[1]", "[\"vector\",[1]]", "{\"vector", "{\"vector\"", "{\"vector\":", "{\"vector\\",
        "}{\"a\"]["};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct arena *a = arena_new(1024);
        struct str rest;
        struct json_vector v;
        assert_int_equal(json_vector_cut(a, str_of(texts[i]), VINDEX_DIM_MAX, &rest, &v, NULL), ASSAY_OK);
        assert_true(str_eqc(rest, texts[i]));
        assert_null(v.v);
        arena_free(a);
    }
}

static void test_search_vector__reads_floats_as_printed(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (int round = 0; round < 2000; round++) {
        seed = seed * 1664525u + 1013904223u;
        float expected = (float)(((double)seed / 4294967296.0 - 0.5) * (round % 3 ? 1.0 : 1e-12));
        char body[128];
        (void)snprintf(body, sizeof body, round % 2 ? "{\"vector\":[%.9g]}" : "{\"vector\":[%.17g]}", (double)expected);
        struct tried t = try_body(body);
        assert_int_equal(t.code, ASSAY_OK);
        assert_vector(&t.r, &expected, 1);
        done(&t);
    }
}

static void test_search_vector__bounds_the_dimension(void **state)
{
    (void)state;
    for (size_t n = VINDEX_DIM_MAX; n <= VINDEX_DIM_MAX + 1; n++) {
        struct buf b = {0};
        buf_puts(&b, "{\"vector\":[1");
        for (size_t i = 1; i < n; i++)
            buf_puts(&b, ",1");
        buf_puts(&b, "]}");
        struct tried t = try_body(buf_cstr(&b));
        assert_int_equal(t.code, n == VINDEX_DIM_MAX ? ASSAY_OK : ASSAY_INVALID);
        done(&t);
        buf_free(&b);
    }
}

/* ---- the query string ---- */

static void test_search_request__reads_parameters(void **state)
{
    (void)state;
    struct json_param params[] = {
        {STR_LIT("q"), STR_LIT("a b")},         {STR_LIT("k"), STR_LIT("3")},
        {STR_LIT("mode"), STR_LIT("lexical")},  {STR_LIT("filter"), STR_LIT("{\"lang\":\"en\"}")},
        {STR_LIT("principal"), STR_LIT("a,b")}, {STR_LIT("explain"), STR_LIT("true")}};
    struct arena *a = arena_new(1024);
    struct search_request r;
    struct err err = {0};
    assert_int_equal(search_request_read_params(a, params, 6, &r, &err), ASSAY_OK);
    assert_true(str_eqc(r.query, "a b"));
    assert_int_equal(r.k, 3);
    assert_int_equal(r.mode, VINDEX_LEXICAL);
    assert_non_null(r.filter);
    assert_int_equal(r.principal.n, 2);
    assert_true(r.explain);
    assert_string_equal(search_request_pointer(&r, "query"), "?q");

    params[0].value = STR_LIT("");
    assert_int_equal(search_request_read_params(a, params, 6, &r, &err), ASSAY_INVALID);
    assert_string_equal(err.fields[0].pointer, "?q");
    err_clear(&err);
    params[0] = (struct json_param){STR_LIT("vector"), STR_LIT("[1]")};
    assert_int_equal(search_request_read_params(a, params, 6, &r, &err), ASSAY_INVALID);
    assert_string_equal(err.fields[0].pointer, "?vector");
    err_clear(&err);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search_request__has_defaults),
        cmocka_unit_test(test_search_request__reads_every_field),
        cmocka_unit_test(test_search_request__refuses_what_is_wrong_with_its_pointer),
        cmocka_unit_test(test_search_request__bounds_the_query),
        cmocka_unit_test(test_search_request__takes_a_vector_alone),
        cmocka_unit_test(test_search_vector__base64_and_array_agree),
        cmocka_unit_test(test_search_vector__finds_only_the_top_member),
        cmocka_unit_test(test_search_vector__leaves_malformed_text_to_the_parser),
        cmocka_unit_test(test_search_vector__reads_floats_as_printed),
        cmocka_unit_test(test_search_vector__bounds_the_dimension),
        cmocka_unit_test(test_search_request__reads_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
