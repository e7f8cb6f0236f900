#include "index/code8.h"

#include <math.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { CODE_MAX = 127, CODE_ZERO = 128, CODE8_DIM_MAX = 4096 };
/* More than single precision loses in sums of products of unit vectors: at most dim / KERNEL_LANES + 5 additions follow
 * one another, each off by 2^-24 of a sum below 1. */
static const float ROUNDING = 2e-5F;

size_t code8_stride(size_t dim)
{
    return (dim + CODE8_ALIGN - 1) / CODE8_ALIGN * CODE8_ALIGN;
}

/* The scale of a vector, and by what its numbers are multiplied to become codes. */
static float scale_of(const float *v, size_t dim, float *factor)
{
    float max = 0;
    for (size_t i = 0; i < dim; i++) {
        max = fabsf(v[i]) > max ? fabsf(v[i]) : max;
    }
    *factor = max > 0 ? CODE_MAX / max : 0;
    return max / CODE_MAX;
}

/* The square root of a sum of squares, with what rounding may have taken from it. */
static float length_of(double squares)
{
    return (float)sqrt(squares) * (1 + ROUNDING) + ROUNDING;
}

void code8_rows(const float *vectors, size_t n, size_t dim, uint8_t *codes, struct code8_row *rows)
{
    size_t stride = code8_stride(dim);
    for (size_t row = 0; row < n; row++) {
        const float *v = vectors + row * dim;
        uint8_t *code = codes + row * stride;
        float factor, scale = scale_of(v, dim, &factor);
        double squares = 0;
        for (size_t i = 0; i < dim; i++) {
            long c = lrintf(v[i] * factor);
            double left = (double)v[i] - (double)c * (double)scale;
            code[i] = (uint8_t)(c + CODE_ZERO);
            squares += left * left;
        }
        memset(code + dim, CODE_ZERO, stride - dim);
        rows[row] = (struct code8_row){scale, length_of(squares)};
    }
}

void code8_make_query(const float *query, size_t dim, int8_t *code, struct code8_query *out)
{
    float factor;
    int32_t sum = 0;
    double left = 0, whole = 0;
    *out = (struct code8_query){.code = code, .stride = code8_stride(dim), .scale = scale_of(query, dim, &factor)};
    for (size_t i = 0; i < dim; i++) {
        code[i] = (int8_t)lrintf(query[i] * factor);
        double stands = (double)code[i] * (double)out->scale, off = (double)query[i] - stands;
        sum += code[i];
        left += off * off;
        whole += stands * stands;
    }
    memset(code + dim, 0, out->stride - dim);
    out->shift = CODE_ZERO * sum;
    out->error = length_of(left);
    out->length = length_of(whole);
}

float code8_bound(const struct code8_query *q, const struct code8_row *row)
{
    return q->error + q->length * row->error + ROUNDING;
}

/* ---- sums ---- */

/* Products of up to 255 * 127 over at most 4096 dimensions stay far below 2^31. */
typedef void (*sums)(const int8_t *q, const uint8_t *const *rows, size_t stride, int32_t *out);

#define BASELINE(name, count)                                                                                          \
    static void name(const int8_t *q, const uint8_t *const *rows, size_t stride, int32_t *out)                         \
    {                                                                                                                  \
        for (size_t r = 0; r < (count); r++) {                                                                         \
            int32_t sum = 0;                                                                                           \
            for (size_t i = 0; i < stride; i++) {                                                                      \
                sum += q[i] * rows[r][i];                                                                              \
            }                                                                                                          \
            out[r] = sum;                                                                                              \
        }                                                                                                              \
    }
BASELINE(sum1_baseline, 1)
BASELINE(sum4_baseline, CODE8_ROWS)

#ifdef __x86_64__
/* By way of 16 bits: the instruction that multiplies bytes saturates. */
#define AVX2(name, count)                                                                                              \
    __attribute__((target("avx2"))) static void name(const int8_t *q, const uint8_t *const *rows, size_t stride,       \
                                                     int32_t *out)                                                     \
    {                                                                                                                  \
        __m256i sum[count];                                                                                            \
        for (size_t r = 0; r < (count); r++) {                                                                         \
            sum[r] = _mm256_setzero_si256();                                                                           \
        }                                                                                                              \
        for (size_t i = 0; i < stride; i += 16) {                                                                      \
            __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(q + i)));                                  \
            for (size_t r = 0; r < (count); r++) {                                                                     \
                __m256i y = _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)(rows[r] + i)));                        \
                sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(x, y));                                            \
            }                                                                                                          \
        }                                                                                                              \
        for (size_t r = 0; r < (count); r++) {                                                                         \
            __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sum[r]), _mm256_extracti128_si256(sum[r], 1));            \
            s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));                                                          \
            s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));                                                          \
            out[r] = _mm_cvtsi128_si32(s);                                                                             \
        }                                                                                                              \
    }
