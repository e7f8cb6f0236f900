#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

static void test_clock__parses_rfc_3339(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2026-03-01T12:00:00Z", INT64_C(1772366400000000)},
        {"2026-03-01t14:00:00.5+02:00", INT64_C(1772366400500000)},
        {"2026-03-01T03:30:00-08:30", INT64_C(1772366400000000)},
        {"2026-03-01T12:00:00.1234567899z", INT64_C(1772366400123456)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"2000-02-29T00:00:00Z", INT64_C(951782400000000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
        {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t us = 42;
        assert_true(clock_parse(str_of(cases[i].text), &us));
        assert_true(us == cases[i].us);
    }
}

static void test_clock__refuses_what_is_not_rfc_3339(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-03-01",
        "2026-03-01T12:00:00",
        "2026-03-01 12:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+0200",
        "2026-01-01T00:00:00+02",
        "2026-01-01T00:00:00Zz",
        "2026-1-1T00:00:00Z",
        "+2026-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t us = 42;
        assert_false(clock_parse(str_of(bad[i]), &us));
        assert_true(us == 42);
    }
}

static void test_clock__format_agrees_with_gmtime_and_reads_back(void **state)
{
    (void)state;
    for (int64_t day = -719162; day <= 2932896; day += 97) {
        int64_t us = day * CLOCK_DAY + (day & 7) * 3661 * CLOCK_SECOND;
        char text[CLOCK_TEXT], want[CLOCK_TEXT];
        clock_format(us, text);
        time_t seconds = (time_t)(us / CLOCK_SECOND);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        (void)snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02dZ", (tm.tm_year + 1900) % 10000,
                       tm.tm_mon % 12 + 1, tm.tm_mday % 32, tm.tm_hour % 24, tm.tm_min % 60, tm.tm_sec % 61);
        assert_string_equal(text, want);
        int64_t back = 0;
        assert_true(clock_parse(str_of(text), &back));
        assert_true(back == us);
    }
}

static void test_clock__format_writes_a_fraction_only_where_there_is_one(void **state)
{
    (void)state;
    char text[CLOCK_TEXT];
    clock_format(INT64_C(1772366400000001), text);
    assert_string_equal(text, "2026-03-01T12:00:00.000001Z");
    clock_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    clock_format(CLOCK_NEVER, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
    clock_format(INT64_MIN, text);
    assert_string_equal(text, "0001-01-01T00:00:00Z");
}

static void test_clock__durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
        const char *back;
    } cases[] = {
        {"P90D", 90 * CLOCK_DAY, "P90D"},
        {"PT12H", 12 * 3600 * CLOCK_SECOND, "PT12H"},
        {"P2W", 14 * CLOCK_DAY, "P14D"},
        {"P1Y2M3DT4H5M6S", 428 * CLOCK_DAY + 14706 * CLOCK_SECOND, "P428DT4H5M6S"},
        {"PT0.5S", 500000, "PT0.500000S"},
        {"PT90M", 5400 * CLOCK_SECOND, "PT1H30M"},
        {"P1000Y", 365000 * CLOCK_DAY, "P365000D"},
        {"P0DT1S", CLOCK_SECOND, "PT1S"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t us = 0;
        char text[CLOCK_TEXT];
        assert_true(clock_parse_duration(str_of(cases[i].text), &us));
        assert_true(us == cases[i].us);
        clock_format_duration(us, text);
        assert_string_equal(text, cases[i].back);
    }
    static const char *const bad[] = {"",
                                      "P",
                                      "PT",
                                      "90D",
                                      "P90",
                                      "P-1D",
                                      "P1DT",
                                      "P0D",
                                      "PT0S",
                                      "P1H",
                                      "PT1D",
                                      "P1D1Y",
                                      "P1D2D",
                                      "P1W1D",
                                      "P1.5D",
                                      "PT1.S",
                                      "P1D ",
                                      "P1001Y",
                                      "P999999999999999999999D",
                                      "p1d",
                                      "PT1S1M"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t us = 42;
        assert_false(clock_parse_duration(str_of(bad[i]), &us));
        assert_true(us == 42);
    }
}

static void test_clock__monotonic_never_goes_back(void **state)
{
    (void)state;
    int64_t last = clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_ns();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_mono_us() >= last / 1000);
    assert_true(clock_now_us() > INT64_C(1600000000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock__parses_rfc_3339),
        cmocka_unit_test(test_clock__refuses_what_is_not_rfc_3339),
        cmocka_unit_test(test_clock__format_agrees_with_gmtime_and_reads_back),
        cmocka_unit_test(test_clock__format_writes_a_fraction_only_where_there_is_one),
        cmocka_unit_test(test_clock__durations),
        cmocka_unit_test(test_clock__monotonic_never_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
