/*
 * Dense bitmaps: one bit per row in 64-bit words, the working form of every set during a search (FAISS' selector reads
 * the same bytes). Bits past the last row are always zero.
 */
#ifndef ASSAY_INDEX_BITS_H
#define ASSAY_INDEX_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline size_t bits_words(size_t rows)
{
    return (rows + 63) / 64;
}

static inline bool bits_get(const uint64_t *w, size_t row)
{
    return (w[row >> 6] >> (row & 63)) & 1;
}

static inline void bits_put(uint64_t *w, size_t row, bool on)
{
    uint64_t bit = UINT64_C(1) << (row & 63);
    w[row >> 6] = on ? w[row >> 6] | bit : w[row >> 6] & ~bit;
}

static inline void bits_fill(uint64_t *w, size_t rows)
{
    memset(w, 0xff, bits_words(rows) * sizeof(*w));
    if (rows & 63) {
        w[rows >> 6] = (UINT64_C(1) << (rows & 63)) - 1;
    }
}

static inline size_t bits_count(const uint64_t *w, size_t rows)
{
    size_t n = 0;
    for (size_t i = 0; i < bits_words(rows); i++) {
        n += (size_t)__builtin_popcountll(w[i]);
    }
    return n;
}

/* Runs the statement that follows for every set bit; `row` names the loop's variable. */
#define BITS_EACH(w, rows, row)                                                                                        \
    for (size_t word_ = 0; word_ < bits_words(rows); word_++)                                                          \
        for (uint64_t left_ = (w)[word_]; left_ != 0; left_ &= left_ - 1)                                              \
            for (size_t row = word_ * 64 + (size_t)__builtin_ctzll(left_), once_ = 1; once_; once_ = 0)

#endif
