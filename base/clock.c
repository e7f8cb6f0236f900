#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t clock_first_us = INT64_C(-62135596800) * CLOCK_SECOND;    /* 0001-01-01T00:00:00Z */
static const int64_t clock_last_us = INT64_C(253402300800) * CLOCK_SECOND - 1; /* the end of 9999 */
static const int64_t duration_max_us = 365000 * CLOCK_DAY;

static int64_t clock_read_ns(clockid_t id)
{
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0)
        abort(); /* only an unknown clock id fails */
    return (int64_t)ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int64_t clock_now_us(void)
{
    return clock_read_ns(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_us(void)
{
    return clock_read_ns(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

/* Days since 1970-01-01 of a Gregorian date, and back: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
 * Years begin in March, so that the leap day comes last. */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int *y, int *m, int *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    *d = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *m = (int)(month < 10 ? month + 3 : month - 9);
    *y = (int)(year_of_era + era * 400 + (*m <= 2));
}

static int days_in_month(int y, int m)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m == 2 && leap ? 29 : days[m - 1];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes exactly n digits off the front of s. */
static bool take_digits(struct str *s, size_t n, int *out)
{
    if (s->len < n)
        return false;
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(s->ptr[i]))
            return false;
        v = v * 10 + (s->ptr[i] - '0');
    }
    s->ptr += n;
    s->len -= n;
    *out = v;
    return true;
}

static bool take_char(struct str *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    s->ptr++;
    s->len--;
    return true;
}

/* Takes ".digits" off the front, one digit at least; micros gets its first six digits. */
static bool take_fraction(struct str *s, int64_t *micros)
{
    if (!take_char(s, '.') || s->len == 0 || !is_digit(s->ptr[0]))
        return false;
    int64_t unit = CLOCK_SECOND;
    for (; s->len && is_digit(s->ptr[0]); s->ptr++, s->len--) {
        unit /= 10;
        *micros += unit * (s->ptr[0] - '0');
    }
    return true;
}

static bool take_offset(struct str *s, int64_t *seconds)
{
    if (take_char(s, 'Z') || take_char(s, 'z'))
        return true;
    int64_t sign = take_char(s, '-') ? -1 : take_char(s, '+') ? 1 : 0;
    int hour, minute;
    if (sign == 0 || !take_digits(s, 2, &hour) || !take_char(s, ':') || !take_digits(s, 2, &minute))
        return false;
    *seconds = sign * (hour * 3600 + minute * 60);
    return hour <= 23 && minute <= 59;
}

bool clock_parse(struct str s, int64_t *us)
{
    int y, mo, d, h, mi, sec;
    int64_t micros = 0, offset = 0;
    if (!take_digits(&s, 4, &y) || !take_char(&s, '-') || !take_digits(&s, 2, &mo) || !take_char(&s, '-') ||
        !take_digits(&s, 2, &d) || !(take_char(&s, 'T') || take_char(&s, 't')))
        return false;
    if (!take_digits(&s, 2, &h) || !take_char(&s, ':') || !take_digits(&s, 2, &mi) || !take_char(&s, ':') ||
        !take_digits(&s, 2, &sec))
        return false;
    if (s.len && s.ptr[0] == '.' && !take_fraction(&s, &micros))
        return false;
    if (!take_offset(&s, &offset) || s.len != 0)
        return false;
    /* Second 60 is a leap second, which POSIX time counts as the first of the next minute. */
    if (y < 1 || mo < 1 || mo > 12 || d < 1 || d > days_in_month(y, mo) || h > 23 || mi > 59 || sec > 60)
        return false;
    int64_t seconds = days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - offset;
    int64_t t = seconds * CLOCK_SECOND + micros;
    if (t < clock_first_us || t > clock_last_us)
        return false;
    *us = t;
    return true;
}

/* Writes `width` digits and the character after them; returns where the next go. */
static char *put_digits(char *p, int value, int width, char after)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        p[i] = (char)('0' + value % 10);
    p[width] = after;
    return p + width + 1;
}

