#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/config.h"

static enum assay_code load(struct arena *a, const char *file, const char *const *env, struct config *c,
                            struct err *err)
{
    char *copy[16] = {NULL};
    for (size_t i = 0; env && env[i]; i++)
        copy[i] = arena_strndup(a, env[i], strlen(env[i]));
    return config_load(a, file, copy, c, err);
}

/* Writes a configuration file; the caller unlinks it. */
static char *file_with(struct arena *a, const char *text)
{
    char *path = arena_strndup(a, "/tmp/assay-config-XXXXXX", 24);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
    return path;
}

static void refused(const char *const *env, const char *file_text, const char *says)
{
    struct arena *a = arena_new(1024);
    struct config c;
    struct err err = {0};
    char *file = file_text ? file_with(a, file_text) : NULL;
    assert_int_equal(load(a, file, env, &c, &err), ASSAY_INVALID);
    if (!strstr(err.detail, says))
        fail_msg("\"%s\" does not say \"%s\"", err.detail, says);
    if (file)
        unlink(file);
    err_clear(&err);
    arena_free(a);
}

static void test_config_load__defaults_stand_alone(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    struct config c;
    struct err err = {0};
    assert_int_equal(load(a, NULL, NULL, &c, &err), ASSAY_OK);
    assert_string_equal(c.listen, "127.0.0.1:8080");
    assert_string_equal(c.admin_key_file, "/var/lib/assay/admin.key");
    assert_int_equal(c.body_max, 16 << 20);
    assert_true(c.http_threads >= 1 && c.build_threads >= 1);
    assert_true(c.receipt_sample == 1.0);
    arena_free(a);
}

static void test_config_load__environment_beats_file_beats_default(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    struct config c;
    struct err err = {0};
    char *file = file_with(a, "# a comment\n\n  pool_size = 7 \nworker_threads=3\nbody_max = 2M\nlog_level = warn\n");
    const char *env[] = {"ASSAY_POOL_SIZE=9", "HOME=/", "ASSAY_URL=http://x", "ASSAY_KEY=k", "ASSAY_DATA_DIR=/d", NULL};
    assert_int_equal(load(a, file, env, &c, &err), ASSAY_OK);
    assert_int_equal(c.pool_size, 9);
    assert_int_equal(c.worker_threads, 3);
    assert_int_equal(c.body_max, 2 << 20);
    assert_int_equal(c.log_level, LOG_WARN);
    assert_string_equal(c.admin_key_file, "/d/admin.key");
    unlink(file);
    arena_free(a);
}

static void test_config_load__finds_the_file_by_variable(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    struct config c;
    struct err err = {0};
    char *file = file_with(a, "listen = [::1]:0\n");
    const char *env[] = {arena_printf(a, "ASSAY_CONFIG=%s", file), NULL};
    assert_int_equal(load(a, NULL, env, &c, &err), ASSAY_OK);
    assert_string_equal(c.listen, "[::1]:0");
    unlink(file);
    arena_free(a);
}

static void test_config_load__refuses_what_it_does_not_know(void **state)
{
    (void)state;
    refused((const char *[]){"ASSAY_POOLSIZE=3", NULL}, NULL, "ASSAY_POOLSIZE");
    refused((const char *[]){"ASSAY_pool_size=3", NULL}, NULL, "ASSAY_pool_size");
    refused((const char *[]){"ASSAY_=3", NULL}, NULL, "names no setting");
    refused(NULL, "pool_size = 3\npoolsize = 3\n", "line 2");
    refused(NULL, "pool_size = 3\npool_size = 4\n", "set twice");
    refused(NULL, "pool_size 3\n", "name = value");
}

