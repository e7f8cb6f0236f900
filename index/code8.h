/*
 * 8-bit codes of unit vectors: a quarter of the bytes that floats take, and a search is bound by what it reads. A row's
 * code is round(127 v / max |v|) + 128, one byte a dimension, and its scale max |v| / 127; a query is coded likewise
 * but signed, so that the sum of products is one of whole numbers, equal on any CPU. The score is that sum times both
 * scales. With q' and r' what the codes of q and r stand for, q r - q' r' = (q - q') r + q' (r - r'), so by
 * Cauchy-Schwarz it is off by at most |q - q'| |r| + |q'| |r - r'|: code8_bound. Pure, thread-safe.
 */
#ifndef ASSAY_INDEX_CODE8_H
#define ASSAY_INDEX_CODE8_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Codes start at multiples of this many bytes and are filled up to one. */
enum { CODE8_ALIGN = 64, CODE8_ROWS = 4 };
size_t code8_stride(size_t dim);

struct code8_row {
    float scale;
    float error; /* length of what the code leaves out of the vector, or a little more */
};
/* Codes n * dim floats, rows of length 1 or 0, into n * code8_stride(dim) bytes and n rows. */
void code8_rows(const float *vectors, size_t n, size_t dim, uint8_t *codes, struct code8_row *rows);

struct code8_query {
    const int8_t *code; /* stride bytes */
    size_t stride;
    int32_t shift;              /* what the rows' 128 adds to every sum */
    float scale, error, length; /* length: of what the code stands for */
};
/* Codes a query of length 1 into `code`, code8_stride(dim) bytes that are the caller's and stay in use. */
void code8_make_query(const float *query, size_t dim, int8_t *code, struct code8_query *out);

/* A coded row as a query: the same without coding anything. `code` has room for its stride. */
void code8_make_query_of_row(const uint8_t *row_code, const struct code8_row *row, size_t dim, int8_t *code,
                             struct code8_query *out);

float code8_score(const struct code8_query *q, const uint8_t *code, const struct code8_row *row);
/* Four rows at once: out[i] has the bits that code8_score gives. */
void code8_score4(const struct code8_query *q, const uint8_t *const codes[CODE8_ROWS],
                  const struct code8_row *const rows[CODE8_ROWS], float out[CODE8_ROWS]);
/* By how much a row's score may differ from its kernel_dot with the query, rounding included. */
float code8_bound(const struct code8_query *q, const struct code8_row *row);

/* The versions by name, so that tests can hold each to the others; NULL past the last one that this CPU has. */
const char *code8_version(unsigned i);
void code8_sum4_version(unsigned i, const int8_t *query, const uint8_t *const rows[CODE8_ROWS], size_t stride,
                        int32_t out[CODE8_ROWS]);

#ifdef __cplusplus
}
#endif

#endif
