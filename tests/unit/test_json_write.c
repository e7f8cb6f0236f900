#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_write.h"

static void test_json_write__commas_nesting_and_values(void **state)
{
    (void)state;
    struct buf out = {0};
    struct jsonw w;
    jsonw_init(&w, &out);
    jsonw_object(&w);
    jsonw_key(&w, "list");
    jsonw_array(&w);
    jsonw_int(&w, INT64_MIN);
    jsonw_object(&w);
    jsonw_object_end(&w);
    jsonw_array(&w);
    jsonw_array_end(&w);
    jsonw_bool(&w, true);
    jsonw_null(&w);
    jsonw_array_end(&w);
    jsonw_kstr(&w, "absent", (struct str){0});
    jsonw_kstr(&w, "empty", STR_LIT(""));
    jsonw_kcstr(&w, "text", "a");
    jsonw_kint(&w, "int", 5);
    jsonw_kdouble(&w, "double", 0.5);
    jsonw_kbool(&w, "bool", false);
    jsonw_ktime(&w, "time", 0);
    jsonw_ktime(&w, "never", CLOCK_NEVER);
    jsonw_kraw(&w, "raw", STR_LIT("[1]"));
    jsonw_kraw(&w, "no_raw", (struct str){0});
    jsonw_object_end(&w);
    assert_string_equal(
        buf_cstr(&out),
        "{\"list\":[-9223372036854775808,{},[],true,null],\"absent\":null,\"empty\":\"\",\"text\":\"a\","
        "\"int\":5,\"double\":0.5,\"bool\":false,\"time\":\"1970-01-01T00:00:00Z\",\"never\":null,"
        "\"raw\":[1],\"no_raw\":null}");
    buf_free(&out);
}

static void test_json_write__escapes_and_repairs_strings(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *want;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{"a\"b\\c/", 6}, "\"a\\\"b\\\\c/\""},
        {{"\b\t\n\v\f\r\x1F\0\x7F", 9}, "\"\\b\\t\\n\\u000b\\f\\r\\u001f\\u0000\x7F\""},
        {{"\xE2\x82\xAC", 3}, "\"\xE2\x82\xAC\""},
        {{"a\xFF\xC2z", 4}, "\"a\xEF\xBF\xBD\xEF\xBF\xBDz\""},
        {{"\xE2\x82", 2}, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        jsonw_escape(&out, cases[i].in);
        assert_string_equal(buf_cstr(&out), cases[i].want);
        buf_free(&out);
    }
}

/* The samples of RFC 8785, appendix B; those of 1e18 and more have an exponent here. */
static void test_json_write__doubles_as_in_rfc_8785(void **state)
{
    (void)state;
    static const struct {
        uint64_t bits;
        const char *want;
    } cases[] = {
        {0x0000000000000000, "0"},
        {0x8000000000000000, "0"},
        {0x0000000000000001, "5e-324"},
        {0x8000000000000001, "-5e-324"},
        {0x7fefffffffffffff, "1.7976931348623157e+308"},
        {0xffefffffffffffff, "-1.7976931348623157e+308"},
        {0x4340000000000000, "9007199254740992"},
        {0xc340000000000000, "-9007199254740992"},
        {0x4430000000000000, "2.9514790517935283e+20"},
        {0x44b52d02c7e14af5, "9.999999999999997e+22"},
        {0x44b52d02c7e14af6, "1e+23"},
        {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
        {0x444b1ae4d6e2ef4e, "9.999999999999997e+20"},
        {0x444b1ae4d6e2ef4f, "9.999999999999999e+20"},
        {0x444b1ae4d6e2ef50, "1e+21"},
        {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
        {0x3eb0c6f7a0b5ed8d, "0.000001"},
        {0x41b3de4355555553, "333333333.3333332"},
        {0x41b3de4355555554, "333333333.33333325"},
        {0x41b3de4355555555, "333333333.3333333"},
        {0x41b3de4355555556, "333333333.3333334"},
        {0x41b3de4355555557, "333333333.33333343"},
        {0xbecbf647612f3696, "-0.0000033333333333333333"},
        {0x43143ff3c1cb0959, "1424953923781206.2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double v;
        char text[JSONW_DOUBLE_TEXT];
        memcpy(&v, &cases[i].bits, sizeof v);
        assert_int_equal(jsonw_double_text(v, text), strlen(cases[i].want));
        assert_string_equal(text, cases[i].want);
    }
}

static void test_json_write__doubles_read_back(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252U;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13U; /* xorshift64: any fixed walk through the bit patterns will do */
        bits ^= bits >> 7U;
        bits ^= bits << 17U;
        double v;
        char text[JSONW_DOUBLE_TEXT];
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        (void)jsonw_double_text(v, text);
        assert_true(strtod(text, NULL) == v);
    }
}

static void test_json_write__not_finite_is_null(void **state)
{
    (void)state;
    struct buf out = {0};
    struct jsonw w;
    jsonw_init(&w, &out);
    jsonw_array(&w);
    jsonw_double(&w, (double)NAN);
    jsonw_double(&w, (double)INFINITY);
    jsonw_array_end(&w);
    assert_string_equal(buf_cstr(&out), "[null,null]");
    buf_free(&out);
}

static void test_json_write__any_bytes_give_json_that_parses(void **state)
{
    (void)state;
    unsigned char bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(255 - i);
    struct buf out = {0};
    jsonw_escape(&out, (struct str){(const char *)bytes, sizeof bytes});
    json_t *v = json_loadb(out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(v);
    assert_int_equal(json_string_length(v), 128 * 3 + 128);
    json_decref(v);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_write__commas_nesting_and_values),
        cmocka_unit_test(test_json_write__escapes_and_repairs_strings),
        cmocka_unit_test(test_json_write__doubles_as_in_rfc_8785),
        cmocka_unit_test(test_json_write__doubles_read_back),
        cmocka_unit_test(test_json_write__not_finite_is_null),
        cmocka_unit_test(test_json_write__any_bytes_give_json_that_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
