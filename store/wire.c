/* PostgreSQL's binary formats: integers big-endian, timestamps in microseconds since 2000-01-01 UTC. */
#include <assert.h>
#include <libpq-fe.h>
#include <string.h>

#include "base/clock.h"
#include "store/pq.h"

#define PG_EPOCH_US INT64_C(946684800000000)

static void put_be(struct buf *b, uint64_t v, int bytes)
{
    char out[8];
    for (int i = 0; i < bytes; i++)
        out[i] = (char)(v >> (8 * (bytes - 1 - i)));
    buf_put(b, out, (size_t)bytes);
}

static uint64_t get_be(const char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

void wire_null(struct buf *b)
{
    put_be(b, UINT32_MAX, 4);
}

void wire_i16(struct buf *b, int v)
{
    assert(v >= INT16_MIN && v <= INT16_MAX);
    put_be(b, 2, 4);
    put_be(b, (uint16_t)v, 2);
}

void wire_i32(struct buf *b, int32_t v)
{
    put_be(b, 4, 4);
    put_be(b, (uint32_t)v, 4);
}

void wire_i64(struct buf *b, int64_t v)
{
    put_be(b, 8, 4);
    put_be(b, (uint64_t)v, 8);
}

void wire_f64(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_be(b, 8, 4);
    put_be(b, bits, 8);
}

void wire_bool(struct buf *b, bool v)
{
    put_be(b, 1, 4);
    put_be(b, v, 1);
}

void wire_bytes(struct buf *b, const void *p, size_t n)
{
    assert(n <= INT32_MAX);
    put_be(b, n, 4);
    if (n)
        buf_put(b, p, n);
}

void wire_str(struct buf *b, struct str s)
{
    wire_bytes(b, s.ptr, s.len);
}

void wire_cstr(struct buf *b, const char *s)
{
    wire_bytes(b, s, strlen(s));
}

void wire_digest(struct buf *b, const struct digest *d)
{
    wire_bytes(b, d->b, DIGEST_LEN);
}

void wire_time(struct buf *b, int64_t us)
{
    if (us == CLOCK_NEVER)
        wire_null(b);
    else
        wire_i64(b, us - PG_EPOCH_US);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void wire_uuid(struct buf *b, struct str text)
{
    uint8_t out[16] = {0};
    if (text.len != UUID_TEXT || !uuid_valid(text)) {
        wire_null(b);
        return;
    }
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '-')
            continue;
        out[n / 2] = (uint8_t)(out[n / 2] << 4 | hex_digit(text.ptr[i]));
        n++;
    }
    wire_bytes(b, out, sizeof out);
}

/* x86-64 and arm64 keep float32 little-endian already, which is what is stored. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "embeddings are stored in the machine's order");

void wire_floats(struct buf *b, const float *v, size_t n)
{
    if (v)
        wire_bytes(b, v, n * sizeof *v);
    else
        wire_null(b);
}

size_t wire_array(struct buf *b, uint32_t element, size_t n)
{
    assert(n <= INT32_MAX);
    size_t mark = b->len;
    put_be(b, 0, 4); /* length, known at the end */
    put_be(b, n ? 1 : 0, 4);
    put_be(b, 0, 4);
    put_be(b, element, 4);
    if (n) {
        put_be(b, n, 4);
        put_be(b, 1, 4);
    }
    return mark;
}

void wire_array_end(struct buf *b, size_t mark)
{
    size_t len = b->len - mark - 4;
    assert(len <= INT32_MAX);
    for (int i = 0; i < 4; i++)
        b->data[mark + (size_t)i] = (char)(len >> (8 * (3 - i)));
}

void wire_texts(struct buf *b, struct str_list list)
{
    size_t mark = wire_array(b, PG_TEXT, list.n);
    for (size_t i = 0; i < list.n; i++)
        wire_str(b, list.items[i]);
    wire_array_end(b, mark);
}

void wire_row(struct buf *b, int n)
{
    put_be(b, (uint64_t)n, 2);
}

struct row rows_at(const struct rows *r, int i, struct arena *a)
{
    assert(i >= 0 && i < r->n);
    return (struct row){.rows = r, .row = i, .arena = a};
}

bool row_null(const struct row *r)
{
    return PQgetisnull(r->rows->result, r->row, r->col) != 0;
}

/* The next column's bytes; NULL when it is NULL. */
static const char *next(struct row *r, int *len)
{
    int col = r->col++;
    assert(col < PQnfields(r->rows->result));
    *len = 0;
    if (PQgetisnull(r->rows->result, r->row, col))
        return NULL;
    *len = PQgetlength(r->rows->result, r->row, col);
    return PQgetvalue(r->rows->result, r->row, col);
}

int64_t row_int(struct row *r)
{
    int len;
    const char *p = next(r, &len);
    if (!p)
        return 0;
    assert(len == 2 || len == 4 || len == 8);
    uint64_t v = get_be(p, len);
    return len == 8 ? (int64_t)v : len == 4 ? (int32_t)(uint32_t)v : (int16_t)(uint16_t)v;
}

double row_f64(struct row *r)
{
    int len;
    const char *p = next(r, &len);
    if (!p)
        return 0;
    assert(len == 8);
    uint64_t bits = get_be(p, 8);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

bool row_bool(struct row *r)
{
    int len;
    const char *p = next(r, &len);
    assert(!p || len == 1);
    return p && *p;
}

struct str row_str(struct row *r)
{
    int len;
    const char *p = next(r, &len);
    return p ? (struct str){p, (size_t)len} : (struct str){0};
}

struct digest row_digest(struct row *r)
{
    int len;
    const char *p = next(r, &len);
    struct digest d = {0};
    if (p) {
        assert(len == DIGEST_LEN);
        memcpy(d.b, p, DIGEST_LEN);
    }
    return d;
}

int64_t row_time(struct row *r)
{
    int len;
    const char *p = next(r, &len);
    assert(!p || len == 8);
    return p ? (int64_t)get_be(p, 8) + PG_EPOCH_US : CLOCK_NEVER;
}

struct str_list row_texts(struct row *r)
{
    int len;
    const char *p = next(r, &len);
    struct str_list out = {0};
    if (!p || len < 20)
        return out;
    out.n = (size_t)get_be(p + 12, 4);
    out.items = ARENA_ARRAY(r->arena, struct str, out.n);
    size_t at = 20;
    for (size_t i = 0; i < out.n; i++) {
        size_t n = (size_t)get_be(p + at, 4);
        assert(at + 4 + n <= (size_t)len);
        out.items[i] = (struct str){p + at + 4, n};
        at += 4 + n;
    }
    return out;
}

const float *row_floats(struct row *r, size_t *n)
{
    int len;
    const char *p = next(r, &len);
    *n = (size_t)len / sizeof(float);
    if (!p)
        return NULL;
    float *out = ARENA_ARRAY(r->arena, float, *n);
    memcpy(out, p, *n * sizeof(float));
    return out;
}
