#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

enum { LINES_MAX = 8192 };

static void log_sample(void)
{
    log_info("opened", "file=%s size=%d ratio=0.50 id=007 ok=true", log_quote("a \"b\"\n\\c").s, 12);
}

/* What `act` writes to stderr. */
static void capture(void (*act)(void), char out[LINES_MAX])
{
    int ends[2];
    int saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(saved >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    act();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    (void)close(ends[1]);
    ssize_t n = read(ends[0], out, LINES_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
    (void)close(ends[0]);
}

static void test_log__json_lines_hold_typed_members(void **state)
{
    (void)state;
    char out[LINES_MAX];
    log_init(LOG_INFO, true);
    log_bind("req-1");
    capture(log_sample, out);
    log_bind(NULL);
    json_t *v = json_loads(out, 0, NULL);
    assert_non_null(v);
    assert_string_equal(json_string_value(json_object_get(v, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(v, "msg")), "opened");
    assert_string_equal(json_string_value(json_object_get(v, "request_id")), "req-1");
    assert_string_equal(json_string_value(json_object_get(v, "file")), "a \"b\"\n\\c");
    assert_int_equal(json_integer_value(json_object_get(v, "size")), 12);
    assert_true(json_real_value(json_object_get(v, "ratio")) == 0.5);
    assert_string_equal(json_string_value(json_object_get(v, "id")), "007");
    assert_true(json_is_true(json_object_get(v, "ok")));
    json_decref(v);
}

static void test_log__text_is_one_line_whatever_the_values_hold(void **state)
{
    (void)state;
    char out[LINES_MAX];
    log_init(LOG_INFO, false);
    capture(log_sample, out);
    assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
    assert_non_null(strstr(out, "Z info  opened file=\"a \\\"b\\\" \\\\c\" size=12 "));
}

static void log_flood(void)
{
    char text[5000];
    memset(text, '"', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_error("flood", "a=%s b=\"%s", log_quote(text).s, text);
}

static void test_log__long_values_are_cut_and_still_json(void **state)
{
    (void)state;
    char out[LINES_MAX];
    log_init(LOG_INFO, true);
    capture(log_flood, out);
    json_t *v = json_loads(out, 0, NULL);
    assert_non_null(v);
    assert_true(strlen(json_string_value(json_object_get(v, "a"))) <= LOG_QUOTE_MAX);
    json_decref(v);
}

static void log_debug_sample(void)
{
    log_debug("hidden", "");
}

static void test_log__level_filters_and_may_change(void **state)
{
    (void)state;
    char out[LINES_MAX];
    enum log_level level;
    log_init(LOG_INFO, false);
    capture(log_debug_sample, out);
    assert_string_equal(out, "");
    assert_true(log_level_parse("debug", &level));
    log_set_level(level);
    capture(log_debug_sample, out);
    assert_non_null(strstr(out, "hidden"));
    assert_false(log_level_parse("verbose", &level));
    log_set_level(LOG_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log__json_lines_hold_typed_members),
        cmocka_unit_test(test_log__text_is_one_line_whatever_the_values_hold),
        cmocka_unit_test(test_log__long_values_are_cut_and_still_json),
        cmocka_unit_test(test_log__level_filters_and_may_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
