/*
 * Strings: {ptr, len} views and a growing buffer. Bytes from outside are never assumed NUL-terminated.
 */
#ifndef ASSAY_BASE_STR_H
#define ASSAY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct str {
    const char *ptr; /* NULL with len 0 means absent */
    size_t len;
};

#define STR_LIT(s) ((struct str){(s), sizeof(s) - 1})
#define STR_FMT(s) (int)(s).len, (s).ptr ? (s).ptr : ""
struct str str_of(const char *cstr); /* NULL gives the absent string */
bool str_eq(struct str a, struct str b);
bool str_eqc(struct str a, const char *b);
bool str_starts(struct str s, const char *prefix);
struct str str_trim(struct str s);                 /* ASCII white space */
struct str str_dup(struct arena *a, struct str s); /* copy, also NUL-terminated */
char *str_cstr(struct arena *a, struct str s);     /* NUL-terminated copy; "" when absent */
/* ASCII letters, digits, '.', '_' and '-' only, from 1 to max bytes: names that need no quoting anywhere. */
bool str_is_name(struct str s, size_t max);
/* Parses an optionally signed decimal that fills `s` entirely; false on overflow or trailing bytes. */
bool str_to_i64(struct str s, int64_t *out);
/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool str_utf8_valid(struct str s);
/* Number of bytes (1-4) of the well-formed code point at p, 0 when there is none within n bytes. */
size_t str_utf8_len(const char *p, size_t n);
/* The length to keep of text that was cut anywhere: s.len, or less where that would leave half a code point. */
size_t str_utf8_cut(struct str s);
/* Number of bytes (1-4) of the code point that starts at p; *cp receives it. Input must be valid UTF-8, n >= 1. */
size_t str_utf8_next(const char *p, size_t n, uint32_t *cp);
/* 0..15, or -1 when c is no hex digit. */
int str_hex_value(char c);
/* Percent-decodes into the arena ('+' stays '+', unless form is true). False on a bad escape or a NUL. */
bool str_url_decode(struct arena *a, struct str s, bool form, struct str *out);

/* Growing byte buffer on malloc. `data` may be NULL while len is 0; not NUL-terminated unless buf_cstr was called. */
struct buf {
    char *data;
    size_t len, cap;
};
void buf_free(struct buf *b); /* frees the memory and resets to empty */
void buf_reserve(struct buf *b, size_t extra);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_drop(struct buf *b, size_t n); /* takes the first n bytes away, n <= len */
const char *buf_cstr(struct buf *b);    /* NUL-terminates (not counted in len) */
struct str buf_str(const struct buf *b);

#endif
