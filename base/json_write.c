#include "base/json_write.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* Digits before the decimal point without an exponent. ECMAScript has 21, but a whole number of more than 18 might not
 * fit the 64-bit integer that JSON readers, ours among them, take it for. */
enum { PLAIN_MAX = 18 };

size_t jsonw_double_text(double v, char out[JSONW_DOUBLE_TEXT])
{
    assert(isfinite(v));
    char text[JSONW_DOUBLE_TEXT];
    /* Fifteen digits give the shortest form of every normal number that has one so short; seventeen suffice for all. */
    for (int precision = fabs(v) < DBL_MIN ? 0 : 14; precision <= 16; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, fabs(v));
        if (strtod(text, NULL) == fabs(v))
            break;
    }
    /* text is d.ddde[+-]xx: gather the digits, without trailing zeros, and the place of the decimal point. */
    char digits[20] = "0";
    int n = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    }
    int point = (int)strtol(*p == 'e' ? p + 1 : "0", NULL, 10) + 1;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    const char *sign = v < 0 ? "-" : "";
    int len;
    if (v == 0)
        len = snprintf(out, JSONW_DOUBLE_TEXT, "0");
    else if (n <= point && point <= PLAIN_MAX)
        len = snprintf(out, JSONW_DOUBLE_TEXT, "%s%.*s%.*s", sign, n, digits, point - n, "00000000000000000000");
    else if (0 < point && point <= PLAIN_MAX)
        len = snprintf(out, JSONW_DOUBLE_TEXT, "%s%.*s.%.*s", sign, point, digits, n - point, digits + point);
    else if (-6 < point && point <= 0)
        len = snprintf(out, JSONW_DOUBLE_TEXT, "%s0.%.*s%.*s", sign, -point, "000000", n, digits);
    else
        len = snprintf(out, JSONW_DOUBLE_TEXT, "%s%c%s%.*se%+d", sign, digits[0], n > 1 ? "." : "", n - 1, digits + 1,
                       point - 1);
    assert(len > 0 && len < JSONW_DOUBLE_TEXT);
    return (size_t)len;
}

static void put_escaped(struct buf *out, unsigned char c)
{
    static const char names[] = "btn\0fr"; /* of 0x08 to 0x0D; there is none for 0x0B */
    char text[7] = {'\\', 0};
    if (c == '"' || c == '\\') {
        text[1] = (char)c;
    } else if (c >= 0x08 && c <= 0x0D && names[c - 0x08]) {
        text[1] = names[c - 0x08];
    } else {
        (void)snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    }
    buf_puts(out, text);
}

void jsonw_escape(struct buf *out, struct str s)
{
    buf_reserve(out, s.len + 2);
    buf_putc(out, '"');
    size_t done = 0, i = 0;
    while (i < s.len) {
        unsigned char c = (unsigned char)s.ptr[i];
        size_t step = c < 0x80 ? 1 : str_utf8_len(s.ptr + i, s.len - i);
        if (step > 0 && c >= ' ' && c != '"' && c != '\\') {
            i += step;
            continue;
        }
        buf_put(out, s.ptr + done, i - done);
        if (step == 0)
            buf_puts(out, "\xEF\xBF\xBD");
        else
            put_escaped(out, c);
        done = ++i;
    }
    if (s.len)
        buf_put(out, s.ptr + done, s.len - done);
    buf_putc(out, '"');
}

void jsonw_init(struct jsonw *w, struct buf *out)
{
    *w = (struct jsonw){.out = out};
}

/* Called before every value and key. */
static void separate(struct jsonw *w)
{
    if (w->after_key)
        w->after_key = false;
    else if (w->comma[w->depth])
        buf_putc(w->out, ',');
    w->comma[w->depth] = true;
}

static void open_level(struct jsonw *w, char c)
{
    separate(w);
    buf_putc(w->out, c);
    assert(w->depth + 1 < JSONW_DEPTH_MAX);
    w->comma[++w->depth] = false;
}

