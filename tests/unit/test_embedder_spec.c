/* The `embedder` and `policy` members of a collection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/catalog.h"
#include "server/policy.h"

struct fixture {
    struct arena *arena;
    struct embedder_spec spec;
    struct str canonical;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);
    f->arena = arena_new(4096);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    err_clear(&f->err);
    arena_free(f->arena);
    free(f);
    return 0;
}

static enum assay_code parse(struct fixture *f, const char *text)
{
    json_t *json = NULL;
    err_clear(&f->err);
    assert_int_equal(json_parse(f->arena, str_of(text), &json, &f->err), ASSAY_OK);
    return embedder_spec_parse(f->arena, json, "/embedder", &f->spec, &f->canonical, &f->err);
}

static void assert_refused(struct fixture *f, const char *text, const char *pointer)
{
    assert_int_equal(parse(f, text), ASSAY_INVALID);
    assert_true(f->err.n_fields > 0);
    assert_string_equal(f->err.fields[0].pointer, pointer);
}

static void test_embedder_spec__fills_in_defaults(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, "{\"kind\":\"builtin\"}"), ASSAY_OK);
    assert_int_equal(f->spec.kind, EMBEDDER_BUILTIN);
    assert_int_equal(f->spec.dim, 384);
    assert_true(str_eqc(f->canonical, "{\"dim\":384,\"kind\":\"builtin\"}"));
    assert_int_equal(parse(f, "{\"kind\":\"openai\",\"base_url\":\"http://h:1/v1/\",\"model\":\"m\",\"dim\":8}"),
                     ASSAY_OK);
    assert_int_equal(f->spec.batch_size, 32);
    assert_true(str_eqc(f->spec.base_url, "http://h:1/v1"));
}

static void test_embedder_spec__canonical_text_reads_back_the_same(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        parse(f, "{\"model\":\"m\",\"kind\":\"openai\",\"dim\":8,\"base_url\":\"https://h\",\"key_name\":\"k\","
                 "\"query_prefix\":\"q: \",\"document_prefix\":\"d: \",\"batch_size\":4,\"timeout_ms\":500,"
                 "\"retries\":0}"),
        ASSAY_OK);
    struct str first = f->canonical;
    assert_int_equal(parse(f, str_cstr(f->arena, first)), ASSAY_OK);
    assert_true(str_eq(first, f->canonical));
    assert_int_equal(f->spec.retries, 0);
    json_t *json = NULL;
    assert_int_equal(json_parse(f->arena, first, &json, &f->err), ASSAY_OK);
    struct buf again = {0};
    json_canonical(json, &again);
    assert_true(str_eq(first, buf_str(&again)));
    buf_free(&again);
}

static void test_embedder_spec__refuses_what_is_not_its_kinds(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "{}", "/embedder/kind");
    assert_refused(f, "{\"kind\":\"magic\"}", "/embedder/kind");
    assert_refused(f, "{\"kind\":\"builtin\",\"model\":\"m\"}", "/embedder/model");
    assert_refused(f, "{\"kind\":\"client\"}", "/embedder/dim");
    assert_refused(f, "{\"kind\":\"client\",\"dim\":4097}", "/embedder/dim");
    assert_refused(f, "{\"kind\":\"openai\",\"dim\":8,\"model\":\"m\"}", "/embedder/base_url");
    assert_refused(f, "[]", "/embedder");
}

static void test_embedder_spec__refuses_urls_that_must_not_be_called(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"file:///etc/passwd", "http://user:pw@host/v1", "ftp://host/v1/x",
                                      "https:///v1/xx",     "http://h/v1?x=1",        "http://h/v1#frag",
                                      "http://h /v1",       "http://h\\\\@x/v1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(
            f, arena_printf(f->arena, "{\"kind\":\"openai\",\"dim\":8,\"model\":\"m\",\"base_url\":\"%s\"}", bad[i]),
            "/embedder/base_url");
}

static void test_embedder_spec__refuses_key_names_that_are_no_names(void **state)
{
    struct fixture *f = *state;
    assert_refused(f,
                   "{\"kind\":\"openai\",\"dim\":8,\"model\":\"m\",\"base_url\":\"http://h/v1\",\"key_name\":\"a b\"}",
                   "/embedder/key_name");
}

static void test_policy__keeps_defaults_of_what_is_not_named(void **state)
{
    struct fixture *f = *state;
    struct policy p;
    struct quality_weights standard = quality_weights_default();
    json_t *json = NULL;
    assert_int_equal(json_parse(f->arena, STR_LIT("{\"weights\":{\"uniqueness\":2}}"), &json, &f->err), ASSAY_OK);
    assert_int_equal(policy_parse(f->arena, json, "/policy", EMBEDDER_CLIENT, &p, &f->canonical, &f->err), ASSAY_OK);
    assert_true(p.weights.w[QUALITY_UNIQUENESS] == 2.0);
    assert_true(p.weights.w[QUALITY_LINEAGE] == standard.w[QUALITY_LINEAGE]);
    assert_true(str_eqc(f->canonical, "{\"weights\":{\"uniqueness\":2}}"));
}

static void test_policy__refuses_weights_that_weigh_nothing(void **state)
{
    struct fixture *f = *state;
    struct policy p;
    json_t *json = NULL;
    const char *text = "{\"weights\":{\"lineage_coverage\":0,\"validation_pass_rate\":0,\"freshness_rate\":0,"
                       "\"bias_safety\":0,\"uniqueness\":0}}";
    assert_int_equal(json_parse(f->arena, str_of(text), &json, &f->err), ASSAY_OK);
    assert_int_equal(policy_parse(f->arena, json, "/policy", EMBEDDER_CLIENT, &p, &f->canonical, &f->err),
                     ASSAY_INVALID);
    assert_string_equal(f->err.fields[0].pointer, "/policy/weights");
    err_clear(&f->err);
    assert_int_equal(json_parse(f->arena, STR_LIT("{\"weights\":{\"beauty\":1}}"), &json, &f->err), ASSAY_OK);
    assert_int_equal(policy_parse(f->arena, json, "/policy", EMBEDDER_CLIENT, &p, &f->canonical, &f->err),
                     ASSAY_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_embedder_spec__fills_in_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embedder_spec__canonical_text_reads_back_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embedder_spec__refuses_what_is_not_its_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embedder_spec__refuses_urls_that_must_not_be_called, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embedder_spec__refuses_key_names_that_are_no_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policy__keeps_defaults_of_what_is_not_named, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policy__refuses_weights_that_weigh_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
