#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_read.h"

enum mode { MODE_HYBRID, MODE_VECTOR };
static const char *const mode_names[] = {"hybrid", "vector", NULL};

struct query {
    int unused; /* keeps offset 0 free */
    struct str text;
    int64_t k;
    double weight;
    bool exact;
    int64_t at;
    int64_t max_age;
    int mode;
    struct str_list groups;
    json_t *filter;
    json_t *rows;
    json_t *any;
    bool k_given;
};

static const struct json_field query_fields[] = {
    JSON_FIELD(struct query, text, JSON_FIELD_STR, .required = true, .min = 1, .max = 8),
    JSON_FIELD(struct query, k, JSON_FIELD_INT, .min = 1, .max = 100, .nullable = true,
               .present_offset = offsetof(struct query, k_given)),
    JSON_FIELD(struct query, weight, JSON_FIELD_DOUBLE, .min = 0, .max = 1),
    JSON_FIELD(struct query, exact, JSON_FIELD_BOOL),
    JSON_FIELD(struct query, at, JSON_FIELD_TIME),
    JSON_FIELD(struct query, max_age, JSON_FIELD_DURATION),
    JSON_FIELD(struct query, mode, JSON_FIELD_ENUM, .names = mode_names),
    JSON_FIELD(struct query, groups, JSON_FIELD_STRS, .min = 1, .max = 4, .max_items = 3),
    JSON_FIELD(struct query, filter, JSON_FIELD_OBJECT),
    JSON_FIELD(struct query, rows, JSON_FIELD_ARRAY, .max_items = 2),
    JSON_FIELD(struct query, any, JSON_FIELD_ANY),
    JSON_FIELDS_END,
};

struct fixture {
    struct arena *arena;
    struct err err;
    struct query q;
};

static int set_up(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);
    f->arena = arena_new(0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_free(f->arena);
    err_clear(&f->err);
    free(f);
    return 0;
}

static enum assay_code read_text(struct fixture *f, const char *text)
{
    json_t *v;
    err_clear(&f->err);
    f->q = (struct query){.k = 10};
    TRY(json_parse(f->arena, str_of(text), &v, &f->err));
    return json_read(f->arena, v, "", query_fields, &f->q, &f->err);
}

static enum assay_code parse(struct fixture *f, struct str text)
{
    json_t *v;
    err_clear(&f->err);
    return json_parse(f->arena, text, &v, &f->err);
}

static void test_json_read__fills_every_type(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "{\"text\":\"h\\u00e9\",\"k\":7,\"weight\":1,\"exact\":true,"
                                  "\"at\":\"1970-01-01T00:00:01Z\",\"max_age\":\"P1D\",\"mode\":\"vector\","
                                  "\"groups\":[\"a\",\"bb\"],\"filter\":{\"x\":1},\"rows\":[1,2],\"any\":null}"),
                     ASSAY_OK);
    assert_true(str_eqc(f->q.text, "h\xC3\xA9"));
    assert_int_equal(f->q.k, 7);
    assert_true(f->q.k_given);
    assert_true(f->q.weight == 1.0);
    assert_true(f->q.exact);
    assert_int_equal(f->q.at, CLOCK_SECOND);
    assert_true(f->q.max_age == CLOCK_DAY);
    assert_int_equal(f->q.mode, MODE_VECTOR);
    assert_int_equal(f->q.groups.n, 2);
    assert_true(str_eqc(f->q.groups.items[1], "bb"));
    assert_int_equal(json_object_size(f->q.filter), 1);
    assert_int_equal(json_array_size(f->q.rows), 2);
    assert_true(json_is_null(f->q.any));
}

static void test_json_read__keeps_defaults_of_absent_and_null_members(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "{\"text\":\"x\",\"k\":null}"), ASSAY_OK);
    assert_int_equal(f->q.k, 10);
    assert_false(f->q.k_given);
    assert_int_equal(read_text(f, "{\"text\":null}"), ASSAY_INVALID); /* not nullable */
}

