#include "base/json_vector.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/json_scan.h"

enum {
    NUMBER_TEXT_MAX = 64, /* bytes of one number; more digits than that say nothing about a float32 */
    DIGITS_MAX = 19,      /* fit into 64 bits */
    EXPONENT_EXACT = 22,  /* 10^22 is the largest power of ten that a double holds exactly */
    EXPONENT_TEXT_MAX = 9999
};

static bool is_digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

/* The significant digits read so far: value = mantissa * 10^exponent. */
struct decimal {
    uint64_t mantissa;
    int digits, exponent;
};

static const char *read_digits(const char *p, const char *end, struct decimal *d, bool fraction)
{
    for (; is_digit(p, end); p++) {
        bool keep = d->digits < DIGITS_MAX;
        if (keep) {
            d->mantissa = d->mantissa * 10 + (uint64_t)(*p - '0');
            d->digits += d->mantissa != 0;
        }
        d->exponent += (keep ? 0 : 1) - (fraction ? 1 : 0);
    }
    return p;
}

static double decimal_value(const struct decimal *d, const char *text, size_t len)
{
    static const double tens[EXPONENT_EXACT + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double m = (double)d->mantissa;
    if (d->exponent >= 0 && d->exponent <= EXPONENT_EXACT)
        return m * tens[d->exponent];
    if (d->exponent < 0 && d->exponent >= -EXPONENT_EXACT)
        return m / tens[-d->exponent];
    char copy[NUMBER_TEXT_MAX + 1];
    memcpy(copy, text, len);
    copy[len] = '\0';
    return fabs(strtod(copy, NULL));
}

/* One number by JSON's grammar. NULL when there is none at p, or a longer one than NUMBER_TEXT_MAX. */
static const char *read_number(const char *p, const char *end, float *out)
{
    const char *start = p;
    struct decimal d = {0};
    bool negative = p < end && *p == '-';
    p += negative;
    if (!is_digit(p, end) || (*p == '0' && is_digit(p + 1, end)))
        return NULL;
    p = read_digits(p, end, &d, false);
    if (p < end && *p == '.') {
        if (!is_digit(p + 1, end))
            return NULL;
        p = read_digits(p + 1, end, &d, true);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        bool minus = p < end && *p == '-';
        p += p < end && (*p == '-' || *p == '+');
        if (!is_digit(p, end))
            return NULL;
        int e = 0;
        for (; is_digit(p, end); p++)
            e = e < EXPONENT_TEXT_MAX ? e * 10 + (*p - '0') : e;
        d.exponent += minus ? -e : e;
    }
    if (p - start > NUMBER_TEXT_MAX)
        return NULL;
    double v = decimal_value(&d, start, (size_t)(p - start));
    *out = (float)(negative ? -v : v);
    return p;
}

static enum assay_code bad_number(struct err *err, size_t i, const char *what)
{
    char pointer[48];
    (void)snprintf(pointer, sizeof pointer, "/vector/%zu", i);
    return err_add_field(err, pointer, "%s", what);
}

static enum assay_code too_many(struct err *err, size_t max)
{
    return err_add_field(err, "/vector", "must have at most %zu numbers", max);
}

/* The array's numbers; *p stands after '[' and, on success, behind ']'. */
static enum assay_code read_array(struct arena *a, const char **p, const char *end, size_t max, struct json_vector *out,
                                  struct err *err)
{
    size_t cap = 0;
    *out = (struct json_vector){arena_alloc(a, 0), 0};
    const char *at = json_scan_space(*p, end);
    bool more = !(at < end && *at == ']');
    while (more) {
        if (out->n == max)
            return too_many(err, max);
        if (out->n == cap) {
            cap = cap ? cap * 2 : 512;
            float *grown = ARENA_ARRAY(a, float, cap);
            memcpy(grown, out->v, out->n * sizeof *grown);
            out->v = grown;
        }
        const char *next = read_number(at, end, &out->v[out->n]);
        at = next ? json_scan_space(next, end) : end;
        if (at == end || (*at != ',' && *at != ']'))
            return bad_number(err, out->n, "must be a number, followed by a comma or the array's end");
        if (!isfinite(out->v[out->n]))
            return bad_number(err, out->n, "must be finite as a 32-bit float");
        out->n++;
        more = *at == ',';
        if (more)
            at = json_scan_space(at + 1, end);
    }
    *p = at + 1;
    return ASSAY_OK;
}

enum assay_code json_vector_cut(struct arena *a, struct str body, size_t max, struct str *rest, struct json_vector *out,
                                struct err *err)
{
    *rest = body;
    *out = (struct json_vector){0};
    const char *end = body.len ? body.ptr + body.len : body.ptr;
    const char *open = body.len ? json_scan_array(body, "vector") : NULL;
    if (!open)
        return ASSAY_OK;
    const char *behind = open + 1;
    TRY(read_array(a, &behind, end, max, out, err));
    size_t before = (size_t)(open + 1 - body.ptr), after = (size_t)(end - behind) + 1;
    char *text = arena_alloc(a, before + after);
    memcpy(text, body.ptr, before);
    memcpy(text + before, behind - 1, after);
    *rest = (struct str){text, before + after};
    return ASSAY_OK;
}

static enum assay_code read_base64(struct arena *a, struct str text, size_t max, struct json_vector *out,
                                   struct err *err)
{
    struct str bytes;
    if (!base64_decode(a, text, &bytes) || bytes.len % sizeof(float) != 0)
        return err_add_field(err, "/vector", "must be base64 of little-endian 32-bit floats");
    out->n = bytes.len / sizeof(float);
    if (out->n > max)
        return too_many(err, max);
    out->v = ARENA_ARRAY(a, float, out->n);
    for (size_t i = 0; i < out->n; i++) {
        uint8_t b[4];
        memcpy(b, bytes.ptr + i * sizeof b, sizeof b);
        uint32_t bits = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        memcpy(&out->v[i], &bits, sizeof bits);
        if (!isfinite(out->v[i]))
            return bad_number(err, i, "must be finite");
    }
    return ASSAY_OK;
}

enum assay_code json_vector_read(struct arena *a, const json_t *json, size_t max, struct json_vector *out,
                                 struct err *err)
{
    *out = (struct json_vector){0};
    if (json_is_string(json))
        return read_base64(a, (struct str){json_string_value(json), json_string_length(json)}, max, out, err);
    if (!json_is_array(json))
        return err_add_field(err, "/vector", "must be an array of numbers or a base64 string");
    out->n = json_array_size(json);
    if (out->n > max)
        return too_many(err, max);
    out->v = ARENA_ARRAY(a, float, out->n);
    for (size_t i = 0; i < out->n; i++) {
        const json_t *v = json_array_get(json, i);
        if (!json_is_number(v))
            return bad_number(err, i, "must be a number");
        out->v[i] = (float)json_number_value(v);
        if (!isfinite(out->v[i]))
            return bad_number(err, i, "must be finite as a 32-bit float");
    }
    return ASSAY_OK;
}
