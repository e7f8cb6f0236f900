#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "server/reply.h"

static json_t *parsed(const struct reply *r)
{
    json_t *j = json_loadb(r->body.data, r->body.len, 0, NULL);
    assert_non_null(j);
    return j;
}

static const char *header_of(const struct reply *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

static void test_reply_problem__is_rfc9457(void **state)
{
    (void)state;
    struct reply r = {0};
    struct err err = {0};
    struct jsonw w;
    reply_json(&r, 200, &w); /* half a reply that has to go */
    jsonw_object(&w);
    err_add_field(&err, "/k", "must be from 1 to 1000");
    reply_problem(&r, &err, "req-1");
    json_t *j = parsed(&r);
    assert_int_equal(r.status, 400);
    assert_string_equal(r.content_type, "application/problem+json");
    assert_string_equal(json_string_value(json_object_get(j, "type")), "urn:assay:problem:invalid-request");
    assert_int_equal(json_integer_value(json_object_get(j, "status")), 400);
    assert_string_equal(json_string_value(json_object_get(j, "request_id")), "req-1");
    json_t *field = json_array_get(json_object_get(j, "errors"), 0);
    assert_string_equal(json_string_value(json_object_get(field, "pointer")), "/k");
    json_decref(j);
    err_clear(&err);
    reply_clear(&r);
}

static void test_reply_problem__says_how_to_go_on(void **state)
{
    (void)state;
    struct reply r = {0};
    struct err err = {0};
    err_set(&err, ASSAY_UNAUTHENTICATED, NULL, "no");
    reply_problem(&r, &err, "x");
    assert_int_equal(r.status, 401);
    assert_true(strncmp(header_of(&r, "WWW-Authenticate"), "Bearer", 6) == 0);
    err_set(&err, ASSAY_UNAVAILABLE, "overloaded", "later");
    reply_problem(&r, &err, "x");
    assert_int_equal(r.status, 503);
    assert_string_equal(header_of(&r, "Retry-After"), "1");
    assert_null(header_of(&r, "WWW-Authenticate"));
    err_clear(&err);
    reply_clear(&r);
}

static void test_reply_header__never_lets_a_value_end_the_line(void **state)
{
    (void)state;
    struct reply r = {0};
    char longest[400];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    reply_header(&r, "Location", "/x\r\nSet-Cookie: a=b");
    reply_header(&r, "Location", "%s", longest);
    assert_int_equal(r.n_headers, 0);
    reply_etag(&r, 42);
    assert_string_equal(header_of(&r, "ETag"), "\"42\"");
    reply_clear(&r);
}

static void test_reply_list__has_the_envelope(void **state)
{
    (void)state;
    struct reply r = {0};
    struct jsonw w;
    reply_list(&r, &w);
    jsonw_int(&w, 1);
    jsonw_int(&w, 2);
    reply_list_end(&w, "abc");
    assert_memory_equal(r.body.data, "{\"items\":[1,2],\"next\":\"abc\"}", r.body.len);
    reply_clear(&r);
    reply_list(&r, &w);
    reply_list_end(&w, NULL);
    assert_memory_equal(r.body.data, "{\"items\":[],\"next\":null}", r.body.len);
    reply_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_problem__is_rfc9457),
        cmocka_unit_test(test_reply_problem__says_how_to_go_on),
        cmocka_unit_test(test_reply_header__never_lets_a_value_end_the_line),
        cmocka_unit_test(test_reply_list__has_the_envelope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