static void test_json_read__points_at_each_problem(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *pointer, *detail;
    } cases[] = {
        {"[]", "", "must be an object"},
        {"{}", "/text", "is required"},
        {"{\"text\":\"\"}", "/text", "must not be empty"},
        {"{\"text\":\"123456789\"}", "/text", "must have at most 8 bytes"},
        {"{\"text\":5}", "/text", "must be a string"},
        {"{\"text\":\"x\",\"k\":0}", "/k", "must be between 1 and 100"},
        {"{\"text\":\"x\",\"k\":101}", "/k", "must be between 1 and 100"},
        {"{\"text\":\"x\",\"k\":1.5}", "/k", "must be an integer"},
        {"{\"text\":\"x\",\"k\":\"1\"}", "/k", "must be an integer"},
        {"{\"text\":\"x\",\"k\":1e300}", "/k", "must be an integer"},
        {"{\"text\":\"x\",\"weight\":1.01}", "/weight", "must be between 0 and 1"},
        {"{\"text\":\"x\",\"weight\":true}", "/weight", "must be a number"},
        {"{\"text\":\"x\",\"exact\":1}", "/exact", "must be true or false"},
        {"{\"text\":\"x\",\"at\":\"yesterday\"}", "/at", "must be an RFC 3339 time such as 2026-03-01T12:00:00Z"},
        {"{\"text\":\"x\",\"mode\":\"Vector\"}", "/mode", "must be one of: hybrid, vector"},
        {"{\"text\":\"x\",\"groups\":\"a\"}", "/groups", "must be an array of strings"},
        {"{\"text\":\"x\",\"groups\":[\"a\",1]}", "/groups/1", "must be a string"},
        {"{\"text\":\"x\",\"groups\":[\"a\",\"b\",\"\"]}", "/groups/2", "must not be empty"},
        {"{\"text\":\"x\",\"groups\":[\"a\",\"b\",\"c\",\"d\"]}", "/groups", "must have at most 3 items"},
        {"{\"text\":\"x\",\"filter\":[]}", "/filter", "must be an object"},
        {"{\"text\":\"x\",\"rows\":{}}", "/rows", "must be an array"},
        {"{\"text\":\"x\",\"rows\":[1,2,3]}", "/rows", "must have at most 2 items"},
        {"{\"text\":\"x\",\"a/b~c\":1}", "/a~1b~0c", "is not a known member"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_text(f, cases[i].text), ASSAY_INVALID);
        assert_int_equal(f->err.code, ASSAY_INVALID);
        assert_int_equal(f->err.n_fields, 1);
        assert_string_equal(f->err.fields[0].pointer, cases[i].pointer);
        assert_string_equal(f->err.fields[0].detail, cases[i].detail);
    }
}

static void test_json_read__takes_integers_written_as_reals(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "{\"text\":\"x\",\"k\":1e1}"), ASSAY_OK);
    assert_int_equal(f->q.k, 10);
}

static void test_json_read__reports_all_problems_up_to_a_limit(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "{\"k\":0,\"weight\":-1,\"nope\":1}"), ASSAY_INVALID);
    assert_int_equal(f->err.n_fields, 4);
    struct buf b = {0};
    buf_puts(&b, "{\"text\":\"x\"");
    for (int i = 0; i < 100; i++)
        buf_printf(&b, ",\"m%d\":1", i);
    buf_puts(&b, "}");
    assert_int_equal(read_text(f, buf_cstr(&b)), ASSAY_INVALID);
    assert_int_equal(f->err.n_fields, ERR_FIELDS_MAX);
    buf_free(&b);
}

static void test_json_read__pointers_of_long_names_are_cut_at_code_points(void **state)
{
    struct fixture *f = *state;
    for (size_t pad = 0; pad < 4; pad++) {
        struct buf b = {0};
        buf_puts(&b, "{\"text\":\"x\",\"");
        buf_put(&b, "aaaa", pad);
        for (int i = 0; i < 100; i++)
            buf_puts(&b, "\xE2\x82\xAC~");
        buf_puts(&b, "\":1}");
        assert_int_equal(read_text(f, buf_cstr(&b)), ASSAY_INVALID);
        assert_true(str_utf8_valid(str_of(f->err.fields[0].pointer)));
        assert_true(strlen(f->err.fields[0].pointer) > 100);
        buf_free(&b);
    }
}

