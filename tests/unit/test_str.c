#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"

static void test_str__equality_and_prefix(void **state)
{
    (void)state;
    assert_true(str_eq(STR_LIT("a"), str_of("a")));
    assert_false(str_eq(STR_LIT("a"), STR_LIT("ab")));
    assert_true(str_eqc(str_of(NULL), ""));
    assert_true(str_starts(STR_LIT("dataset:x"), "dataset:"));
    assert_false(str_starts(STR_LIT("data"), "dataset:"));
    assert_true(str_starts(str_of(NULL), ""));
    assert_true(str_eqc(str_trim(STR_LIT(" \t\r\n a b \n")), "a b"));
    assert_int_equal(str_trim(STR_LIT("  \n ")).len, 0);
}

static void test_str__to_i64_takes_the_whole_range_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"+7", 7},
                {"007", 7},
                {"-12", -12},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t v = 99;
        assert_true(str_to_i64(str_of(good[i].text), &v));
        assert_true(v == good[i].value);
    }
    static const char *const bad[] = {
        "", "-", "+", " 1", "1 ", "1.0", "0x10", "--1", "1e3", "9223372036854775808", "-9223372036854775809"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t v = 99;
        assert_false(str_to_i64(str_of(bad[i]), &v));
        assert_true(v == 99);
    }
}

/* The boundary cases of RFC 3629, section 4, and Markus Kuhn's UTF-8 stress test. */
static void test_str__utf8_follows_rfc_3629(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "plain text of more than eight bytes",
                                       "\x7F",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xEF\xBF\xBF",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF",
                                       "12345678\xE2\x82\xAC"};
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xC2\x41",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xED\xBF\xBF",
                                      "\xE2\x82",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFE",
                                      "\xFF",
                                      "12345678\xE2\x82"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(str_utf8_valid(str_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(str_utf8_valid(str_of(bad[i])));
    assert_true(str_utf8_valid((struct str){"a\0b", 3})); /* NUL is a character of UTF-8 */
}

static void test_str__utf8_next_decodes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        uint32_t cp;
    } cases[] = {{"A", 1, 'A'}, {"\xC3\xA9", 2, 0xE9}, {"\xE2\x82\xAC", 3, 0x20AC}, {"\xF0\x9F\x98\x80", 4, 0x1F600}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t cp = 0;
        assert_int_equal(str_utf8_next(cases[i].text, strlen(cases[i].text), &cp), cases[i].len);
        assert_int_equal(cp, cases[i].cp);
    }
}

static void test_str__utf8_cut_never_leaves_half_a_code_point(void **state)
{
    (void)state;
    static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t n = 0; n < sizeof want / sizeof *want; n++)
        assert_int_equal(str_utf8_cut((struct str){text, n}), want[n]);
}

static void test_str__url_decode(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct str out;
    assert_true(str_url_decode(a, STR_LIT("a%20b+c%2F%e2%82%AC"), false, &out));
    assert_true(str_eqc(out, "a b+c/\xE2\x82\xAC"));
    assert_true(str_url_decode(a, STR_LIT("a+b"), true, &out));
    assert_true(str_eqc(out, "a b"));
    static const char *const bad[] = {"%", "%2", "a%", "%zz", "%0g", "%00", "x%2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(str_url_decode(a, str_of(bad[i]), false, &out));
    arena_free(a);
}

static void test_buf__grows_and_formats(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_non_null(buf_str(&b).ptr);
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    buf_putc(&b, '!');
    buf_put(&b, NULL, 0);
    assert_int_equal(b.len, 3891);
    assert_memory_equal(buf_cstr(&b), "0,1,2,", 6);
    assert_string_equal(buf_cstr(&b) + 3886, "999,!");
    assert_int_equal(b.len, 3891);
    buf_free(&b);
    assert_null(b.data);
}

static void test_str__is_name_allows_what_needs_no_quoting(void **state)
{
    (void)state;
    assert_true(str_is_name(STR_LIT("pg-manual_1.0"), 13));
    assert_false(str_is_name(STR_LIT("pg-manual_1.0"), 12));
    assert_false(str_is_name(STR_LIT(""), 8));
    assert_false(str_is_name(STR_LIT("a b"), 8));
    assert_false(str_is_name(STR_LIT("a/b"), 8));
    assert_false(str_is_name(STR_LIT("\xc3\xa9"), 8));
}

static void test_buf__drop_keeps_the_rest(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_drop(&b, 0);
    buf_puts(&b, "abcdef");
    buf_drop(&b, 4);
    assert_true(str_eqc(buf_str(&b), "ef"));
    buf_drop(&b, 2);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str__equality_and_prefix),
        cmocka_unit_test(test_str__is_name_allows_what_needs_no_quoting),
        cmocka_unit_test(test_buf__drop_keeps_the_rest),
        cmocka_unit_test(test_str__to_i64_takes_the_whole_range_and_nothing_else),
        cmocka_unit_test(test_str__utf8_follows_rfc_3629),
        cmocka_unit_test(test_str__utf8_next_decodes),
        cmocka_unit_test(test_str__utf8_cut_never_leaves_half_a_code_point),
        cmocka_unit_test(test_str__url_decode),
        cmocka_unit_test(test_buf__grows_and_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
