#include "index/static_tensors.h"

#include <math.h>
#include <string.h>

#include "base/json_read.h"

static const struct {
    char name[8];
    enum static_type type;
    uint64_t size; /* bytes of an element */
} types[] = {
    {"F64", STATIC_F64, 8},    {"F32", STATIC_F32, 4},   {"F16", STATIC_F16, 2},   {"I64", STATIC_I64, 8},
    {"I32", STATIC_I32, 4},    {"I8", STATIC_I8, 1},     {"U64", STATIC_OTHER, 8}, {"U32", STATIC_OTHER, 4},
    {"BF16", STATIC_OTHER, 2}, {"I16", STATIC_OTHER, 2}, {"U16", STATIC_OTHER, 2}, {"U8", STATIC_OTHER, 1},
    {"BOOL", STATIC_OTHER, 1},
};

static enum assay_code refuse(struct err *err, const char *why)
{
    return err_set(err, ASSAY_INVALID, "model-unusable", "model.safetensors: %s", why);
}

/* A member that is a whole number of at least 0. */
static bool natural(const json_t *v, uint64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0) {
        return false;
    }
    *out = (uint64_t)json_integer_value(v);
    return true;
}

/* The bytes that a shape asks for; false when they cannot be counted. */
static bool shape_bytes(const json_t *shape, uint64_t size, struct static_tensor *t, uint64_t *bytes)
{
    *bytes = size;
    t->dims = json_array_size(shape);
    if (!json_is_array(shape) || t->dims > STATIC_DIMS_MAX) {
        return false;
    }
    for (size_t i = 0; i < t->dims; i++) {
        if (!natural(json_array_get(shape, i), &t->shape[i]) || __builtin_mul_overflow(*bytes, t->shape[i], bytes)) {
            return false;
        }
    }
    return true;
}

static enum assay_code read_tensor(const json_t *entry, struct str data, struct static_tensor *t, struct err *err)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    uint64_t from = 0, to = 0, bytes = 0, size = 0;
    for (size_t i = 0; dtype != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, dtype) == 0) {
            t->type = types[i].type;
            size = types[i].size;
        }
    }
    if (size == 0) {
        return refuse(err, "a tensor has a type that is not known");
    }
    if (!shape_bytes(json_object_get(entry, "shape"), size, t, &bytes)) {
        return refuse(err, "a tensor has a shape that cannot be");
    }
    if (json_array_size(offsets) != 2 || !natural(json_array_get(offsets, 0), &from) ||
        !natural(json_array_get(offsets, 1), &to) || from > to || to > data.len) {
        return refuse(err, "a tensor lies outside the file");
    }
    if (to - from != bytes) {
        return refuse(err, "a tensor's shape and its bytes do not agree");
    }
    t->data = (const uint8_t *)data.ptr + from;
    return ASSAY_OK;
}

static enum assay_code read_header(const json_t *header, struct str data, struct static_tensors *out, struct err *err)
{
    /* The iterator API takes a mutable object but does not change it. */
    json_t *entries = (json_t *)(uintptr_t)header;
    if (!json_is_object(header) || json_object_size(header) > STATIC_TENSORS_MAX) {
        return refuse(err, "the header is no object, or holds too many tensors");
    }
    for (void *it = json_object_iter(entries); it != NULL; it = json_object_iter_next(entries, it)) {
        const char *name = json_object_iter_key(it);
        struct static_tensor t = {0};
        if (strcmp(name, "__metadata__") == 0) {
            continue;
        }
        TRY(read_tensor(json_object_iter_value(it), data, &t, err));
        if (strcmp(name, "embeddings") == 0) {
            out->embeddings = t;
        } else if (strcmp(name, "weights") == 0) {
            out->weights = t;
        } else if (strcmp(name, "mapping") == 0) {
            out->mapping = t;
        }
    }
    return ASSAY_OK;
}

enum assay_code static_tensors_read(struct arena *a, struct str file, struct static_tensors *out, struct err *err)
{
    uint64_t len = 0;
    *out = (struct static_tensors){0};
    if (file.len < 8) {
        return refuse(err, "the file is too short");
    }
    for (size_t i = 0; i < 8; i++) {
        len |= (uint64_t)(unsigned char)file.ptr[i] << (8 * i);
    }
    if (len > STATIC_HEADER_MAX || len > file.len - 8) {
        return refuse(err, "the header is longer than the file or than 1 MiB");
    }
    struct str text = {file.ptr + 8, (size_t)len};
    json_t *header = NULL;
    if (json_parse(a, text, &header, err) != ASSAY_OK) {
        return refuse(err, "the header is not JSON");
    }
    return read_header(header, (struct str){text.ptr + len, file.len - 8 - (size_t)len}, out, err);
}

float static_half(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, rest = (uint32_t)(bits & 0x7fff) << 13, whole;
    float f;
    if ((bits & 0x7c00) == 0x7c00) {
        whole = sign | 0x7f800000U | rest;
        memcpy(&f, &whole, sizeof(f));
        return f;
    }
    /* The exponents' biases differ by 112; the product is exact for normal and subnormal numbers. */
    memcpy(&f, &rest, sizeof(f));
    f *= 0x1p112F;
    return sign != 0 ? -f : f;
}

float static_tensor_float(const struct static_tensor *t, size_t i)
{
    double d = 0;
    float f = 0;
    uint16_t half = 0;
    switch (t->type) {
    case STATIC_F64:
        memcpy(&d, t->data + i * sizeof(d), sizeof(d));
        return (float)d;
    case STATIC_F32:
        memcpy(&f, t->data + i * sizeof(f), sizeof(f));
        return f;
    case STATIC_F16:
        memcpy(&half, t->data + i * sizeof(half), sizeof(half));
        return static_half(half);
    case STATIC_I8:
        return (float)(int8_t)t->data[i];
    case STATIC_I64:
    case STATIC_I32:
    case STATIC_OTHER:
        break;
    }
    return NAN;
}

int64_t static_tensor_int(const struct static_tensor *t, size_t i)
{
    int64_t wide = -1;
    int32_t narrow = -1;
    if (t->type == STATIC_I64) {
        memcpy(&wide, t->data + i * sizeof(wide), sizeof(wide));
        return wide;
    }
    if (t->type == STATIC_I32) {
        memcpy(&narrow, t->data + i * sizeof(narrow), sizeof(narrow));
        return narrow;
    }
    return t->type == STATIC_I8 ? (int8_t)t->data[i] : -1;
}
