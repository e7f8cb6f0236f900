/*
 * What a term can add to a score at most, so that rows which cannot reach the best k need not be scored (block-max
 * pruning: Ding and Suel, SIGIR 2011; over blocks of rows that all terms share: Mackenzie and others, ECIR 2021).
 *
 * BM25's gain tf / (tf + A + B * length) = 1 / (1 + A / tf + B * length / tf) grows with tf and falls with length / tf,
 * so the largest tf and the smallest length / tf of some postings bound it, whatever A and B (k1, b, average length)
 * are.
 *
 * Derived from a segment's postings whenever one is made or loaded. Immutable then, any thread.
 */
#ifndef ASSAY_INDEX_BOUNDS_H
#define ASSAY_INDEX_BOUNDS_H

#include "index/inverted.h"

enum { BOUNDS_ROWS = 1024 /* of a block */, BOUNDS_MIN_ROWS = 4 * BOUNDS_ROWS /* below, nothing is gained */ };

struct bound {
    float freq;  /* highest; 0: no posting */
    float ratio; /* lowest length / frequency */
};

struct bounds {
    size_t n_keys, n_blocks, n_dense;
    struct bound *whole;  /* n_keys: over all postings of a key */
    uint32_t *dense;      /* n_keys: which of the dense keys it is; BOUNDS_SPARSE: too few postings for blocks */
    struct bound *blocks; /* n_dense * n_blocks */
    uint32_t *starts;     /* n_dense * (n_blocks + 1): first posting of each block, counted from the key's first */
};
#define BOUNDS_SPARSE UINT32_MAX

/* Bounds of the keys of `v` over n rows of these lengths; NULL when there are fewer than BOUNDS_MIN_ROWS. */
struct bounds *bounds_new(const struct inverted *v, const uint32_t *length, size_t n);
void bounds_free(struct bounds *b); /* NULL is ignored */
size_t bounds_bytes(const struct bounds *b);

/* Of any list of postings; freq and rows as in struct inverted. */
struct bound bound_of(const uint32_t *rows, const uint16_t *freq, size_t n, const uint32_t *length);

#endif