static void test_config_load__refuses_values_out_of_range(void **state)
{
    (void)state;
    refused((const char *[]){"ASSAY_POOL_SIZE=0", NULL}, NULL, "from 1 to 256");
    refused((const char *[]){"ASSAY_POOL_SIZE=257", NULL}, NULL, "from 1 to 256");
    refused((const char *[]){"ASSAY_POOL_SIZE=1x", NULL}, NULL, "whole number");
    refused((const char *[]){"ASSAY_POOL_SIZE=", NULL}, NULL, "whole number");
    refused((const char *[]){"ASSAY_POOL_SIZE=2k", NULL}, NULL, "whole number"); /* not a size in bytes */
    refused((const char *[]){"ASSAY_BODY_MAX=9223372036854775807G", NULL}, NULL, "whole number");
    refused((const char *[]){"ASSAY_BODY_MAX=-1", NULL}, NULL, "whole number");
    refused((const char *[]){"ASSAY_RECEIPT_SAMPLE=1.5", NULL}, NULL, "0 to 1");
    refused((const char *[]){"ASSAY_RECEIPT_SAMPLE=nan", NULL}, NULL, "0 to 1");
    refused((const char *[]){"ASSAY_LOG_LEVEL=loud", NULL}, NULL, "debug, info");
    refused((const char *[]){"ASSAY_LOG_FORMAT=xml", NULL}, NULL, "auto, json");
}

static void test_config_load__checks_settings_against_each_other(void **state)
{
    (void)state;
    refused((const char *[]){"ASSAY_TLS_CERT=/c.pem", NULL}, NULL, "both or neither");
    refused((const char *[]){"ASSAY_DATA_DIR=", NULL}, NULL, "data_dir");
    refused((const char *[]){"ASSAY_LISTEN=8080", NULL}, NULL, "address:port");
    refused((const char *[]){"ASSAY_LISTEN=::1:8080", NULL}, NULL, "address:port");
    refused((const char *[]){"ASSAY_LISTEN=127.0.0.1:65536", NULL}, NULL, "65535");
    refused((const char *[]){"ASSAY_LISTEN=127.0.0.1:+80", NULL}, NULL, "65535");
}

static void test_config_load__says_when_the_file_is_missing(void **state)
{
    (void)state;
    refused((const char *[]){"ASSAY_CONFIG=/nowhere/assay.conf", NULL}, NULL, "/nowhere/assay.conf");
}

static void test_config_print__hides_secrets(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    struct config c;
    struct err err = {0};
    const char *env[] = {"ASSAY_DATABASE_URL=postgresql://u:hunter2@h/db", "ASSAY_POOL_SIZE=5", NULL};
    assert_int_equal(load(a, NULL, env, &c, &err), ASSAY_OK);
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    assert_non_null(to);
    config_print(&c, to);
    assert_int_equal(fclose(to), 0);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "database_url = (hidden)\n"));
    assert_non_null(strstr(text, "pool_size = 5\n"));
    free(text);
    arena_free(a);
}

/* What is printed can be read again, secrets aside. */
static void test_config_print__reads_back(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    struct config c;
    struct err err = {0};
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(load(a, NULL, NULL, &c, &err), ASSAY_OK);
    FILE *to = open_memstream(&text, &n);
    assert_non_null(to);
    config_print(&c, to);
    assert_int_equal(fclose(to), 0);
    char *file = file_with(a, text);
    assert_int_equal(load(a, file, NULL, &c, &err), ASSAY_OK);
    unlink(file);
    free(text);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_load__defaults_stand_alone),
        cmocka_unit_test(test_config_load__environment_beats_file_beats_default),
        cmocka_unit_test(test_config_load__finds_the_file_by_variable),
        cmocka_unit_test(test_config_load__refuses_what_it_does_not_know),
        cmocka_unit_test(test_config_load__refuses_values_out_of_range),
        cmocka_unit_test(test_config_load__checks_settings_against_each_other),
        cmocka_unit_test(test_config_load__says_when_the_file_is_missing),
        cmocka_unit_test(test_config_print__hides_secrets),
        cmocka_unit_test(test_config_print__reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
