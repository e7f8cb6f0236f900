#include "base/str.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str str_of(const char *cstr)
{
    return (struct str){cstr, cstr ? strlen(cstr) : 0};
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_eqc(struct str a, const char *b)
{
    return str_eq(a, str_of(b));
}

bool str_starts(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && (n == 0 || memcmp(s.ptr, prefix, n) == 0);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.len && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

struct str str_dup(struct arena *a, struct str s)
{
    return s.ptr ? (struct str){arena_strndup(a, s.ptr, s.len), s.len} : s;
}

char *str_cstr(struct arena *a, struct str s)
{
    return arena_strndup(a, s.ptr, s.len);
}

bool str_is_name(struct str s, size_t max)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool fit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
                   c == '-';
        if (!fit)
            return false;
    }
    return s.len > 0 && s.len <= max;
}

bool str_to_i64(struct str s, int64_t *out)
{
    bool negative = s.len && s.ptr[0] == '-';
    size_t i = negative || (s.len && s.ptr[0] == '+');
    if (i == s.len)
        return false;
    /* Built as a negative number, whose range is the larger by one. */
    int64_t v = 0;
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, s.ptr[i] - '0', &v))
            return false;
    }
    if (!negative && __builtin_sub_overflow(0, v, &v))
        return false;
    *out = v;
    return true;
}

size_t str_utf8_len(const char *p, size_t n)
{
    if (n == 0)
        return 0;
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80)
        return 1;
    /* The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF (RFC 3629, section 4).
     */
    size_t len;
    unsigned char lo = 0x80, hi = 0xBF;
    if (u[0] >= 0xC2 && u[0] <= 0xDF) {
        len = 2;
    } else if ((u[0] & 0xF0U) == 0xE0) {
        len = 3;
        lo = u[0] == 0xE0 ? 0xA0 : lo;
        hi = u[0] == 0xED ? 0x9F : hi;
    } else if (u[0] >= 0xF0 && u[0] <= 0xF4) {
        len = 4;
        lo = u[0] == 0xF0 ? 0x90 : lo;
        hi = u[0] == 0xF4 ? 0x8F : hi;
    } else {
        return 0;
    }
    if (n < len || u[1] < lo || u[1] > hi)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((u[i] & 0xC0U) != 0x80)
            return 0;
    }
    return len;
}

bool str_utf8_valid(struct str s)
{
    size_t i = 0;
    while (i < s.len) {
        /* Eight ASCII bytes at a time: most text is. */
        uint64_t word;
        if (s.len - i >= sizeof word) {
            memcpy(&word, s.ptr + i, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof word;
                continue;
            }
        }
        size_t step = str_utf8_len(s.ptr + i, s.len - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

size_t str_utf8_cut(struct str s)
{
    /* At most three continuation bytes can follow the lead byte of a cut code point. */
    size_t start = s.len;
    while (start > 0 && s.len - start < 3 && ((unsigned char)s.ptr[start - 1] & 0xC0U) == 0x80)
        start--;
    if (start == 0 || (unsigned char)s.ptr[start - 1] < 0x80)
        return s.len;
    start--;
    return str_utf8_len(s.ptr + start, s.len - start) ? s.len : start;
}

size_t str_utf8_next(const char *p, size_t n, uint32_t *cp)
{
    size_t len = str_utf8_len(p, n);
    assert(len > 0);
    const unsigned char *u = (const unsigned char *)p;
    static const unsigned char lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t v = u[0] & lead_mask[len];
    for (size_t i = 1; i < len; i++)
        v = v << 6U | (u[i] & 0x3FU);
    *cp = v;
    return len;
}

int str_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool str_url_decode(struct arena *a, struct str s, bool form, struct str *out)
{
    char *text = arena_alloc(a, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            int high = s.len - i > 2 ? str_hex_value(s.ptr[i + 1]) : -1;
            int low = s.len - i > 2 ? str_hex_value(s.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && form) {
            c = ' ';
        }
        if (c == '\0')
            return false;
        text[n++] = c;
    }
    text[n] = '\0';
    *out = (struct str){text, n};
    return true;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_reserve(struct buf *b, size_t extra)
{
    if (b->cap - b->len >= extra)
        return;
    size_t need;
    if (__builtin_add_overflow(b->len, extra, &need) || need > SIZE_MAX / 2)
        need = SIZE_MAX; /* cannot be had, so mem_realloc ends the process */
    size_t cap = b->cap ? b->cap * 2 : 256;
    if (cap < need)
        cap = need;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    buf_reserve(b, n);
    memcpy(b->data + b->len, p, n);
    b->len += n;
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_reserve(b, 1);
    b->data[b->len++] = c;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(n >= 0);
    buf_reserve(b, (size_t)n + 1);
    (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
    va_end(again);
    b->len += (size_t)n;
}

void buf_drop(struct buf *b, size_t n)
{
    assert(n <= b->len && (n == 0 || b->data));
    b->len -= n;
    if (n > 0)
        memmove(b->data, b->data + n, b->len);
}

const char *buf_cstr(struct buf *b)
{
    buf_reserve(b, 1);
    b->data[b->len] = '\0';
    return b->data;
}

struct str buf_str(const struct buf *b)
{
    /* Empty, not absent: a buffer that was asked for is there. */
    return (struct str){b->data ? b->data : "", b->len};
}
