#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

static enum assay_code refuse(struct err *err, int number)
{
    return err_set(err, ASSAY_CONFLICT, "number-taken", "Number %d is taken.", number);
}

static enum assay_code pass_on(struct err *err)
{
    TRY(refuse(err, 7));
    return ASSAY_OK;
}

static void test_err__carries_code_slug_detail_and_place(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(pass_on(&err), ASSAY_CONFLICT);
    assert_int_equal(err.code, ASSAY_CONFLICT);
    assert_string_equal(err_slug(&err), "number-taken");
    assert_string_equal(err.detail, "Number 7 is taken.");
    assert_non_null(strstr(err.file, "test_err.c"));
    assert_true(err.line > 0);
    assert_int_equal(pass_on(NULL), ASSAY_CONFLICT);
    err_clear(&err);
    assert_int_equal(err.code, ASSAY_OK);
}

static void test_err__a_new_error_replaces_the_old_even_when_built_from_it(void **state)
{
    (void)state;
    struct err err = {0};
    (void)err_add_field(&err, "/a", "is required");
    (void)err_set(&err, ASSAY_INTERNAL, NULL, "Before: %s %s", err.fields[0].pointer, err.fields[0].detail);
    assert_string_equal(err.detail, "Before: /a is required");
    assert_int_equal(err.n_fields, 0);
    assert_null(err.fields);
    assert_string_equal(err_slug(&err), "internal");
    err_clear(&err);
}

static void test_err__fields_make_it_invalid_but_do_not_change_another_code(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(err_add_field(&err, "/a", "must be at most %d", 3), ASSAY_INVALID);
    assert_string_equal(err.fields[0].detail, "must be at most 3");
    assert_true(err.detail[0] != '\0');
    (void)err_set(&err, ASSAY_UNPROCESSABLE, NULL, "No such source.");
    assert_int_equal(err_add_field(&err, "/source", "is not known"), ASSAY_UNPROCESSABLE);
    assert_string_equal(err.detail, "No such source.");
    assert_int_equal(err.n_fields, 1);
    assert_int_equal(err_add_field(NULL, "/a", "x"), ASSAY_INVALID);
    err_clear(&err);
}

static void test_err__is_bounded_and_cuts_at_code_points(void **state)
{
    (void)state;
    struct err err = {0};
    char lots[2000];
    for (size_t i = 0; i + 2 < sizeof lots; i += 2)
        memcpy(lots + i, "\xC3\xA9", 2);
    lots[sizeof lots - 2] = '\0';
    for (int i = 0; i < 3 * ERR_FIELDS_MAX; i++)
        (void)err_add_field(&err, lots, "%s", lots);
    assert_int_equal(err.n_fields, ERR_FIELDS_MAX);
    assert_true(str_utf8_valid(str_of(err.fields[0].pointer)));
    assert_true(str_utf8_valid(str_of(err.fields[0].detail)));
    (void)err_set(&err, ASSAY_INVALID, NULL, "%s", lots);
    assert_true(str_utf8_valid(str_of(err.detail)));
    assert_true(strlen(err.detail) > 250);
    err_clear(&err);
}

static void test_err__every_code_has_a_status_slug_and_title(void **state)
{
    (void)state;
    for (int code = 0; code < ASSAY_CODE_COUNT; code++) {
        struct err err = {.code = (enum assay_code)code};
        int status = err_status(err.code);
        assert_true(code == ASSAY_OK ? status == 200 : status >= 400 && status <= 599);
        assert_true(strlen(err_slug(&err)) > 1);
        assert_true(strlen(err_title(err.code)) > 1);
    }
    assert_int_equal(err_status((enum assay_code)1000), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err__carries_code_slug_detail_and_place),
        cmocka_unit_test(test_err__a_new_error_replaces_the_old_even_when_built_from_it),
        cmocka_unit_test(test_err__fields_make_it_invalid_but_do_not_change_another_code),
        cmocka_unit_test(test_err__is_bounded_and_cuts_at_code_points),
        cmocka_unit_test(test_err__every_code_has_a_status_slug_and_title),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
