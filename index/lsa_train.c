/*
 * Training. The order of every sum is fixed, and the inner loops run along rows of dense matrices, so that the compiler
 * may use vector instructions without changing a result.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "index/bits.h"
#include "index/lsa.h"

enum {
    OVERSAMPLING = 16,
    POWER_ITERATIONS = 3,
    ROWS_PER_RANK = 4, /* fewer rows than this for each dimension, and dimensions would be rows learned by heart */
    JACOBI_SWEEPS = 30
};

/* A row of the training set. */
struct sample {
    int64_t chunk;
    uint32_t seg, row;
};

/* A term of one segment, or (the first of its kind, with df) of all. */
struct entry {
    struct str key;
    uint32_t seg, at, df;
};

struct training {
    struct segment *const *segs;
    const uint64_t *const *keep;
    size_t n_segs, dim;
    const atomic_bool *cancel;
    uint32_t **row_of; /* for each segment: row -> row of the matrix; UINT32_MAX: not in it */
    size_t n_rows;
    struct entry *entries; /* in order of (key, segment) */
    size_t n_entries;
    size_t *terms; /* for each term: its first entry */
    double *idf;
    size_t n_terms;
    /* the matrix, by rows */
    size_t *row_at;
    uint32_t *column;
    double *value;
};

static bool cancelled(const struct training *t)
{
    return t->cancel != NULL && atomic_load(t->cancel);
}

static int sample_cmp(const void *pa, const void *pb)
{
    const struct sample *a = pa, *b = pb;
    return (a->chunk > b->chunk) - (a->chunk < b->chunk);
}

static void choose_rows(struct training *t)
{
    size_t n = 0;
    for (size_t s = 0; s < t->n_segs; s++) {
        n += bits_count(t->keep[s], t->segs[s]->n);
    }
    struct sample *all = mem_alloc((n + 1) * sizeof(*all));
    t->row_of = mem_calloc(t->n_segs + 1, sizeof(*t->row_of));
    n = 0;
    for (size_t s = 0; s < t->n_segs; s++) {
        size_t rows = t->segs[s]->n;
        t->row_of[s] = mem_alloc((rows + 1) * sizeof(uint32_t));
        memset(t->row_of[s], 0xff, rows * sizeof(uint32_t));
        BITS_EACH(t->keep[s], rows, row)
        {
            all[n++] = (struct sample){t->segs[s]->chunk[row], (uint32_t)s, (uint32_t)row};
        }
    }
    qsort(all, n, sizeof(*all), sample_cmp);
    t->n_rows = n < LSA_ROWS_MAX ? n : LSA_ROWS_MAX;
    for (size_t i = 0; i < t->n_rows; i++) {
        const struct sample *p = &all[i * n / t->n_rows];
        t->row_of[p->seg][p->row] = (uint32_t)i;
    }
    free(all);
}

static int entry_cmp(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    size_t n = a->key.len < b->key.len ? a->key.len : b->key.len;
    int cmp = memcmp(a->key.ptr, b->key.ptr, n);
    if (cmp == 0) {
        cmp = (a->key.len > b->key.len) - (a->key.len < b->key.len);
    }
    return cmp != 0 ? cmp : (a->seg > b->seg) - (a->seg < b->seg);
}

static void collect_terms(struct training *t)
{
    size_t n = 0;
    for (size_t s = 0; s < t->n_segs; s++) {
        n += t->segs[s]->terms.n_keys;
    }
    t->entries = mem_alloc((n + 1) * sizeof(*t->entries));
    for (size_t s = 0; s < t->n_segs; s++) {
        const struct inverted *v = &t->segs[s]->terms;
        for (size_t k = 0; k < v->n_keys; k++) {
            struct entry e = {.key = inverted_key(v, k), .seg = (uint32_t)s, .at = (uint32_t)k};
            for (uint64_t p = v->post_at[k]; p < v->post_at[k + 1]; p++) {
                e.df += t->row_of[s][v->rows[p]] != UINT32_MAX ? 1 : 0;
            }
            if (e.df > 0 && e.key.len > 0 && e.key.len <= (size_t)4 * WORDS_LEN_MAX && !words_stop(e.key)) {
                t->entries[t->n_entries++] = e;
            }
        }
    }
    qsort(t->entries, t->n_entries, sizeof(*t->entries), entry_cmp);
}

/* The end of the run of entries with the key of the entry at `i`. */
static size_t same_key(const struct training *t, size_t i)
{
    size_t end = i + 1;
    while (end < t->n_entries && str_eq(t->entries[end].key, t->entries[i].key)) {
        end++;
    }
    return end;
}

