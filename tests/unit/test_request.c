#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_write.h"
#include "server/dispatch.h"
#include "server/request.h"

static struct arena *arena;

static int set_up(void **state)
{
    arena = arena_new(4096);
    *state = arena;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct request request_of(const char *operation)
{
    return (struct request){.call = {.arena = arena, .request_id = "t", .actor = "test"}, .operation = operation};
}

static void test_request_parse_query__decodes_forms(void **state)
{
    (void)state;
    struct request req = request_of("x");
    struct err err = {0};
    assert_int_equal(request_parse_query(&req, STR_LIT("q=a+b%2B&&k=10&flag&e="), &err), ASSAY_OK);
    assert_int_equal(req.n_query, 4);
    assert_true(str_eqc(req.query[0].value, "a b+"));
    assert_true(str_eqc(req.query[1].name, "k"));
    assert_true(str_eqc(req.query[2].name, "flag") && req.query[2].value.len == 0);
    assert_true(str_eqc(req.query[3].name, "e") && req.query[3].value.len == 0);
}

static void test_request_parse_query__refuses_bad_text_and_too_many(void **state)
{
    (void)state;
    const char *const bad[] = {"q=%", "q=%f", "q=%ff", "%zz=1", "q=%00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct request req = request_of("x");
        struct err err = {0};
        assert_int_equal(request_parse_query(&req, str_of(bad[i]), &err), ASSAY_INVALID);
        err_clear(&err);
    }
    struct buf many = {0};
    for (int i = 0; i <= REQUEST_QUERY_MAX; i++)
        buf_puts(&many, "a=1&");
    struct request req = request_of("x");
    struct err err = {0};
    assert_int_equal(request_parse_query(&req, buf_str(&many), &err), ASSAY_INVALID);
    err_clear(&err);
    buf_free(&many);
}

struct thing {
    struct str name;
};
static const struct json_field thing_fields[] = {JSON_FIELD(struct thing, name, JSON_FIELD_STR, .max = 10),
                                                 JSON_FIELDS_END};

static void test_request_json__empty_body_is_an_empty_object(void **state)
{
    (void)state;
    struct request req = request_of("x");
    struct thing t = {{0}};
    struct err err = {0};
    req.body = STR_LIT("  \n");
    assert_int_equal(request_json(&req, thing_fields, &t, &err), ASSAY_OK);
    req.body = STR_LIT("[1]");
    assert_int_equal(request_json(&req, thing_fields, &t, &err), ASSAY_INVALID);
    err_clear(&err);
}

static void test_request_cursor__comes_back_to_its_own_list_only(void **state)
{
    (void)state;
    struct request docs = request_of("listDocuments"), keys = request_of("listSources");
    struct err err = {0};
    struct str out = {0};
    const char *const keysets[] = {"", "a", "ab", "abc", "\xC3\xA9\n~?>"};
    for (size_t i = 0; i < sizeof keysets / sizeof keysets[0]; i++) {
        struct str cursor = str_of(request_cursor_make(&docs, str_of(keysets[i])));
        assert_int_equal(request_cursor(&docs, cursor, &out, &err), ASSAY_OK);
        assert_true(str_eqc(out, keysets[i]));
        assert_int_equal(request_cursor(&keys, cursor, &out, &err), ASSAY_INVALID);
        assert_string_equal(err.fields[0].pointer, "?cursor");
        err_clear(&err);
    }
}

static void test_request_cursor__refuses_what_no_list_gave(void **state)
{
    (void)state;
    struct request req = request_of("op");
    const char *const bad[] = {"x", "====", "b3AKYQ==", "b3A", "b3AK/w", "b3ArYQ", "!!!!", "b3AKYQ\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        struct str out = {0};
        assert_int_equal(request_cursor(&req, str_of(bad[i]), &out, &err), ASSAY_INVALID);
        err_clear(&err);
    }
}

static void test_request_if_match__takes_one_strong_tag(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum assay_code code;
        int64_t revision;
    } rows[] = {{NULL, ASSAY_OK, 0},
                {"*", ASSAY_OK, 0},
                {"\"7\"", ASSAY_OK, 7},
                {"7", ASSAY_INVALID, 0},
                {"W/\"7\"", ASSAY_INVALID, 0},
                {"\"7\", \"8\"", ASSAY_INVALID, 0},
                {"\"\"", ASSAY_INVALID, 0},
                {"\"-1\"", ASSAY_INVALID, 0},
                {"\"0\"", ASSAY_INVALID, 0},
                {"\"", ASSAY_INVALID, 0},
                {"\"99999999999999999999\"", ASSAY_INVALID, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct request req = request_of("x");
        struct err err = {0};
        int64_t revision = -1;
        req.headers[HEADER_IF_MATCH] = str_of(rows[i].header);
        assert_int_equal(request_if_match(&req, &revision, &err), rows[i].code);
        assert_int_equal(revision, rows[i].revision);
        err_clear(&err);
    }
}

static void test_request_trace__keeps_the_trace_and_makes_a_span(void **state)
{
    (void)state;
    const char in[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const char *out = request_trace(arena, str_of(in));
    assert_non_null(out);
    assert_int_equal(strlen(out), 55);
    assert_memory_equal(out, in, 36);
    assert_true(memcmp(out + 36, in + 36, 16) != 0);
    assert_string_equal(out + 52, "-01");
    /* A later version may say more; its first four fields are read. */
    assert_non_null(request_trace(arena, STR_LIT("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more")));
}

static void test_request_trace__ignores_what_is_not_valid(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               "00",
                               "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
                               "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                               "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                               "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                               "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                               "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                               "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(request_trace(arena, str_of(bad[i])));
}

static void test_request_id_valid__bounds_alphabet_and_length(void **state)
{
    (void)state;
    char longest[65];
    memset(longest, 'a', sizeof longest);
    assert_true(request_id_valid((struct str){longest, 64}));
    assert_false(request_id_valid((struct str){longest, 65}));
    assert_true(request_id_valid(STR_LIT("A.b_c-9")));
    assert_false(request_id_valid(STR_LIT("")));
    assert_false(request_id_valid(STR_LIT("a b")));
    assert_false(request_id_valid(STR_LIT("a\n")));
    assert_false(request_id_valid(STR_LIT("a\"")));
}

static void test_dispatch_is_json__reads_the_essence(void **state)
{
    (void)state;
    assert_true(dispatch_is_json(STR_LIT("application/json")));
    assert_true(dispatch_is_json(STR_LIT("Application/JSON ; charset=utf-8")));
    assert_true(dispatch_is_json(STR_LIT("application/vnd.x+json")));
    assert_false(dispatch_is_json(STR_LIT("application/+json")));
    assert_false(dispatch_is_json(STR_LIT("text/json")));
    assert_false(dispatch_is_json(STR_LIT("application/jsonx")));
    assert_false(dispatch_is_json(STR_LIT("")));
    assert_false(dispatch_is_json((struct str){0}));
}

static void test_dispatch_idempotency_key__reads_strings_and_bare_keys(void **state)
{
    (void)state;
    struct str out = {0};
    struct err err = {0};
    assert_int_equal(dispatch_idempotency_key(arena, STR_LIT("\"a b\\\"c\""), &out, &err), ASSAY_OK);
    assert_true(str_eqc(out, "a b\"c"));
    assert_int_equal(dispatch_idempotency_key(arena, STR_LIT("8e03978e-40d5"), &out, &err), ASSAY_OK);
    assert_true(str_eqc(out, "8e03978e-40d5"));
    const char *const bad[] = {"", "\"\"", "\"", "\"a", "a b", "a\"b", "\"a\\n\"", "\"a\\\"", "caf\xC3\xA9", "a\tb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(dispatch_idempotency_key(arena, str_of(bad[i]), &out, &err), ASSAY_INVALID);
        err_clear(&err);
    }
    char longest[257];
    memset(longest, 'k', sizeof longest);
    assert_int_equal(dispatch_idempotency_key(arena, (struct str){longest, 255}, &out, &err), ASSAY_OK);
    assert_int_equal(dispatch_idempotency_key(arena, (struct str){longest, 256}, &out, &err), ASSAY_INVALID);
    err_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_parse_query__decodes_forms),
        cmocka_unit_test(test_request_parse_query__refuses_bad_text_and_too_many),
        cmocka_unit_test(test_request_json__empty_body_is_an_empty_object),
        cmocka_unit_test(test_request_cursor__comes_back_to_its_own_list_only),
        cmocka_unit_test(test_request_cursor__refuses_what_no_list_gave),
        cmocka_unit_test(test_request_if_match__takes_one_strong_tag),
        cmocka_unit_test(test_request_trace__keeps_the_trace_and_makes_a_span),
        cmocka_unit_test(test_request_trace__ignores_what_is_not_valid),
        cmocka_unit_test(test_request_id_valid__bounds_alphabet_and_length),
        cmocka_unit_test(test_dispatch_is_json__reads_the_essence),
        cmocka_unit_test(test_dispatch_idempotency_key__reads_strings_and_bare_keys),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
