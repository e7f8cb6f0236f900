#include "base/digest.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static_assert(DIGEST_LEN == SHA256_DIGEST_LENGTH, "a digest is a SHA-256");

static const char hex_digits[] = "0123456789abcdef";

/* OpenSSL refuses only when memory or its own set-up is broken; without digests nothing here can be vouched for. */
static void require(int ok)
{
    if (ok != 1) {
        (void)fputs("assayd: OpenSSL failed\n", stderr);
        abort();
    }
}

void digest_sha256(const void *data, size_t n, struct digest *out)
{
    require(SHA256(n ? data : "", n, out->b) != NULL);
}

struct digest_ctx {
    EVP_MD_CTX *md;
};

struct digest_ctx *digest_begin(void)
{
    struct digest_ctx *c = mem_alloc(sizeof *c);
    c->md = EVP_MD_CTX_new();
    require(c->md != NULL);
    require(EVP_DigestInit_ex(c->md, EVP_sha256(), NULL));
    return c;
}

void digest_update(struct digest_ctx *c, const void *data, size_t n)
{
    if (n)
        require(EVP_DigestUpdate(c->md, data, n));
}

void digest_update_field(struct digest_ctx *c, struct str field)
{
    uint8_t len[8];
    for (size_t i = 0; i < sizeof len; i++)
        len[i] = (uint8_t)((uint64_t)field.len >> (8 * i));
    digest_update(c, len, sizeof len);
    digest_update(c, field.ptr, field.len);
}

void digest_end(struct digest_ctx *c, struct digest *out)
{
    require(EVP_DigestFinal_ex(c->md, out->b, NULL));
    EVP_MD_CTX_free(c->md);
    free(c);
}

bool digest_eq(const struct digest *a, const struct digest *b)
{
    return memcmp(a->b, b->b, DIGEST_LEN) == 0;
}

bool digest_eq_secret(const struct digest *a, const struct digest *b)
{
    return CRYPTO_memcmp(a->b, b->b, DIGEST_LEN) == 0;
}

void digest_hex(const struct digest *d, char out[DIGEST_HEX + 1])
{
    for (size_t i = 0; i < DIGEST_LEN; i++) {
        out[2 * i] = hex_digits[d->b[i] >> 4U];
        out[2 * i + 1] = hex_digits[d->b[i] & 0xFU];
    }
    out[DIGEST_HEX] = '\0';
}

bool digest_from_hex(struct str hex, struct digest *out)
{
    if (hex.len != DIGEST_HEX)
        return false;
    struct digest d;
    for (size_t i = 0; i < DIGEST_LEN; i++) {
        int high = str_hex_value(hex.ptr[2 * i]);
        int low = str_hex_value(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        d.b[i] = (uint8_t)(high * 16 + low);
    }
    *out = d;
    return true;
}

void digest_random(void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        int step = n < 4096 ? (int)n : 4096;
        require(RAND_bytes(p, step));
        p += step;
        n -= (size_t)step;
    }
}

static bool uuid_dash(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

void uuid_new(char out[UUID_TEXT + 1])
{
    uint8_t u[16];
    digest_random(u, sizeof u);
    uint64_t ms = (uint64_t)(clock_now_us() / 1000);
    for (size_t i = 0; i < 6; i++)
        u[i] = (uint8_t)(ms >> (40 - 8 * i));
    u[6] = (uint8_t)((u[6] & 0x0FU) | 0x70U); /* version 7 */
    u[8] = (uint8_t)((u[8] & 0x3FU) | 0x80U); /* variant of RFC 9562 */
    size_t at = 0;
    for (size_t i = 0; i < sizeof u; i++) {
        if (uuid_dash(at))
            out[at++] = '-';
        out[at++] = hex_digits[u[i] >> 4U];
        out[at++] = hex_digits[u[i] & 0xFU];
    }
    out[at] = '\0';
}

bool uuid_valid(struct str s)
{
    if (s.len != UUID_TEXT)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (uuid_dash(i) ? s.ptr[i] != '-' : str_hex_value(s.ptr[i]) < 0)
            return false;
    }
    return true;
}

#define BASE64_RUN(from, value)                                                                                        \
    [(from)] = (value) + 1, [(from) + 1] = (value) + 2, [(from) + 2] = (value) + 3, [(from) + 3] = (value) + 4,        \
    [(from) + 4] = (value) + 5
/* One more than the value, 0 where a byte is none of the alphabet (RFC 4648, section 4). */
static const uint8_t base64_values[256] = {
    BASE64_RUN('A', 0),  BASE64_RUN('F', 5),  BASE64_RUN('K', 10), BASE64_RUN('P', 15), BASE64_RUN('U', 20), ['Z'] = 26,
    BASE64_RUN('a', 26), BASE64_RUN('f', 31), BASE64_RUN('k', 36), BASE64_RUN('p', 41), BASE64_RUN('u', 46), ['z'] = 52,
    BASE64_RUN('0', 52), BASE64_RUN('5', 57), ['+'] = 63,          ['/'] = 64};

/* The 24 bits of four letters, the last `padding` of which count as zeroes; UINT32_MAX: not base64. */
static uint32_t base64_quad(const char *in, size_t padding)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t v = i < 4 - padding ? base64_values[(uint8_t)in[i]] : 1;
        if (v == 0)
            return UINT32_MAX;
        bits = bits << 6U | (v - 1);
    }
    return bits;
}

bool base64_decode(struct arena *a, struct str in, struct str *out)
{
    if (in.len % 4 != 0)
        return false;
    size_t padding = 0;
    while (padding < 2 && padding < in.len && in.ptr[in.len - 1 - padding] == '=')
        padding++;
    uint8_t *bytes = arena_alloc(a, in.len / 4 * 3 + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.len; i += 4) {
        size_t absent = i + 4 == in.len ? padding : 0;
        uint32_t bits = base64_quad(in.ptr + i, absent);
        /* Bits left over at the end must be zero, so that one content has one encoding. */
        if (bits == UINT32_MAX || (bits & ((1U << 8 * absent) - 1U)) != 0)
            return false;
        bytes[n] = (uint8_t)(bits >> 16U);
        bytes[n + 1] = (uint8_t)(bits >> 8U);
        bytes[n + 2] = (uint8_t)bits;
        n += 3 - absent;
    }
    bytes[n] = '\0';
    *out = (struct str){(char *)bytes, n};
    return true;
}

void base64url_encode(const void *data, size_t n, char *out, size_t out_size)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert(out_size > (n * 4 + 2) / 3);
    (void)out_size;
    const uint8_t *p = data;
    size_t at = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8U | p[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            out[at++] = alphabet[bits >> held & 0x3FU];
        }
    }
    if (held > 0)
        out[at++] = alphabet[bits << (6 - held) & 0x3FU];
    out[at] = '\0';
}