/* The vocabulary: sums up df, and raises the least df that counts until the terms are few enough. */
static void choose_terms(struct training *t)
{
    size_t *firsts = mem_alloc((t->n_entries + 1) * sizeof(*firsts)), n = 0;
    for (size_t i = 0, end = 0; i < t->n_entries; i = end) {
        end = same_key(t, i);
        for (size_t k = i + 1; k < end; k++) {
            t->entries[i].df += t->entries[k].df;
        }
        if (t->entries[i].df >= LSA_DF_MIN && t->entries[i].df <= t->n_rows / LSA_COMMON_PART) {
            firsts[n++] = i;
        }
    }
    for (uint32_t least = LSA_DF_MIN + 1; n > LSA_TERMS_MAX; least++) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            if (t->entries[firsts[i]].df >= least) {
                firsts[kept++] = firsts[i];
            }
        }
        n = kept;
    }
    t->terms = firsts;
    t->n_terms = n;
    t->idf = mem_alloc((n + 1) * sizeof(*t->idf));
    for (size_t i = 0; i < n; i++) {
        double df = t->entries[firsts[i]].df;
        t->idf[i] = rint(log(1 + ((double)t->n_rows - df + 0.5) / (df + 0.5)) * 65536) / 65536;
    }
}

/* Calls for each entry of the matrix, by ascending terms; with `fill`, writes it where row_at says. */
static void each_cell(struct training *t, bool fill)
{
    for (size_t term = 0; term < t->n_terms; term++) {
        size_t end = same_key(t, t->terms[term]);
        for (size_t e = t->terms[term]; e < end; e++) {
            const struct inverted *v = &t->segs[t->entries[e].seg]->terms;
            const uint32_t *row_of = t->row_of[t->entries[e].seg];
            for (uint64_t p = v->post_at[t->entries[e].at]; p < v->post_at[t->entries[e].at + 1]; p++) {
                uint32_t row = row_of[v->rows[p]];
                if (row == UINT32_MAX) {
                    continue;
                }
                if (fill) {
                    t->column[t->row_at[row]] = (uint32_t)term;
                    t->value[t->row_at[row]] = lsa_tf(v->freq[p]) * t->idf[term];
                }
                t->row_at[row] += 1;
            }
        }
    }
}

static void make_matrix(struct training *t)
{
    t->row_at = mem_calloc(t->n_rows + 1, sizeof(*t->row_at));
    each_cell(t, false);
    size_t total = 0;
    for (size_t i = 0; i < t->n_rows; i++) {
        size_t n = t->row_at[i];
        t->row_at[i] = total;
        total += n;
    }
    t->column = mem_alloc((total + 1) * sizeof(*t->column));
    t->value = mem_alloc((total + 1) * sizeof(*t->value));
    each_cell(t, true);
    /* Each start has moved to its row's end, which is the next row's start. */
    memmove(t->row_at + 1, t->row_at, t->n_rows * sizeof(*t->row_at));
    t->row_at[0] = 0;
    for (size_t i = 0; i < t->n_rows; i++) {
        double sum = 0;
        for (size_t k = t->row_at[i]; k < t->row_at[i + 1]; k++) {
            sum += t->value[k] * t->value[k];
        }
        for (size_t k = t->row_at[i]; k < t->row_at[i + 1]; k++) {
            t->value[k] /= sqrt(sum);
        }
    }
}

/* ---- dense parts: matrices of `l` columns, by rows ---- */

static void axpy(double a, const double *restrict x, double *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] += a * x[i];
    }
}

/* out = A x, or out = A^T x when `transposed`. */
static void multiply(const struct training *t, bool transposed, const double *x, size_t l, double *out)
{
    memset(out, 0, (transposed ? t->n_terms : t->n_rows) * l * sizeof(*out));
    for (size_t row = 0; row < t->n_rows; row++) {
        for (size_t k = t->row_at[row]; k < t->row_at[row + 1]; k++) {
            size_t from = transposed ? row : t->column[k], to = transposed ? t->column[k] : row;
            axpy(t->value[k], x + from * l, out + to * l, l);
        }
    }
}

/* The upper half of y^T y, for n rows. */
static void gram(const double *y, size_t n, size_t l, double *g)
{
    memset(g, 0, l * l * sizeof(*g));
    for (size_t row = 0; row < n; row++) {
        const double *v = y + row * l;
        for (size_t i = 0; i < l; i++) {
            if (v[i] != 0) {
                axpy(v[i], v + i, g + i * l + i, l - i);
            }
        }
    }
}

