#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "index/query_text.h"

/* The parts as "plain|\"phrase\"|prefix*". */
static void assert_parts(const char *text, const char *expected)
{
    struct arena *a = arena_new(0);
    struct query_part *parts = NULL;
    size_t n = query_text_parse(a, str_of(text), &parts);
    struct buf out = {0};
    for (size_t i = 0; i < n; i++) {
        const char *quote = parts[i].kind == QUERY_PHRASE ? "\"" : "";
        buf_printf(&out, "%s%s%.*s%s%s", i > 0 ? "|" : "", quote, STR_FMT(parts[i].text), quote,
                   parts[i].kind == QUERY_PREFIX ? "*" : "");
    }
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
    arena_free(a);
}

static void test_query_text__finds_phrases(void **state)
{
    (void)state;
    assert_parts("\"write ahead log\"", "\"write ahead log\"");
    assert_parts("what is a \"dead tuple\"?", "what is a |\"dead tuple\"|?");
    assert_parts("(\"a b\") \"c d\"", "(|\"a b\"|) |\"c d\"");
    assert_parts("\xE2\x80\x9C"
                 "a b\xE2\x80\x9D und \xE2\x80\x9E"
                 "c d\xE2\x80\x9C et \xC2\xAB"
                 "e f\xC2\xBB",
                 "\"a b\"| und |\"c d\"| et |\"e f\"");
    assert_parts("\"a \"b\" c\"", "\"a \"b\"| c\"");
}

static void test_query_text__finds_prefixes(void **state)
{
    (void)state;
    assert_parts("connect*", "connect*");
    assert_parts("how to (vacu* max_conn*).", "how to (|vacu*| |max_conn*|).");
    assert_parts("caf\xC3\xA9*", "caf\xC3\xA9*");
}

static void test_query_text__leaves_plain_text_alone(void **state)
{
    (void)state;
    static const char *const plain[] = {"how do I limit connections?",
                                        "a lone \" quote",
                                        "24\" and 27\" monitors",
                                        "\"unclosed phrase",
                                        "\"",
                                        "\"\"",
                                        "\" spaced out \"",
                                        "a * b",
                                        "2*3",
                                        "count(*)",
                                        "**bold**",
                                        "x*",
                                        "*suffix",
                                        "wo*rd",
                                        "a**",
                                        "don't \"quote",
                                        "\" \" \""};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        assert_parts(plain[i], plain[i]);
    }
    assert_parts("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_text__finds_phrases),
        cmocka_unit_test(test_query_text__finds_prefixes),
        cmocka_unit_test(test_query_text__leaves_plain_text_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
