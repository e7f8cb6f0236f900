/*
 * Latent semantic analysis: the built-in embedder as it learned from a corpus (Deerwester et al. 1990). The chunks'
 * stemmed words, weighted by (1 + ln tf) * idf and brought to length 1, form a sparse matrix; its dominant right
 * singular vectors, by a randomised SVD with power iterations (Halko, Martinsson and Tropp 2011), turn words that keep
 * the same company into near vectors. A text is folded in as the sum of its words' rows.
 *
 * An artefact is immutable, reference-counted and one block of bytes, the same in memory and in a file; its id is the
 * SHA-256 of them. Equal chunks give equal bytes on every machine: the training is single-threaded, in double precision
 * without fused multiply-add, in the order of chunk numbers and of the terms' bytes, however rows are spread over
 * segments; and what comes out of a logarithm is rounded to 2^-16, since C libraries differ in its last bit.
 */
#ifndef ASSAY_INDEX_LSA_H
#define ASSAY_INDEX_LSA_H

#include <stdatomic.h>

#include "base/digest.h"
#include "index/segment.h"

enum {
    LSA_RANK = 128,        /* dimensions at most; the rest of a vector is zero */
    LSA_ROWS_MAX = 16384,  /* chunks looked at; of more an even sample */
    LSA_TERMS_MAX = 16384, /* vocabulary: the most frequent ones */
    LSA_DF_MIN = 2,        /* a word of one chunk alone has no company */
    LSA_COMMON_PART = 2    /* a word of more than one chunk in this many tells nothing */
};

struct lsa;
struct lsa *lsa_ref(struct lsa *l);
void lsa_unref(struct lsa *l); /* NULL is ignored */
void lsa_id(const struct lsa *l, struct digest *out);
size_t lsa_bytes(const struct lsa *l);
/* How many of a vector's leading numbers may be other than zero. */
size_t lsa_rank(const struct lsa *l);

/* Learns from the rows set in keep[i] of each segment. ASSAY_INVALID when they are too few or too alike to learn from;
 * ASSAY_UNAVAILABLE when *cancel became true. Takes seconds at most; any thread. */
enum assay_code lsa_train(struct segment *const *segs, const uint64_t *const *keep, size_t n, size_t dim,
                          const atomic_bool *cancel, struct lsa **out, struct err *err) MUST_USE;

/* The unit vectors (dim floats each, at least the rank) of all rows of a dictionary of `n` rows. A row without a known
 * word gets a fixed direction. Equal rows give equal bits, whatever else is in the dictionary. */
void lsa_embed_rows(const struct lsa *l, const struct inverted *terms, size_t n, size_t dim, float *out);

/* A query: begins with zeroes in `sum` (dim floats), each term is added, then it is brought to length 1; false when no
 * term was known. */
void lsa_query_term(const struct lsa *l, struct str stem, unsigned count, float *sum);
bool lsa_query_finish(const struct lsa *l, float *sum) MUST_USE;

/* Takes over `bytes`; NULL when they are not an artefact of that dimension. */
struct lsa *lsa_parse(struct buf *bytes, size_t dim);

/* Named by the first bytes of the id, checked by all of it. */
enum { LSA_FILE_NAME = 32 };
void lsa_file_name(const struct digest *id, char out[LSA_FILE_NAME]);
enum assay_code lsa_file_write(const struct lsa *l, const char *dir, struct err *err) MUST_USE;
/* NULL when missing or damaged; then *why says what, a static string. */
struct lsa *lsa_file_read(const char *dir, const struct digest *id, size_t dim, const char **why);

/* Private to lsa*.c. */
struct lsa_header {
    char magic[8];
    uint32_t version, dim, rank, n_terms;
    uint64_t n_rows, keys_len; /* n_rows: that it was trained on */
}; /* then: uint32_t key_at[n_terms + 1]; keys, filled up to a multiple of 4; float rows[n_terms * rank] */
extern const char lsa_magic[8];
enum { LSA_VERSION = 1 };
/* 1 + ln(freq / SEG_UNIT), rounded; 1 for less than a whole word. */
double lsa_tf(uint32_t freq);

#endif