/* Orthonormal columns by Cholesky QR: y^T y = R^T R, then y = y R^-1. A column that depends on those before it becomes
 * zero. The iteration does not need more orthogonality than one pass gives. */
static void orthonormalise(double *y, size_t n, size_t l, double *g)
{
    gram(y, n, l, g);
    double largest = 0;
    for (size_t i = 0; i < l; i++) {
        largest = g[i * l + i] > largest ? g[i * l + i] : largest;
    }
    for (size_t i = 0; i < l; i++) {
        double pivot = g[i * l + i];
        double inverse = pivot > largest * 1e-12 ? 1 / sqrt(pivot) : 0;
        for (size_t j = i; j < l; j++) {
            g[i * l + j] *= inverse;
        }
        for (size_t k = i + 1; k < l; k++) {
            axpy(-g[i * l + k], g + i * l + k, g + k * l + k, l - k);
        }
        g[i * l + i] = inverse; /* all that is needed of the diagonal */
    }
    for (size_t row = 0; row < n; row++) {
        double *v = y + row * l;
        for (size_t i = 0; i < l; i++) {
            v[i] *= g[i * l + i];
            axpy(-v[i], g + i * l + i + 1, v + i + 1, l - i - 1);
        }
    }
}

/* One Jacobi rotation of the symmetric g (full) and of the rows of v. */
static void rotate(double *g, double *v, size_t l, size_t p, size_t q)
{
    double apq = g[p * l + q];
    double theta = (g[q * l + q] - g[p * l + p]) / (2 * apq);
    double tangent = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(tangent * tangent + 1), s = tangent * c;
    for (size_t i = 0; i < l; i++) {
        double a = g[i * l + p], b = g[i * l + q];
        g[i * l + p] = c * a - s * b;
        g[i * l + q] = s * a + c * b;
    }
    for (size_t i = 0; i < l; i++) {
        double a = g[p * l + i], b = g[q * l + i];
        g[p * l + i] = c * a - s * b;
        g[q * l + i] = s * a + c * b;
        a = v[p * l + i];
        b = v[q * l + i];
        v[p * l + i] = c * a - s * b;
        v[q * l + i] = s * a + c * b;
    }
}

/* Eigenvalues (the diagonal of g) and eigenvectors (rows of v) of the symmetric g, whose upper half is given (cyclic
 * Jacobi: Golub and Van Loan, section 8.5). */
static void eigen(double *g, double *v, size_t l)
{
    double trace = 0;
    memset(v, 0, l * l * sizeof(*v));
    for (size_t i = 0; i < l; i++) {
        v[i * l + i] = 1;
        trace += g[i * l + i];
        for (size_t j = 0; j < i; j++) {
            g[i * l + j] = g[j * l + i];
        }
    }
    bool rotated = true;
    for (int sweep = 0; sweep < JACOBI_SWEEPS && rotated; sweep++) {
        rotated = false;
        for (size_t p = 0; p + 1 < l; p++) {
            for (size_t q = p + 1; q < l; q++) {
                if (fabs(g[p * l + q]) > trace * 1e-13) {
                    rotate(g, v, l, p, q);
                    rotated = true;
                }
            }
        }
    }
}

/* The places of the `k` largest eigenvalues, largest first; fewer when the rest are zero. */
static size_t largest(const double *g, size_t l, size_t k, size_t *places)
{
    size_t n = 0;
    bool *taken = mem_calloc(l + 1, sizeof(*taken));
    for (; n < k; n++) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < l; i++) {
            if (!taken[i] && (best == SIZE_MAX || g[i * l + i] > g[best * l + best])) {
                best = i;
            }
        }
        if (best == SIZE_MAX || !(g[best * l + best] > 1e-9) ||
            (n > 0 && g[best * l + best] < g[places[0] * l + places[0]] * 1e-9)) {
            break;
        }
        taken[best] = true;
        places[n] = best;
    }
    free(taken);
    return n;
}

/* Signs from a counter (splitmix64: Steele, Lea and Flood 2014): a Rademacher test matrix. */
static void random_signs(double *out, size_t n)
{
    uint64_t state = UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = 0; i < n; i++) {
        uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        out[i] = (z ^ (z >> 31)) >> 63 ? 1 : -1;
    }
}

/* z (terms * l) becomes A^T Q of an orthonormal Q that spans what A does to most of a random set of vectors. */
static bool find_range(const struct training *t, size_t l, double *z, double *g)
{
    double *y = mem_alloc((t->n_rows * l + 1) * sizeof(*y));
    bool go_on = true;
    random_signs(z, t->n_terms * l);
    for (int i = 0; i <= POWER_ITERATIONS && go_on; i++) {
        multiply(t, false, z, l, y);
        orthonormalise(y, t->n_rows, l, g);
        multiply(t, true, y, l, z);
        if (i < POWER_ITERATIONS) {
            orthonormalise(z, t->n_terms, l, g);
        }
        go_on = !cancelled(t);
    }
    free(y);
    return go_on;
}

