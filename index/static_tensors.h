/*
 * A safetensors file (https://github.com/huggingface/safetensors, "Format"): an 8-byte little-endian length, a JSON
 * header, the tensors' bytes. Every tensor of the header is checked against the file before one is used; what is read
 * points into the given bytes. Pure, thread-safe.
 */
#ifndef ASSAY_INDEX_STATIC_TENSORS_H
#define ASSAY_INDEX_STATIC_TENSORS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

enum { STATIC_HEADER_MAX = 1 << 20, STATIC_DIMS_MAX = 8, STATIC_TENSORS_MAX = 64 };

enum static_type { STATIC_F64, STATIC_F32, STATIC_F16, STATIC_I64, STATIC_I32, STATIC_I8, STATIC_OTHER };

struct static_tensor {
    enum static_type type;
    size_t dims;
    uint64_t shape[STATIC_DIMS_MAX];
    const uint8_t *data; /* not aligned; NULL: the file has no such tensor */
};

/* The tensors of the Model2Vec layout. */
struct static_tensors {
    struct static_tensor embeddings, weights, mapping;
};

/* ASSAY_INVALID, with what is wrong, unless the file is whole. `a` is used for the header alone. */
enum assay_code static_tensors_read(struct arena *a, struct str file, struct static_tensors *out,
                                    struct err *err) MUST_USE;

/* Element i of a tensor of a floating-point type or STATIC_I8. */
float static_tensor_float(const struct static_tensor *t, size_t i);
/* Element i of a tensor of a whole-number type. */
int64_t static_tensor_int(const struct static_tensor *t, size_t i);
/* IEEE 754 half precision. */
float static_half(uint16_t bits);

#endif
