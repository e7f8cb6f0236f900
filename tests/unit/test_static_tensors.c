/* The safetensors reader: what is whole is read, what is not is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "index/static_tensors.h"

struct file {
    struct buf bytes;
    struct arena *a;
    struct err err;
    struct static_tensors t;
};

/* A file of the header and `n` bytes of data, read. */
static enum assay_code read_file(struct file *f, const char *header, const void *data, size_t n)
{
    size_t len = strlen(header);
    *f = (struct file){.a = arena_new(0)};
    for (size_t i = 0; i < 8; i++) {
        buf_putc(&f->bytes, (char)(unsigned char)(len >> (8 * i)));
    }
    buf_puts(&f->bytes, header);
    buf_put(&f->bytes, data, n);
    return static_tensors_read(f->a, buf_str(&f->bytes), &f->t, &f->err);
}

static void close_file(struct file *f)
{
    err_clear(&f->err);
    buf_free(&f->bytes);
    arena_free(f->a);
}

static void test_static_tensors__reads_types_and_shapes(void **state)
{
    (void)state;
    struct file f;
    struct {
        float matrix[4];
        double weights[2];
        int64_t mapping[2];
    } data = {{1, -2.5F, 3, 4}, {0.5, 2}, {1, 0}};
    assert_int_equal(read_file(&f,
                               "{\"__metadata__\":{\"x\":\"y\"},"
                               "\"embeddings\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                               "\"weights\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[16,32]},"
                               "\"mapping\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[32,48]}}  ",
                               &data, sizeof(data)),
                     ASSAY_OK);
    assert_int_equal(f.t.embeddings.dims, 2);
    assert_int_equal(f.t.embeddings.shape[0], 2);
    assert_true(static_tensor_float(&f.t.embeddings, 1) == -2.5F);
    assert_true(static_tensor_float(&f.t.weights, 0) == 0.5F);
    assert_int_equal(static_tensor_int(&f.t.mapping, 0), 1);
    close_file(&f);
}

static void test_static_tensors__half_precision_is_exact(void **state)
{
    (void)state;
    assert_true(static_half(0x3c00) == 1.0F);
    assert_true(static_half(0xc000) == -2.0F);
    assert_true(static_half(0x7bff) == 65504.0F); /* the largest */
    assert_true(static_half(0x0001) == 0x1p-24F); /* the smallest subnormal */
    assert_true(static_half(0x03ff) == 1023 * 0x1p-24F);
    assert_true(static_half(0x0400) == 0x1p-14F); /* the smallest normal */
    assert_true(signbit(static_half(0x8000)) && static_half(0x8000) == 0.0F);
    assert_true(isinf(static_half(0x7c00)) && isinf(static_half(0xfc00)) && isnan(static_half(0x7e01)));
}

static void test_static_tensors__refuses_what_does_not_fit_the_file(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"embeddings\":1}",
        "{\"embeddings\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
        "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,20]}}",
        "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[17,17]}}",
        "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[8,0]}}",
        "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}",
        "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}",
        "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}",
        "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}",
        "{\"other\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]}}",
        "{\"embeddings\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]},"
        "\"embeddings\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
    };
    const char data[16] = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct file f;
        assert_int_equal(read_file(&f, bad[i], data, sizeof(data)), ASSAY_INVALID);
        assert_non_null(strstr(f.err.detail, "model.safetensors"));
        close_file(&f);
    }
}

static void test_static_tensors__refuses_a_header_longer_than_the_file(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct static_tensors t;
    struct err err = {0};
    assert_int_equal(static_tensors_read(a, STR_LIT("\3\0\0\0\0\0\0\0{}"), &t, &err), ASSAY_INVALID);
    assert_int_equal(static_tensors_read(a, STR_LIT("\xff\xff\xff\xff\xff\xff\xff\xff{}"), &t, &err), ASSAY_INVALID);
    assert_int_equal(static_tensors_read(a, STR_LIT("\2\0\0"), &t, &err), ASSAY_INVALID);
    assert_int_equal(static_tensors_read(a, (struct str){NULL, 0}, &t, &err), ASSAY_INVALID);
    err_clear(&err);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_static_tensors__reads_types_and_shapes),
        cmocka_unit_test(test_static_tensors__half_precision_is_exact),
        cmocka_unit_test(test_static_tensors__refuses_what_does_not_fit_the_file),
        cmocka_unit_test(test_static_tensors__refuses_a_header_longer_than_the_file),
    };
    return cmocka_run_group_tests_name("static_tensors", tests, NULL, NULL);
}