static void test_json_parse__says_what_and_where_without_repeating_the_body(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        {{"", 0}, "JSON is expected, but there is none."},
        {{"{\"secret\":", 10}, "JSON ends too early at line 1"},
        {{"{\n \"a\": secret}", 15}, "JSON is not well formed at line 2"},
        {{"{} secret", 9}, "There is more after the end of the JSON value at line 1"},
        {{"\"\xFFsecret\"", 9}, "JSON is not valid UTF-8 at line 1"},
        {{"\"\xED\xA0\x80\"", 5}, "JSON is not valid UTF-8 at line 1"},
        {{"{\"secret\":1,\"secret\":2}", 23}, "JSON has an object with a repeated member name at line 1"},
        {{"\"\\u0000\"", 8}, "JSON has a NUL character in a string at line 1"},
        {{"99999999999999999999", 20}, "JSON has a number out of range at line 1"},
        {{"1e999", 5}, "JSON has a number out of range at line 1"},
        {{"nan", 3}, "JSON is not well formed at line 1"},
        {{"[1,]", 4}, "JSON is not well formed at line 1"},
        {{"{a:1}", 5}, "JSON is not well formed at line 1"},
        {{"[01]", 4}, "JSON is not well formed at line 1"},
        {{"\"\\ud800\"", 8}, "JSON is not well formed at line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(parse(f, cases[i].text), ASSAY_INVALID);
        assert_memory_equal(f->err.detail, cases[i].want, strlen(cases[i].want));
        assert_null(strstr(f->err.detail, "secret"));
        assert_string_equal(err_slug(&f->err), "invalid-json");
    }
    assert_int_equal(parse(f, (struct str){"[1]\0", 4}), ASSAY_INVALID);
    assert_int_equal(parse(f, STR_LIT("\"only a string\"")), ASSAY_OK);
}