void clock_format(int64_t us, char out[CLOCK_TEXT])
{
    if (us < clock_first_us)
        us = clock_first_us;
    if (us > clock_last_us)
        us = clock_last_us;
    int64_t shifted = us - clock_first_us; /* not negative, so that division rounds down */
    int64_t days = shifted / CLOCK_DAY;
    int64_t rest = shifted % CLOCK_DAY;
    int y, m, d;
    civil_from_days(days + clock_first_us / CLOCK_DAY, &y, &m, &d);
    int seconds = (int)(rest / CLOCK_SECOND);
    int micros = (int)(rest % CLOCK_SECOND);
    char *p = put_digits(out, y, 4, '-');
    p = put_digits(p, m, 2, '-');
    p = put_digits(p, d, 2, 'T');
    p = put_digits(p, seconds / 3600, 2, ':');
    p = put_digits(p, seconds / 60 % 60, 2, ':');
    p = put_digits(p, seconds % 60, 2, micros ? '.' : 'Z');
    if (micros)
        p = put_digits(p, micros, 6, 'Z');
    *p = '\0';
}

struct duration_unit {
    char letter;
    int64_t us;
};

/* Reads "<n><letter>" parts, each letter at most once and in the table's order. */
static bool take_parts(struct str *s, const struct duration_unit *units, size_t n_units, int64_t *total, int *parts)
{
    size_t next = 0;
    while (s->len && s->ptr[0] != 'T') {
        int64_t n = 0, micros = 0;
        size_t digits = 0;
        for (; s->len && is_digit(s->ptr[0]); s->ptr++, s->len--, digits++) {
            n = n * 10 + (s->ptr[0] - '0');
            if (n > duration_max_us)
                return false;
        }
        if (digits == 0)
            return false;
        bool fraction = s->len && s->ptr[0] == '.';
        if (fraction && !take_fraction(s, &micros))
            return false;
        if (s->len == 0)
            return false;
        while (next < n_units && units[next].letter != s->ptr[0])
            next++;
        if (next == n_units || (fraction && units[next].us != CLOCK_SECOND) || n > duration_max_us / units[next].us)
            return false;
        *total += n * units[next].us + micros;
        if (*total > duration_max_us)
            return false;
        next++;
        ++*parts;
        s->ptr++;
        s->len--;
    }
    return true;
}

bool clock_parse_duration(struct str s, int64_t *us)
{
    static const struct duration_unit weeks[] = {{'W', 7 * CLOCK_DAY}};
    static const struct duration_unit dates[] = {{'Y', 365 * CLOCK_DAY}, {'M', 30 * CLOCK_DAY}, {'D', CLOCK_DAY}};
    static const struct duration_unit times[] = {
        {'H', 3600 * CLOCK_SECOND}, {'M', 60 * CLOCK_SECOND}, {'S', CLOCK_SECOND}};
    if (!take_char(&s, 'P'))
        return false;
    int64_t total = 0;
    int parts = 0;
    if (s.len && s.ptr[s.len - 1] == 'W') { /* weeks stand alone */
        if (!take_parts(&s, weeks, 1, &total, &parts))
            return false;
    } else {
        if (!take_parts(&s, dates, 3, &total, &parts))
            return false;
        if (take_char(&s, 'T')) {
            int before = parts;
            if (!take_parts(&s, times, 3, &total, &parts) || parts == before)
                return false;
        }
    }
    if (s.len != 0 || parts == 0 || total <= 0)
        return false;
    *us = total;
    return true;
}

void clock_format_duration(int64_t us, char out[CLOCK_TEXT])
{
    if (us < 0)
        us = 0;
    if (us > duration_max_us)
        us = duration_max_us;
    struct buf b = {0};
    int64_t rest = us % CLOCK_DAY;
    int hours = (int)(rest / (3600 * CLOCK_SECOND));
    int minutes = (int)(rest / (60 * CLOCK_SECOND) % 60);
    int seconds = (int)(rest / CLOCK_SECOND % 60);
    int micros = (int)(rest % CLOCK_SECOND);
    buf_putc(&b, 'P');
    if (us >= CLOCK_DAY)
        buf_printf(&b, "%dD", (int)(us / CLOCK_DAY));
    if (rest || us == 0)
        buf_putc(&b, 'T');
    if (hours)
        buf_printf(&b, "%dH", hours);
    if (minutes)
        buf_printf(&b, "%dM", minutes);
    if (micros)
        buf_printf(&b, "%d.%06dS", seconds, micros);
    else if (seconds || us == 0)
        buf_printf(&b, "%dS", seconds);
    (void)snprintf(out, CLOCK_TEXT, "%s", buf_cstr(&b));
    buf_free(&b);
}