/* ---- the artefact ---- */

static void put_keys(const struct training *t, struct buf *b)
{
    uint32_t at = 0;
    for (size_t i = 0; i < t->n_terms; i++) {
        buf_put(b, &at, sizeof(at));
        at += (uint32_t)t->entries[t->terms[i]].key.len;
    }
    buf_put(b, &at, sizeof(at));
    for (size_t i = 0; i < t->n_terms; i++) {
        struct str key = t->entries[t->terms[i]].key;
        buf_put(b, key.ptr, key.len);
    }
    static const char zeroes[4] = {0};
    buf_put(b, zeroes, (4 - at % 4) % 4);
}

/* Rows idf * (z u / sigma): singular vectors of the terms, weighted as a folded-in term is. */
static void put_rows(const struct training *t, const double *z, size_t l, const double *g, const double *u,
                     const size_t *places, size_t rank, struct buf *b)
{
    for (size_t term = 0; term < t->n_terms; term++) {
        for (size_t k = 0; k < rank; k++) {
            const double *axis = u + places[k] * l;
            double sum = 0;
            for (size_t i = 0; i < l; i++) {
                sum += z[term * l + i] * axis[i];
            }
            float value = (float)(t->idf[term] * sum / sqrt(g[places[k] * l + places[k]]));
            buf_put(b, &value, sizeof(value));
        }
    }
}

static struct lsa *make_artefact(const struct training *t, const double *z, size_t l, double *g, size_t rank)
{
    double *u = mem_alloc((l * l + 1) * sizeof(*u));
    size_t places[LSA_RANK];
    struct lsa *out = NULL;
    gram(z, t->n_terms, l, g);
    eigen(g, u, l);
    rank = largest(g, l, rank, places);
    if (rank > 0) {
        struct buf b = {0};
        struct lsa_header h = {.version = LSA_VERSION,
                               .dim = (uint32_t)t->dim,
                               .rank = (uint32_t)rank,
                               .n_terms = (uint32_t)t->n_terms,
                               .n_rows = t->n_rows};
        memcpy(h.magic, lsa_magic, sizeof(h.magic));
        for (size_t i = 0; i < t->n_terms; i++) {
            h.keys_len += t->entries[t->terms[i]].key.len;
        }
        buf_put(&b, &h, sizeof(h));
        put_keys(t, &b);
        put_rows(t, z, l, g, u, places, rank, &b);
        out = lsa_parse(&b, t->dim);
    }
    free(u);
    return out;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static enum assay_code learn(struct training *t, struct lsa **out, struct err *err)
{
    size_t rank = least(least(LSA_RANK, t->dim), least(t->n_rows / ROWS_PER_RANK, t->n_terms));
    size_t l = least(rank + OVERSAMPLING, least(t->n_rows, t->n_terms));
    if (rank < 1) {
        return err_set(err, ASSAY_INVALID, NULL, "the corpus has too few words in common to learn from");
    }
    make_matrix(t);
    double *z = mem_alloc((t->n_terms * l + 1) * sizeof(*z)), *g = mem_alloc((l * l + 1) * sizeof(*g));
    enum assay_code code = ASSAY_OK;
    if (!find_range(t, l, z, g)) {
        code = err_set(err, ASSAY_UNAVAILABLE, NULL, "the training was cancelled");
    } else if ((*out = make_artefact(t, z, l, g, rank)) == NULL) {
        code = err_set(err, ASSAY_INVALID, NULL, "the corpus is too uniform to learn from");
    }
    free(z);
    free(g);
    return code;
}

enum assay_code lsa_train(struct segment *const *segs, const uint64_t *const *keep, size_t n, size_t dim,
                          const atomic_bool *cancel, struct lsa **out, struct err *err)
{
    struct training t = {.segs = segs, .keep = keep, .n_segs = n, .dim = dim, .cancel = cancel};
    choose_rows(&t);
    collect_terms(&t);
    choose_terms(&t);
    enum assay_code code = learn(&t, out, err);
    for (size_t s = 0; s < n; s++) {
        free(t.row_of[s]);
    }
    free(t.row_of);
    free(t.entries);
    free(t.terms);
    free(t.idf);
    free(t.row_at);
    free(t.column);
    free(t.value);
    return code;
}
