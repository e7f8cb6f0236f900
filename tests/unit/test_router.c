#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/router.h"

struct found {
    enum assay_code code;
    const struct route *route;
    char params[REQUEST_PATH_PARAMS_MAX][128];
    char allow[64];
    char slug[64];
};

static struct found match(const char *method, const char *path)
{
    struct arena *a = arena_new(1024);
    struct err err = {0};
    struct str params[REQUEST_PATH_PARAMS_MAX] = {{0}};
    const char *allow = NULL;
    struct found f = {0};
    f.code = router_match(a, str_of(method), str_of(path), &f.route, params, &allow, &err);
    for (size_t i = 0; i < REQUEST_PATH_PARAMS_MAX; i++)
        memcpy(f.params[i], params[i].ptr ? params[i].ptr : "", params[i].len < 127 ? params[i].len : 127);
    if (allow)
        memcpy(f.allow, allow, strlen(allow) < 63 ? strlen(allow) : 63);
    if (f.code != ASSAY_OK)
        memcpy(f.slug, err_slug(&err), strlen(err_slug(&err)));
    err_clear(&err);
    arena_free(a);
    return f;
}

static void finds(const char *method, const char *path, const char *operation)
{
    struct found f = match(method, path);
    assert_int_equal(f.code, ASSAY_OK);
    assert_string_equal(f.route->operation, operation);
}

static void test_router_match__finds_the_row(void **state)
{
    (void)state;
    finds("POST", "/search", "search");
    finds("GET", "/search", "searchByQuery");
    finds("GET", "/quarantine", "listQuarantine");
    finds("POST", "/quarantine/sweep", "sweepQuarantine");
    finds("GET", "/lineage/receipts/abc", "getReceipt");
    finds("POST", "/api/v1/lineage", "postLineageMarquez");
}

static void test_router_match__head_is_get(void **state)
{
    (void)state;
    finds("HEAD", "/healthz", "getHealth");
}

static void test_router_match__decodes_parameters_after_splitting(void **state)
{
    (void)state;
    struct found f = match("GET", "/documents/a%2Fb%20c+d/versions/%C3%A9");
    assert_int_equal(f.code, ASSAY_OK);
    assert_string_equal(f.route->operation, "getVersion");
    assert_string_equal(f.params[0], "a/b c+d");
    assert_string_equal(f.params[1], "\xC3\xA9");
}

static void test_router_match__refuses_bad_escapes(void **state)
{
    (void)state;
    assert_int_equal(match("GET", "/documents/%zz").code, ASSAY_INVALID);
    assert_int_equal(match("GET", "/documents/%").code, ASSAY_INVALID);
    assert_int_equal(match("GET", "/documents/%00").code, ASSAY_INVALID);
    assert_int_equal(match("GET", "/documents/%ff").code, ASSAY_INVALID);
    assert_int_equal(match("GET", "/documents/%ED%A0%80").code, ASSAY_INVALID); /* a surrogate */
}

static void test_router_match__unknown_paths_are_404(void **state)
{
    (void)state;
    const char *const paths[] = {"",
                                 "/",
                                 "*",
                                 "search",
                                 "//search",
                                 "/search/",
                                 "/Search",
                                 "/documents/",
                                 "/documents//versions",
                                 "/sources/a/b/c",
                                 "/healthz/x",
                                 "/..",
                                 "/documents/a/versions/b/c"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (match("GET", paths[i]).code != ASSAY_NOT_FOUND)
            fail_msg("%s was found", paths[i]);
}

static void test_router_match__wrong_method_names_the_right_ones(void **state)
{
    (void)state;
    struct found f = match("PUT", "/documents/x");
    assert_int_equal(f.code, ASSAY_METHOD);
    assert_string_equal(f.allow, "GET, HEAD, DELETE");
    f = match("get", "/search");
    assert_int_equal(f.code, ASSAY_METHOD);
    assert_string_equal(f.allow, "POST, GET, HEAD");
}

/* What the rest of the server takes for granted about every row. */
static void test_routes__are_sound(void **state)
{
    (void)state;
    for (const struct route *r = routes; r->method; r++) {
        assert_non_null(r->handler);
        assert_true(r->pattern[0] == '/');
        assert_true((r->stream_type == NULL) == (r->stream_handler == NULL));
        assert_true(r->scope != 0 || r->run == RUN_INLINE); /* open to all: must not be able to exhaust the workers */
        assert_true(!r->idempotent_key || (r->run == RUN_WORKER && strcmp(r->method, "POST") == 0));
        assert_true(r->body == BODY_NONE || strcmp(r->method, "GET") != 0);
        for (const struct route *q = routes; q < r; q++) {
            assert_true(strcmp(q->operation, r->operation) != 0);
            assert_true(strcmp(q->pattern, r->pattern) != 0 || strcmp(q->method, r->method) != 0);
        }
        /* The row is reached by its own pattern: none before it takes its paths away. */
        struct found f = match(r->method, r->pattern);
        if (f.code == ASSAY_OK)
            assert_ptr_equal(f.route, r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router_match__finds_the_row),
        cmocka_unit_test(test_router_match__head_is_get),
        cmocka_unit_test(test_router_match__decodes_parameters_after_splitting),
        cmocka_unit_test(test_router_match__refuses_bad_escapes),
        cmocka_unit_test(test_router_match__unknown_paths_are_404),
        cmocka_unit_test(test_router_match__wrong_method_names_the_right_ones),
        cmocka_unit_test(test_routes__are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
