#include "index/bounds.h"

#include <stdlib.h>

#include "base/arena.h"

enum { DENSE_POSTS = 8 /* a block at least, on average: then a block's 12 bytes are little beside its postings */ };

struct bound bound_of(const uint32_t *rows, const uint16_t *freq, size_t n, const uint32_t *length)
{
    struct bound b = {0, 0};
    for (size_t i = 0; i < n; i++) {
        float f = (float)freq[i], ratio = (float)length[rows[i]] / f;
        b.ratio = b.freq == 0 || ratio < b.ratio ? ratio : b.ratio;
        b.freq = f > b.freq ? f : b.freq;
    }
    return b;
}

static bool is_dense(const struct inverted *v, size_t key, size_t n_blocks)
{
    uint64_t n = v->post_at[key + 1] - v->post_at[key];
    return n >= n_blocks * DENSE_POSTS && n < UINT32_MAX;
}

static void cut_blocks(struct bounds *b, size_t which, const uint32_t *rows, const uint16_t *freq, size_t n,
                       const uint32_t *length)
{
    struct bound *blocks = b->blocks + which * b->n_blocks;
    uint32_t *starts = b->starts + which * (b->n_blocks + 1);
    size_t at = 0;
    for (size_t i = 0; i < b->n_blocks; i++) {
        size_t from = at;
        while (at < n && rows[at] < (i + 1) * BOUNDS_ROWS) {
            at++;
        }
        starts[i] = (uint32_t)from;
        blocks[i] = bound_of(rows + from, freq + from, at - from, length);
    }
    starts[b->n_blocks] = (uint32_t)n;
}

struct bounds *bounds_new(const struct inverted *v, const uint32_t *length, size_t n)
{
    if (n < BOUNDS_MIN_ROWS) {
        return NULL;
    }
    struct bounds *b = mem_calloc(1, sizeof(*b));
    b->n_keys = v->n_keys;
    b->n_blocks = (n + BOUNDS_ROWS - 1) / BOUNDS_ROWS;
    b->whole = mem_alloc((v->n_keys + 1) * sizeof(*b->whole));
    b->dense = mem_alloc((v->n_keys + 1) * sizeof(*b->dense));
    for (size_t i = 0; i < v->n_keys; i++) {
        b->dense[i] = is_dense(v, i, b->n_blocks) ? (uint32_t)b->n_dense++ : BOUNDS_SPARSE;
    }
    b->blocks = mem_alloc((b->n_dense * b->n_blocks + 1) * sizeof(*b->blocks));
    b->starts = mem_alloc((b->n_dense * (b->n_blocks + 1) + 1) * sizeof(*b->starts));
    for (size_t i = 0; i < v->n_keys; i++) {
        size_t from = (size_t)v->post_at[i], count = (size_t)(v->post_at[i + 1] - v->post_at[i]);
        b->whole[i] = bound_of(v->rows + from, v->freq + from, count, length);
        if (b->dense[i] != BOUNDS_SPARSE) {
            cut_blocks(b, b->dense[i], v->rows + from, v->freq + from, count, length);
        }
    }
    return b;
}

void bounds_free(struct bounds *b)
{
    if (b != NULL) {
        free(b->whole);
        free(b->dense);
        free(b->blocks);
        free(b->starts);
        free(b);
    }
}

size_t bounds_bytes(const struct bounds *b)
{
    if (b == NULL) {
        return 0;
    }
    return sizeof(*b) + b->n_keys * (sizeof(*b->whole) + sizeof(*b->dense)) +
           b->n_dense * (b->n_blocks * sizeof(*b->blocks) + (b->n_blocks + 1) * sizeof(*b->starts));
}
