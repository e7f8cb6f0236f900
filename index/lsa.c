#include "index/lsa.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "index/diskfile.h"

const char lsa_magic[8] = {'A', 'S', 'S', 'A', 'Y', 'L', 'S', 'A'};

struct lsa {
    atomic_int refs;
    struct digest id;
    struct buf bytes;
    size_t dim, rank, n_terms;
    const uint32_t *key_at;
    const char *keys;
    const float *rows;
};

struct lsa *lsa_ref(struct lsa *l)
{
    if (l != NULL) {
        atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    }
    return l;
}

void lsa_unref(struct lsa *l)
{
    if (l != NULL && atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) == 1) {
        buf_free(&l->bytes);
        free(l);
    }
}

void lsa_id(const struct lsa *l, struct digest *out)
{
    *out = l->id;
}

size_t lsa_bytes(const struct lsa *l)
{
    return l->bytes.len;
}

size_t lsa_rank(const struct lsa *l)
{
    return l->rank;
}

double lsa_tf(uint32_t freq)
{
    double tf = (double)freq / SEG_UNIT;
    return tf <= 1 ? 1 : rint((1 + log(tf)) * 65536) / 65536;
}

/* ---- the bytes ---- */

static struct str key(const struct lsa *l, size_t i)
{
    return (struct str){l->keys + l->key_at[i], l->key_at[i + 1] - l->key_at[i]};
}

static int compare(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int cmp = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return cmp != 0 ? cmp : (a.len > b.len) - (a.len < b.len);
}

static bool consistent(const struct lsa *l, size_t keys_len)
{
    if (l->key_at[0] != 0 || l->key_at[l->n_terms] != keys_len) {
        return false;
    }
    for (size_t i = 0; i < l->n_terms; i++) {
        if (l->key_at[i] > l->key_at[i + 1] || l->key_at[i + 1] > keys_len) {
            return false;
        }
        if (i > 0 && compare(key(l, i - 1), key(l, i)) >= 0) {
            return false;
        }
    }
    for (size_t i = 0; i < l->n_terms * l->rank; i++) {
        if (!isfinite(l->rows[i])) {
            return false;
        }
    }
    return true;
}

struct lsa *lsa_parse(struct buf *bytes, size_t dim)
{
    struct lsa_header h;
    struct lsa *l = NULL;
    size_t at = sizeof(h);
    if (bytes->len < sizeof(h)) {
        goto refused;
    }
    memcpy(&h, bytes->data, sizeof(h));
    if (memcmp(h.magic, lsa_magic, sizeof(lsa_magic)) != 0 || h.version != LSA_VERSION || h.dim != dim || h.rank < 1 ||
        h.rank > LSA_RANK || h.rank > dim || h.n_terms < 1 || h.n_terms > LSA_TERMS_MAX ||
        h.keys_len > (uint64_t)LSA_TERMS_MAX * WORDS_LEN_MAX * 4) {
        goto refused;
    }
    size_t keys_at = at + (h.n_terms + 1) * sizeof(uint32_t), rows_at = keys_at + ((size_t)h.keys_len + 3) / 4 * 4;
    if (bytes->len != rows_at + (size_t)h.n_terms * h.rank * sizeof(float)) {
        goto refused;
    }
    l = mem_calloc(1, sizeof(*l));
    atomic_init(&l->refs, 1);
    l->bytes = *bytes;
    *bytes = (struct buf){0};
    l->dim = dim;
    l->rank = h.rank;
    l->n_terms = h.n_terms;
    l->key_at = (const uint32_t *)(const void *)(l->bytes.data + at);
    l->keys = l->bytes.data + keys_at;
    l->rows = (const float *)(const void *)(l->bytes.data + rows_at);
    if (!consistent(l, (size_t)h.keys_len)) {
        lsa_unref(l);
        return NULL;
    }
    digest_sha256(l->bytes.data, l->bytes.len, &l->id);
    return l;
refused:
    buf_free(bytes);
    return NULL;
}

/* ---- folding in ---- */

static void add(const struct lsa *l, size_t term, float weight, float *sum)
{
    const float *row = l->rows + term * l->rank;
    for (size_t i = 0; i < l->rank; i++) {
        sum[i] += weight * row[i];
    }
}

/* To length 1; false when there is no length. The sum runs in one order, in double precision. */
static bool normalise(const struct lsa *l, float *v)
{
    double sum = 0;
    for (size_t i = 0; i < l->rank; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    if (!(sum > 1e-30) || !isfinite(sum)) {
        return false;
    }
    double scale = 1 / sqrt(sum);
    for (size_t i = 0; i < l->rank; i++) {
        v[i] = (float)((double)v[i] * scale);
    }
    return true;
}

void lsa_embed_rows(const struct lsa *l, const struct inverted *terms, size_t n, size_t dim, float *out)
{
    memset(out, 0, n * dim * sizeof(*out));
    size_t term = 0;
    for (size_t k = 0; k < terms->n_keys; k++) {
        struct str stem = inverted_key(terms, k);
        int cmp = -1;
        while (term < l->n_terms && (cmp = compare(key(l, term), stem)) < 0) {
            term++;
        }
        for (uint64_t p = terms->post_at[k]; cmp == 0 && p < terms->post_at[k + 1]; p++) {
            add(l, term, (float)lsa_tf(terms->freq[p]), out + terms->rows[p] * dim);
        }
    }
    for (size_t row = 0; row < n; row++) {
        if (!normalise(l, out + row * dim)) {
            memset(out + row * dim, 0, dim * sizeof(*out));
            out[row * dim + l->rank - 1] = 1; /* the direction that tells least */
        }
    }
}

void lsa_query_term(const struct lsa *l, struct str stem, unsigned count, float *sum)
{
    size_t lo = 0, hi = l->n_terms;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare(key(l, mid), stem) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo < l->n_terms && compare(key(l, lo), stem) == 0) {
        add(l, lo, (float)count, sum);
    }
}

bool lsa_query_finish(const struct lsa *l, float *sum)
{
    return normalise(l, sum);
}

/* ---- files ---- */

void lsa_file_name(const struct digest *id, char out[LSA_FILE_NAME])
{
    char hex[DIGEST_HEX + 1];
    digest_hex(id, hex);
    snprintf(out, LSA_FILE_NAME, "lsa-%.16s", hex);
}

enum assay_code lsa_file_write(const struct lsa *l, const char *dir, struct err *err)
{
    char name[LSA_FILE_NAME];
    struct diskfile *f = NULL;
    struct filesum sum;
    lsa_file_name(&l->id, name);
    TRY(diskfile_create(dir, name, &f, err));
    diskfile_put(f, l->bytes.data, l->bytes.len);
    return diskfile_commit(f, &sum, err);
}

struct lsa *lsa_file_read(const char *dir, const struct digest *id, size_t dim, const char **why)
{
    char name[LSA_FILE_NAME];
    uint64_t len = 0;
    struct buf b = {0};
    lsa_file_name(id, name);
    int fd = diskfile_open(dir, name, &len);
    if (fd < 0) {
        *why = errno == ENOENT ? "the embedder's file is missing" : "the embedder's file is unreadable";
        return NULL;
    }
    bool ok = diskfile_read(fd, 0, len, &b);
    close(fd);
    struct lsa *l = ok ? lsa_parse(&b, dim) : NULL;
    buf_free(&b);
    if (l == NULL || !digest_eq(&l->id, id)) {
        *why = "the embedder's file is damaged";
        lsa_unref(l);
        return NULL;
    }
    return l;
}