static void close_level(struct jsonw *w, char c)
{
    assert(w->depth > 0 && !w->after_key);
    w->depth--;
    buf_putc(w->out, c);
}

void jsonw_object(struct jsonw *w)
{
    open_level(w, '{');
}

void jsonw_object_end(struct jsonw *w)
{
    close_level(w, '}');
}

void jsonw_array(struct jsonw *w)
{
    open_level(w, '[');
}

void jsonw_array_end(struct jsonw *w)
{
    close_level(w, ']');
}

void jsonw_key(struct jsonw *w, const char *key)
{
    assert(!w->after_key);
    separate(w);
    jsonw_escape(w->out, str_of(key));
    buf_putc(w->out, ':');
    w->after_key = true;
}

static void put_value(struct jsonw *w, const char *text)
{
    separate(w);
    buf_puts(w->out, text);
}

void jsonw_str(struct jsonw *w, struct str s)
{
    if (!s.ptr) {
        jsonw_null(w);
        return;
    }
    separate(w);
    jsonw_escape(w->out, s);
}

void jsonw_cstr(struct jsonw *w, const char *s)
{
    jsonw_str(w, str_of(s));
}

void jsonw_int(struct jsonw *w, int64_t v)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, v);
    put_value(w, text);
}

void jsonw_double(struct jsonw *w, double v)
{
    char text[JSONW_DOUBLE_TEXT] = "null";
    if (isfinite(v))
        (void)jsonw_double_text(v, text);
    put_value(w, text);
}

void jsonw_bool(struct jsonw *w, bool v)
{
    put_value(w, v ? "true" : "false");
}

void jsonw_null(struct jsonw *w)
{
    put_value(w, "null");
}

void jsonw_raw(struct jsonw *w, struct str json)
{
    if (!json.ptr) {
        jsonw_null(w);
        return;
    }
    separate(w);
    buf_put(w->out, json.ptr, json.len);
}

void jsonw_time(struct jsonw *w, int64_t us)
{
    if (us == CLOCK_NEVER) {
        jsonw_null(w);
        return;
    }
    char text[CLOCK_TEXT];
    clock_format(us, text);
    jsonw_cstr(w, text);
}

void jsonw_digest(struct jsonw *w, const struct digest *d)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(d, hex);
    jsonw_cstr(w, hex);
}

void jsonw_kstr(struct jsonw *w, const char *key, struct str s)
{
    jsonw_key(w, key);
    jsonw_str(w, s);
}

void jsonw_kcstr(struct jsonw *w, const char *key, const char *s)
{
    jsonw_key(w, key);
    jsonw_cstr(w, s);
}

void jsonw_kspan(struct jsonw *w, const char *key, size_t from, size_t to)
{
    jsonw_key(w, key);
    jsonw_array(w);
    jsonw_int(w, (int64_t)from);
    jsonw_int(w, (int64_t)to);
    jsonw_array_end(w);
}

void jsonw_kint(struct jsonw *w, const char *key, int64_t v)
{
    jsonw_key(w, key);
    jsonw_int(w, v);
}

void jsonw_kdouble(struct jsonw *w, const char *key, double v)
{
    jsonw_key(w, key);
    jsonw_double(w, v);
}

void jsonw_kbool(struct jsonw *w, const char *key, bool v)
{
    jsonw_key(w, key);
    jsonw_bool(w, v);
}

void jsonw_ktime(struct jsonw *w, const char *key, int64_t us)
{
    jsonw_key(w, key);
    jsonw_time(w, us);
}

void jsonw_kdigest(struct jsonw *w, const char *key, const struct digest *d)
{
    jsonw_key(w, key);
    jsonw_digest(w, d);
}

void jsonw_kraw(struct jsonw *w, const char *key, struct str json)
{
    jsonw_key(w, key);
    jsonw_raw(w, json);
}
