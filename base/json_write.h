/*
 * Streaming JSON writer into a struct buf: no tree, commas handled, strings escaped, invalid UTF-8 replaced by U+FFFD.
 * Every reply of the service is written through it. Nesting is limited to JSONW_DEPTH_MAX (asserted).
 */
#ifndef ASSAY_BASE_JSON_WRITE_H
#define ASSAY_BASE_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/str.h"

enum { JSONW_DEPTH_MAX = 32 };
struct jsonw {
    struct buf *out;
    uint8_t depth;
    bool comma[JSONW_DEPTH_MAX];
    bool after_key;
};

/* The shortest decimal that reads back as v, laid out as ECMAScript does (RFC 8785, section 3.2.2.3), except that the
 * exponent begins at 1e18, so that no double looks like an integer beyond 64 bits: 1, 0.1, 1e+18. v must be finite.
 * Returns the length; out is NUL-terminated. */
enum { JSONW_DOUBLE_TEXT = 32 };
size_t jsonw_double_text(double v, char out[JSONW_DOUBLE_TEXT]);
/* Appends a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void jsonw_escape(struct buf *out, struct str s);

void jsonw_init(struct jsonw *w, struct buf *out);
void jsonw_object(struct jsonw *w);
void jsonw_object_end(struct jsonw *w);
void jsonw_array(struct jsonw *w);
void jsonw_array_end(struct jsonw *w);
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_str(struct jsonw *w, struct str s);   /* absent (ptr NULL) is written as null */
void jsonw_cstr(struct jsonw *w, const char *s); /* NULL as null */
void jsonw_int(struct jsonw *w, int64_t v);
void jsonw_double(struct jsonw *w, double v); /* shortest that reads back; not finite is written as null */
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
void jsonw_raw(struct jsonw *w, struct str json); /* already valid JSON; absent as null */
void jsonw_time(struct jsonw *w, int64_t us);     /* CLOCK_NEVER as null */
void jsonw_digest(struct jsonw *w, const struct digest *d);
/* key and value in one call */
void jsonw_kstr(struct jsonw *w, const char *key, struct str s);
void jsonw_kcstr(struct jsonw *w, const char *key, const char *s);
void jsonw_kint(struct jsonw *w, const char *key, int64_t v);
void jsonw_kspan(struct jsonw *w, const char *key, size_t from, size_t to); /* "key": [from, to] */
void jsonw_kdouble(struct jsonw *w, const char *key, double v);
void jsonw_kbool(struct jsonw *w, const char *key, bool v);
void jsonw_ktime(struct jsonw *w, const char *key, int64_t us);
void jsonw_kdigest(struct jsonw *w, const char *key, const struct digest *d);
void jsonw_kraw(struct jsonw *w, const char *key, struct str json);

#endif