static void test_json_parse__limits_depth_and_number_of_values(void **state)
{
    struct fixture *f = *state;
    char deep[2 * (JSON_DEPTH_MAX + 1)];
    memset(deep, '[', JSON_DEPTH_MAX + 1);
    memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(parse(f, (struct str){deep + 1, 2 * JSON_DEPTH_MAX}), ASSAY_OK);
    assert_int_equal(parse(f, (struct str){deep, sizeof deep}), ASSAY_INVALID);
    assert_non_null(strstr(f->err.detail, "nested deeper than 64 levels at line 1, column 65"));
    /* Brackets in strings are text. */
    assert_int_equal(parse(f, STR_LIT("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"")),
                     ASSAY_OK);
    struct buf many = {0};
    buf_putc(&many, '[');
    for (size_t i = 0; i < 2U * JSON_VALUES_MAX; i++)
        buf_puts(&many, i ? ",0" : "0");
    buf_putc(&many, ']');
    assert_int_equal(parse(f, buf_str(&many)), ASSAY_INVALID);
    assert_non_null(strstr(f->err.detail, "more than 500000 values"));
    buf_free(&many);
}

static enum assay_code read_params(struct fixture *f, const struct json_param *params, size_t n)
{
    err_clear(&f->err);
    f->q = (struct query){.k = 10};
    return json_read_params(f->arena, params, n, query_fields, &f->q, &f->err);
}

static void test_json_read_params__reads_text_forms(void **state)
{
    struct fixture *f = *state;
    const struct json_param params[] = {
        {STR_LIT("text"), STR_LIT("a b")},      {STR_LIT("k"), STR_LIT("5")},
        {STR_LIT("weight"), STR_LIT("2.5e-1")}, {STR_LIT("exact"), STR_LIT("true")},
        {STR_LIT("groups"), STR_LIT("a,b")},    {STR_LIT("groups"), STR_LIT("c")},
        {STR_LIT("mode"), STR_LIT("vector")},   {STR_LIT("filter"), STR_LIT("{\"x\":1}")},
    };
    assert_int_equal(read_params(f, params, sizeof params / sizeof *params), ASSAY_OK);
    assert_true(str_eqc(f->q.text, "a b"));
    assert_int_equal(f->q.k, 5);
    assert_true(f->q.k_given);
    assert_true(f->q.weight == 0.25);
    assert_true(f->q.exact);
    assert_int_equal(f->q.mode, MODE_VECTOR);
    assert_int_equal(f->q.groups.n, 3);
    assert_true(str_eqc(f->q.groups.items[2], "c"));
    assert_int_equal(json_object_size(f->q.filter), 1);
}

static void test_json_read_params__points_at_each_problem(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct json_param param;
        const char *pointer, *detail;
    } cases[] = {
        {{{"k", 1}, {"1x", 2}}, "?k", "must be an integer"},
        {{{"k", 1}, {"0", 1}}, "?k", "must be between 1 and 100"},
        {{{"weight", 6}, {"0x1p-1", 6}}, "?weight", "must be a number"},
        {{{"weight", 6}, {"nan", 3}}, "?weight", "must be a number"},
        {{{"weight", 6}, {"", 0}}, "?weight", "must be a number"},
        {{{"exact", 5}, {"yes", 3}}, "?exact", "must be true or false"},
        {{{"groups", 6}, {"a,,b", 4}}, "?groups", "must not be empty"},
        {{{"groups", 6}, {"a,b,c,d", 7}}, "?groups", "must have at most 3 items"},
        {{{"filter", 6}, {"[]", 2}}, "?filter", "must be an object"},
        {{{"any", 3}, {"\xFF", 1}}, "?any", "must be UTF-8"},
        {{{"nope", 4}, {"1", 1}}, "?nope", "is not a known parameter"},
        {{{"text", 4}, {"again", 5}}, "?text", "must be given once"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct json_param params[] = {{STR_LIT("text"), STR_LIT("x")}, cases[i].param};
        assert_int_equal(read_params(f, params, 2), ASSAY_INVALID);
        assert_int_equal(f->err.n_fields, 1);
        assert_string_equal(f->err.fields[0].pointer, cases[i].pointer);
        assert_string_equal(f->err.fields[0].detail, cases[i].detail);
    }
    assert_int_equal(read_params(f, NULL, 0), ASSAY_INVALID);
    assert_string_equal(f->err.fields[0].pointer, "?text");
    assert_string_equal(f->err.fields[0].detail, "is required");
}

static void test_json_canonical__does_not_depend_on_order_space_or_spelling(void **state)
{
    struct fixture *f = *state;
    static const char *const spellings[] = {
        "{\"b\":[1,1.50,true,null,\"\\u00e9\\/\"],\"a\":{\"z\":1e2,\"\\u20ac\":-0.0,\"y\":{}}}",
        " { \"a\" : {\"\xE2\x82\xAC\":0.0, \"y\":{ },\"z\":100.0}, \"b\":[ 1, 15e-1, true, null, \"\xC3\xA9/\" ] } ",
    };
    for (size_t i = 0; i < 2; i++) {
        json_t *v;
        struct buf out = {0};
        assert_int_equal(json_parse(f->arena, str_of(spellings[i]), &v, &f->err), ASSAY_OK);
        json_canonical(v, &out);
        assert_string_equal(buf_cstr(&out), "{\"a\":{\"y\":{},\"z\":100,\"\xE2\x82\xAC\":0},"
                                            "\"b\":[1,1.5,true,null,\"\xC3\xA9/\"]}");
        buf_free(&out);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_json_read__fills_every_type),
        CASE(test_json_read__keeps_defaults_of_absent_and_null_members),
        CASE(test_json_read__points_at_each_problem),
        CASE(test_json_read__takes_integers_written_as_reals),
        CASE(test_json_read__reports_all_problems_up_to_a_limit),
        CASE(test_json_read__pointers_of_long_names_are_cut_at_code_points),
        CASE(test_json_parse__says_what_and_where_without_repeating_the_body),
        CASE(test_json_parse__limits_depth_and_number_of_values),
        CASE(test_json_read_params__reads_text_forms),
        CASE(test_json_read_params__points_at_each_problem),
        CASE(test_json_canonical__does_not_depend_on_order_space_or_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
