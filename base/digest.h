/*
 * Digests, randomness and encodings over OpenSSL. All functions are thread-safe.
 */
#ifndef ASSAY_BASE_DIGEST_H
#define ASSAY_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { DIGEST_LEN = 32, DIGEST_HEX = 64, UUID_TEXT = 36 };

struct digest {
    uint8_t b[DIGEST_LEN];
};

/* SHA-256 of a buffer. */
void digest_sha256(const void *data, size_t n, struct digest *out);

/* Incremental SHA-256. */
struct digest_ctx;
struct digest_ctx *digest_begin(void);
void digest_update(struct digest_ctx *c, const void *data, size_t n);
/* Writes an 8-byte little-endian length before the bytes, so that a list of strings hashes unambiguously. */
void digest_update_field(struct digest_ctx *c, struct str field);
void digest_end(struct digest_ctx *c, struct digest *out); /* frees c */

bool digest_eq(const struct digest *a, const struct digest *b);
/* Constant time; for secrets. */
bool digest_eq_secret(const struct digest *a, const struct digest *b);
void digest_hex(const struct digest *d, char out[DIGEST_HEX + 1]); /* lower case */
bool digest_from_hex(struct str hex, struct digest *out);          /* exactly 64 hex digits */

/* Fills with random bytes from OpenSSL; aborts the process if the generator fails. */
void digest_random(void *out, size_t n);
/* UUID version 7 (RFC 9562): time-ordered, 74 random bits. Lower case text. */
void uuid_new(char out[UUID_TEXT + 1]);
bool uuid_valid(struct str s);

/* RFC 4648 base64 (standard alphabet, padding required). Decoded bytes come from the arena. */
bool base64_decode(struct arena *a, struct str in, struct str *out);
void base64url_encode(const void *data, size_t n, char *out, size_t out_size); /* no padding */

#endif
