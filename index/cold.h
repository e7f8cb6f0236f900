/*
 * Vectors that are left on disk: what a search needs of them is read by the row, through the system's page cache, so
 * that none of them counts as the process's memory. Immutable, any thread.
 */
#ifndef ASSAY_INDEX_COLD_H
#define ASSAY_INDEX_COLD_H

#include <stddef.h>
#include <stdint.h>

struct cold {
    int fd; /* of the segment's file; -1: the vectors are not cold */
    uint64_t at;
    size_t dim;
    const float *mapped; /* the same bytes, to fall back on when the file cannot be read */
};

/* The row's vector: in `out` (dim floats), or where it is mapped. */
const float *cold_row(const struct cold *c, size_t row, float *out);

#endif
