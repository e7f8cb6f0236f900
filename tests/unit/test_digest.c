#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"

/* FIPS 180-4 examples. */
static void test_digest__sha256_known_answers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct digest whole, parts, back;
        char hex[DIGEST_HEX + 1];
        digest_sha256(cases[i].text, strlen(cases[i].text), &whole);
        digest_hex(&whole, hex);
        assert_string_equal(hex, cases[i].hex);
        struct digest_ctx *c = digest_begin();
        for (const char *p = cases[i].text; *p; p++)
            digest_update(c, p, 1);
        digest_end(c, &parts);
        assert_true(digest_eq(&whole, &parts));
        assert_true(digest_from_hex(str_of(hex), &back));
        assert_true(digest_eq_secret(&whole, &back));
    }
}

static void test_digest__fields_are_unambiguous(void **state)
{
    (void)state;
    struct digest x, y, by_hand;
    struct digest_ctx *c = digest_begin();
    digest_update_field(c, STR_LIT("ab"));
    digest_update_field(c, STR_LIT("c"));
    digest_end(c, &x);
    c = digest_begin();
    digest_update_field(c, STR_LIT("a"));
    digest_update_field(c, STR_LIT("bc"));
    digest_end(c, &y);
    assert_false(digest_eq(&x, &y));
    digest_sha256("\2\0\0\0\0\0\0\0ab\1\0\0\0\0\0\0\0c", 19, &by_hand);
    assert_true(digest_eq(&x, &by_hand));
}

static void test_digest__from_hex_is_strict(void **state)
{
    (void)state;
    struct digest d;
    char hex[DIGEST_HEX + 2];
    memset(hex, 'F', sizeof hex);
    assert_true(digest_from_hex((struct str){hex, 64}, &d));
    assert_int_equal(d.b[31], 0xFF);
    assert_false(digest_from_hex((struct str){hex, 63}, &d));
    assert_false(digest_from_hex((struct str){hex, 65}, &d));
    hex[40] = 'g';
    assert_false(digest_from_hex((struct str){hex, 64}, &d));
}

static void test_uuid__is_version_7_ordered_and_distinct(void **state)
{
    (void)state;
    int64_t before = clock_now_us() / 1000;
    char first[UUID_TEXT + 1], second[UUID_TEXT + 1];
    uuid_new(first);
    uuid_new(second);
    assert_true(uuid_valid(str_of(first)));
    assert_string_not_equal(first, second);
    assert_int_equal(first[14], '7');
    assert_non_null(strchr("89ab", first[19]));
    char stamp[13];
    memcpy(stamp, first, 8);
    memcpy(stamp + 8, first + 9, 4);
    stamp[12] = '\0';
    int64_t ms = (int64_t)strtoll(stamp, NULL, 16);
    assert_true(ms >= before && ms <= clock_now_us() / 1000);
}

static void test_uuid__valid_is_strict(void **state)
{
    (void)state;
    assert_true(uuid_valid(STR_LIT("0190163d-8694-739B-aea5-966c26f8ad90")));
    assert_false(uuid_valid(STR_LIT("0190163d-8694-739b-aea5-966c26f8ad9")));
    assert_false(uuid_valid(STR_LIT("0190163d-8694-739b-aea5-966c26f8ad900")));
    assert_false(uuid_valid(STR_LIT("0190163d08694-739b-aea5-966c26f8ad90")));
    assert_false(uuid_valid(STR_LIT("0190163d-8694-739b-aea5-966c26f8ad9g")));
    assert_false(uuid_valid(str_of(NULL)));
}

/* RFC 4648, section 10. */
static void test_base64__decodes_and_encodes(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *base64, *base64url;
    } cases[] = {{"", "", ""},
                 {"f", "Zg==", "Zg"},
                 {"fo", "Zm8=", "Zm8"},
                 {"foo", "Zm9v", "Zm9v"},
                 {"foob", "Zm9vYg==", "Zm9vYg"},
                 {"fooba", "Zm9vYmE=", "Zm9vYmE"},
                 {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                 {"\xFB\xFF\xFE", "+//+", "-__-"}};
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str out;
        char text[16];
        assert_true(base64_decode(a, str_of(cases[i].base64), &out));
        assert_true(str_eqc(out, cases[i].plain));
        base64url_encode(cases[i].plain, strlen(cases[i].plain), text, sizeof text);
        assert_string_equal(text, cases[i].base64url);
    }
    arena_free(a);
}

static void test_base64__refuses_what_is_not_canonical(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zm9-", "=Zg=", "Zg==Zg==", "Zm9v\n"};
    struct arena *a = arena_new(0);
    struct str out;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(base64_decode(a, str_of(bad[i]), &out));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest__sha256_known_answers),
        cmocka_unit_test(test_digest__fields_are_unambiguous),
        cmocka_unit_test(test_digest__from_hex_is_strict),
        cmocka_unit_test(test_uuid__is_version_7_ordered_and_distinct),
        cmocka_unit_test(test_uuid__valid_is_strict),
        cmocka_unit_test(test_base64__decodes_and_encodes),
        cmocka_unit_test(test_base64__refuses_what_is_not_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
