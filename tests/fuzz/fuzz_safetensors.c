/*
 * Reads what claims to be a safetensors file. Whatever is accepted lies within the file: every element is read.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "index/static_tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static double sum(const struct static_tensor *t)
{
    uint64_t n = 1;
    double total = 0;
    for (size_t i = 0; i < t->dims; i++) {
        n *= t->shape[i];
    }
    for (uint64_t i = 0; t->data != NULL && i < n; i++) {
        total += (double)static_tensor_float(t, i) + (double)static_tensor_int(t, i);
    }
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct err err = {0};
    struct static_tensors t;
    enum assay_code code = static_tensors_read(a, (struct str){(const char *)data, size}, &t, &err);
    if (code == ASSAY_OK) {
        volatile double total = sum(&t.embeddings) + sum(&t.weights) + sum(&t.mapping);
        (void)total;
    } else if (code != ASSAY_INVALID || err.detail[0] == '\0') {
        abort();
    }
    err_clear(&err);
    arena_free(a);
    return 0;
}