AVX2(sum1_avx2, 1)
AVX2(sum4_avx2, CODE8_ROWS)

#define VNNI(count)                                                                                                    \
    __m512i sum[count];                                                                                                \
    for (size_t r = 0; r < (count); r++) {                                                                             \
        sum[r] = _mm512_setzero_si512();                                                                               \
    }                                                                                                                  \
    for (size_t i = 0; i < stride; i += CODE8_ALIGN) {                                                                 \
        __m512i x = _mm512_loadu_si512(q + i);                                                                         \
        for (size_t r = 0; r < (count); r++) {                                                                         \
            sum[r] = _mm512_dpbusd_epi32(sum[r], _mm512_loadu_si512(rows[r] + i), x);                                  \
        }                                                                                                              \
    }

#define TARGET_VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))
TARGET_VNNI static void sum1_vnni(const int8_t *q, const uint8_t *const *rows, size_t stride, int32_t *out)
{
    VNNI(1)
    *out = _mm512_reduce_add_epi32(sum[0]);
}

TARGET_VNNI static __m256i half(__m512i x)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
}

TARGET_VNNI static void sum4_vnni(const int8_t *q, const uint8_t *const *rows, size_t stride, int32_t *out)
{
    VNNI(CODE8_ROWS)
    /* Added in pairs across the four sums, so that they end side by side. */
    __m256i low = _mm256_hadd_epi32(half(sum[0]), half(sum[1])), high = _mm256_hadd_epi32(half(sum[2]), half(sum[3]));
    __m256i all = _mm256_hadd_epi32(low, high);
    _mm_storeu_si128((void *)out, _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
}
#endif

static const struct version {
    const char *name;
    sums sum1, sum4;
} versions[] = {
    {"baseline", sum1_baseline, sum4_baseline},
#ifdef __x86_64__
    {"avx2", sum1_avx2, sum4_avx2},
    {"avx512vnni", sum1_vnni, sum4_vnni},
#endif
};

static unsigned best(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") ? 2
           : __builtin_cpu_supports("avx2")                                           ? 1
                                                                                      : 0;
#else
    return 0;
#endif
}

const char *code8_version(unsigned i)
{
    return i <= best() ? versions[i].name : NULL;
}

void code8_sum4_version(unsigned i, const int8_t *query, const uint8_t *const rows[CODE8_ROWS], size_t stride,
                        int32_t out[CODE8_ROWS])
{
    versions[i].sum4(query, rows, stride, out);
}

/* ---- scores ---- */

void code8_make_query_of_row(const uint8_t *row_code, const struct code8_row *row, size_t dim, int8_t *code,
                             struct code8_query *out)
{
    typedef uint8_t block __attribute__((vector_size(CODE8_ALIGN)));
    static const int8_t ones[CODE8_DIM_MAX] = {[0 ... CODE8_DIM_MAX - 1] = 1};
    size_t stride = code8_stride(dim);
    int32_t sum;
    for (size_t i = 0; i < stride; i += CODE8_ALIGN) {
        block b;
        memcpy(&b, row_code + i, sizeof(b));
        b ^= CODE_ZERO; /* takes 128 away, in two's complement */
        memcpy(code + i, &b, sizeof(b));
    }
    versions[best()].sum1(ones, &row_code, stride, &sum);
    *out = (struct code8_query){.code = code,
                                .stride = stride,
                                .shift = CODE_ZERO * (sum - CODE_ZERO * (int32_t)stride),
                                .scale = row->scale,
                                .error = row->error,
                                .length = 1 + row->error};
}

static float score_of(const struct code8_query *q, int32_t sum, const struct code8_row *row)
{
    return (float)(sum - q->shift) * (q->scale * row->scale);
}

float code8_score(const struct code8_query *q, const uint8_t *code, const struct code8_row *row)
{
    int32_t sum;
    versions[best()].sum1(q->code, &code, q->stride, &sum);
    return score_of(q, sum, row);
}

void code8_score4(const struct code8_query *q, const uint8_t *const codes[CODE8_ROWS],
                  const struct code8_row *const rows[CODE8_ROWS], float out[CODE8_ROWS])
{
    int32_t sum[CODE8_ROWS];
    versions[best()].sum4(q->code, codes, q->stride, sum);
    for (size_t r = 0; r < CODE8_ROWS; r++) {
        out[r] = score_of(q, sum[r], rows[r]);
    }
}
