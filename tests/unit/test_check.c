/* ingest/check: outcomes and their evidence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ingest/check.h"
#include "ingest/ingest.h"

static struct check_result find(const struct check_result *r, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(r[i].check, name) == 0)
            return r[i];
    fail_msg("no check %s", name);
    return (struct check_result){0};
}

static struct check_result run(struct arena *a, struct str text, const char *language, const char *name)
{
    struct pipeline p;
    struct check_result *r;
    size_t n;
    pipeline_default(a, &p);
    struct check_input in = {.text = text,
                             .from = 100,
                             .tokens = str_utf8_valid(text) ? ingest_token_count(text) : 10,
                             .language = str_of(language)};
    check_chunk(a, &p.checks, &in, &r, &n);
    assert_int_equal(n, 5);
    return find(r, n, name);
}

#define ENGLISH "The quick brown fox jumps over the lazy dog, and then it runs away into the deep forest."

static void test_check_chunk__passes_plain_text(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    static const char *const names[] = {"not_empty", "utf8", "length", "language", "symbols"};
    for (size_t i = 0; i < 5; i++) {
        struct check_result r = run(a, STR_LIT(ENGLISH), "en", names[i]);
        assert_int_equal(r.outcome, CHECK_PASS);
        assert_int_equal(r.from, 100);
        assert_int_equal(r.to, 100 + strlen(ENGLISH));
        assert_true(r.expected.len > 0 && r.actual.len > 0);
    }
    arena_free(a);
}

static void test_check_chunk__fails_what_is_wrong(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    assert_int_equal(run(a, STR_LIT(" \n "), "en", "not_empty").outcome, CHECK_FAIL);
    assert_int_equal(run(a, STR_LIT("caf\xe9"), "en", "utf8").outcome, CHECK_FAIL);
    assert_int_equal(run(a, STR_LIT("two words"), "en", "length").outcome, CHECK_FAIL);
    assert_true(str_eqc(run(a, STR_LIT("two words"), "en", "length").actual, "2 tokens"));
    assert_true(str_eqc(run(a, STR_LIT("two words"), "en", "length").expected, "3..2000 tokens"));
    assert_int_equal(run(a, STR_LIT("==== ---- **** ++++ a"), "en", "symbols").outcome, CHECK_FAIL);
    assert_int_equal(run(a, STR_LIT("x1 y2 z3"), "und", "language").outcome, CHECK_FAIL);
    arena_free(a);
}

static void test_check_chunk__warns_with_the_span(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct check_result r = run(a, STR_LIT("was \ufffd lost \ufffd"), "en", "utf8");
    assert_int_equal(r.outcome, CHECK_WARN);
    assert_int_equal(r.from, 104);
    assert_int_equal(r.to, 107);
    assert_true(str_eqc(r.actual, "2 replacement characters"));
    assert_int_equal(run(a, STR_LIT("x1 y2 z3"), "en", "language").outcome, CHECK_WARN);
    arena_free(a);
}

static void test_check_chunk__runs_what_is_configured(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct check_params p = {.symbols = true, .min_alpha_ratio = 0.9};
    struct check_input in = {.text = STR_LIT("a-b-c"), .tokens = 5};
    struct check_result *r;
    size_t n;
    check_chunk(a, &p, &in, &r, &n);
    assert_int_equal(n, 1);
    assert_string_equal(r[0].check, "symbols");
    assert_string_equal(check_outcome_name(r[0].outcome), "fail");
    arena_free(a);
}

static void test_language_detect__tells_languages(void **state)
{
    (void)state;
    assert_string_equal(language_detect(STR_LIT(ENGLISH)), "en");
    assert_string_equal(
        language_detect(STR_LIT("Dies ist ein deutscher Satz, der lang genug ist, damit man ihn erkennt.")), "de");
    assert_string_equal(language_detect(STR_LIT("Ceci est une phrase en français, assez longue pour être reconnue.")),
                        "fr");
    assert_string_equal(language_detect(STR_LIT("これは日本語の文章です。十分に長いので認識できます。")), "ja");
    assert_string_equal(language_detect(STR_LIT("")), "und");
    assert_string_equal(language_detect(STR_LIT("0x1f 0x2e 77")), "und");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_chunk__passes_plain_text),
        cmocka_unit_test(test_check_chunk__fails_what_is_wrong),
        cmocka_unit_test(test_check_chunk__warns_with_the_span),
        cmocka_unit_test(test_check_chunk__runs_what_is_configured),
        cmocka_unit_test(test_language_detect__tells_languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
