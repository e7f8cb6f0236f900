/* ingest/pipeline: declarations and their ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/json_read.h"
#include "ingest/pipeline.h"

static enum assay_code parse(struct arena *a, const char *text, struct pipeline *p, struct err *err)
{
    json_t *json;
    assert_int_equal(json_parse(a, str_of(text), &json, NULL), ASSAY_OK);
    return pipeline_parse(a, json, "/pipeline", p, err);
}

static void test_pipeline_default__is_canonical_and_reads_back(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct pipeline p, q, r;
    pipeline_default(a, &p);
    json_t *json;
    assert_int_equal(json_parse(a, p.json, &json, NULL), ASSAY_OK);
    struct buf canonical = {0};
    json_canonical(json, &canonical);
    assert_true(str_eq(buf_str(&canonical), p.json));
    buf_free(&canonical);
    assert_int_equal(pipeline_parse(a, json, "", &q, NULL), ASSAY_OK);
    assert_true(digest_eq(&p.id, &q.id));
    assert_int_equal(parse(a, "{\"operators\":[]}", &r, NULL), ASSAY_OK);
    assert_true(digest_eq(&p.id, &r.id));
    struct digest sum;
    digest_sha256(p.json.ptr, p.json.len, &sum);
    assert_true(digest_eq(&p.id, &sum));
    arena_free(a);
}

static void test_pipeline_parse__reads_parameters(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct pipeline p, q;
    assert_int_equal(
        parse(a,
              "{\"operators\":[{\"op\":\"extract\"},{\"op\":\"normalise\",\"form\":\"NFC\"},"
              "{\"op\":\"chunk\",\"target_tokens\":100,\"max_tokens\":150,\"overlap_tokens\":0,\"split_level\":2},"
              "{\"op\":\"checks\",\"checks\":[{\"check\":\"symbols\",\"min_alpha_ratio\":0.5},"
              "{\"check\":\"length\",\"min_tokens\":1}]},{\"op\":\"embed\"}]}",
              &p, NULL),
        ASSAY_OK);
    assert_int_equal(p.chunk.target_tokens, 100);
    assert_int_equal(p.chunk.max_tokens, 150);
    assert_int_equal(p.chunk.overlap_tokens, 0);
    assert_int_equal(p.chunk.split_level, 2);
    assert_true(p.checks.symbols && p.checks.length);
    assert_false(p.checks.not_empty || p.checks.utf8 || p.checks.language_known || p.checks.duplicate);
    assert_int_equal(p.checks.min_tokens, 1);
    assert_int_equal(p.checks.max_tokens, 2000);
    pipeline_default(a, &q);
    assert_false(digest_eq(&p.id, &q.id));
    /* The order of checks says nothing. */
    assert_int_equal(
        parse(a, "{\"operators\":[{\"op\":\"checks\",\"checks\":[{\"check\":\"utf8\"},{\"check\":\"not_empty\"}]}]}",
              &p, NULL),
        ASSAY_OK);
    assert_int_equal(
        parse(a, "{\"operators\":[{\"op\":\"checks\",\"checks\":[{\"check\":\"not_empty\"},{\"check\":\"utf8\"}]}]}",
              &q, NULL),
        ASSAY_OK);
    assert_true(digest_eq(&p.id, &q.id));
    arena_free(a);
}

static void test_pipeline_parse__points_at_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *json, *pointer;
    } cases[] = {
        {"[]", "/pipeline"},
        {"{}", "/pipeline/operators"},
        {"{\"operators\":[],\"x\":1}", "/pipeline/x"},
        {"{\"operators\":[1]}", "/pipeline/operators/0"},
        {"{\"operators\":[{}]}", "/pipeline/operators/0/op"},
        {"{\"operators\":[{\"op\":\"shrink\"}]}", "/pipeline/operators/0/op"},
        {"{\"operators\":[{\"op\":\"extract\",\"x\":1}]}", "/pipeline/operators/0/x"},
        {"{\"operators\":[{\"op\":\"normalise\",\"form\":\"NFD\"}]}", "/pipeline/operators/0/form"},
        {"{\"operators\":[{\"op\":\"chunk\"},{\"op\":\"extract\"}]}", "/pipeline/operators/1"},
        {"{\"operators\":[{\"op\":\"embed\"},{\"op\":\"embed\"}]}", "/pipeline/operators/1"},
        {"{\"operators\":[{\"op\":\"chunk\",\"target_tokens\":5}]}", "/pipeline/operators/0/target_tokens"},
        {"{\"operators\":[{\"op\":\"chunk\",\"target_tokens\":500}]}", "/pipeline/operators/0"},
        {"{\"operators\":[{\"op\":\"chunk\",\"overlap_tokens\":200}]}", "/pipeline/operators/0"},
        {"{\"operators\":[{\"op\":\"chunk\",\"split_level\":7}]}", "/pipeline/operators/0/split_level"},
        {"{\"operators\":[{\"op\":\"checks\",\"checks\":[{\"check\":\"taste\"}]}]}",
         "/pipeline/operators/0/checks/0/check"},
        {"{\"operators\":[{\"op\":\"checks\",\"checks\":[{\"check\":\"utf8\",\"min_tokens\":1}]}]}",
         "/pipeline/operators/0/checks/0/min_tokens"},
        {"{\"operators\":[{\"op\":\"checks\",\"checks\":[{\"check\":\"utf8\"},{\"check\":\"utf8\"}]}]}",
         "/pipeline/operators/0/checks/1"},
        {"{\"operators\":[{\"op\":\"checks\",\"checks\":[{\"check\":\"length\",\"min_tokens\":9,\"max_tokens\":3}]}]}",
         "/pipeline/operators/0/checks/0"},
    };
    struct arena *a = arena_new(4096);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pipeline p;
        struct err err = {0};
        assert_int_equal(parse(a, cases[i].json, &p, &err), ASSAY_INVALID);
        assert_true(err.n_fields > 0);
        assert_string_equal(err.fields[0].pointer, cases[i].pointer);
        err_clear(&err);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipeline_default__is_canonical_and_reads_back),
        cmocka_unit_test(test_pipeline_parse__reads_parameters),
        cmocka_unit_test(test_pipeline_parse__points_at_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
