#include "index/embed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "index/kernel.h"

/* Any change below changes vectors: raise the number in embed_builtin_id with it. */
enum { BUCKETS = 4 /* per feature */, GRAM = 4 /* characters */ };
#define WEIGHT_WORD 1.0
#define WEIGHT_BIGRAM 0.25
#define WEIGHT_GRAM 0.12
#define WEIGHT_CONTEXT 0.6 /* of a word in title or heading, beside 1 in the text */
#define GLUE_WEIGHT 0.1 /* of a stop word in a chunk's vector: hardly any, but a text of them alone has a direction */

enum feature_kind { FEATURE_WORD = 1, FEATURE_BIGRAM, FEATURE_GRAM };

/* A feature with what it has gathered so far. */
struct feature {
    uint64_t hash;
    float count, weight;
};

/* Features are kept in the order of their first occurrence, so that they are always summed in the same order. */
struct embedder {
    struct feature *features;
    uint32_t *table; /* open addressing over hashes: place in `features` + 1 */
    size_t size, n;
    uint64_t previous; /* hash of the last word, for bigrams; 0: none */
    double previous_idf;
    double context; /* what an occurrence counts */
    struct words *words;
    embed_idf_fn *idf;
    void *idf_ctx;
};

void embed_builtin_id(int dim, struct digest *out)
{
    char name[128];
    int n = snprintf(name, sizeof(name), "assay hashed features 1; dim %d; buckets %d; grams %d", dim, BUCKETS, GRAM);
    digest_sha256(name, (size_t)n, out);
}

static void make_table(struct embedder *e, size_t size)
{
    free(e->table);
    e->size = size;
    e->table = mem_calloc(size, sizeof(*e->table));
    e->features = mem_realloc(e->features, (size / 2 + 1) * sizeof(*e->features));
}

struct embedder *embedder_new(void)
{
    struct embedder *e = mem_calloc(1, sizeof(*e));
    make_table(e, 1024);
    return e;
}

void embedder_free(struct embedder *e)
{
    if (e != NULL) {
        free(e->features);
        free(e->table);
        free(e);
    }
}

/* The place in the table of a hash, or the free one where it belongs. */
static size_t probe(const struct embedder *e, uint64_t hash)
{
    size_t at = hash & (e->size - 1);
    while (e->table[at] != 0 && e->features[e->table[at] - 1].hash != hash) {
        at = (at + 1) & (e->size - 1);
    }
    return at;
}

static void note(struct embedder *e, uint64_t hash, double weight)
{
    if (e->n * 2 >= e->size) {
        make_table(e, e->size * 2);
        for (size_t i = 0; i < e->n; i++) {
            e->table[probe(e, e->features[i].hash)] = (uint32_t)i + 1;
        }
    }
    size_t at = probe(e, hash);
    if (e->table[at] == 0) {
        e->features[e->n++] = (struct feature){.hash = hash};
        e->table[at] = (uint32_t)e->n;
    }
    struct feature *f = &e->features[e->table[at] - 1];
    f->count += (float)e->context;
    f->weight = (float)weight > f->weight ? (float)weight : f->weight;
}

static void note_grams(struct embedder *e, struct str stem, double weight)
{
    char framed[4 * WORDS_LEN_MAX + 2];
    size_t n = stem.len < sizeof(framed) - 2 ? stem.len : sizeof(framed) - 2;
    framed[0] = '<';
    memcpy(framed + 1, stem.ptr, n);
    framed[n + 1] = '>';
    n += 2;
    for (size_t i = 0; i + GRAM <= n; i++) {
        note(e, XXH3_64bits_withSeed(framed + i, GRAM, FEATURE_GRAM), weight);
    }
}

static void note_word(void *ctx, const struct word *word)
{
    struct embedder *e = ctx;
    bool glue = words_stop(word->folded);
    struct str stem = words_stem(e->words, WORDS_LANG_ENGLISH, word);
    if (stem.len == 0) {
        return;
    }
    uint64_t hash = XXH3_64bits_withSeed(stem.ptr, stem.len, FEATURE_WORD);
    double idf = glue ? GLUE_WEIGHT : e->idf != NULL ? e->idf(e->idf_ctx, stem) : 1;
    note(e, hash, WEIGHT_WORD * idf);
    if (glue) {
        return;
    }
    if (e->previous != 0 && !word->part) {
        uint64_t pair[2] = {e->previous, hash};
        note(e, XXH3_64bits_withSeed(pair, sizeof(pair), FEATURE_BIGRAM), WEIGHT_BIGRAM * (idf + e->previous_idf) / 2);
    }
    if (!word->part) {
        e->previous = hash;
        e->previous_idf = idf;
    }
    if (!word->pair) {
        note_grams(e, stem, WEIGHT_GRAM * idf);
    }
}

/* Spreads every gathered feature over its buckets. A count beyond one adds by its square root. */
static bool spread(struct embedder *e, size_t dim, float *out)
{
    double sum[EMBED_DIM_MAX];
    memset(sum, 0, dim * sizeof(*sum));
    for (size_t i = 0; i < e->n; i++) {
        const struct feature *f = &e->features[i];
        double value = (double)f->weight * (f->count > 1 ? sqrt((double)f->count) : (double)f->count);
        for (uint64_t b = 0; b < BUCKETS; b++) {
            uint64_t h = XXH3_64bits_withSeed(&f->hash, sizeof(f->hash), b + 1);
            sum[(h >> 1) % dim] += h & 1 ? value : -value;
        }
    }
    for (size_t i = 0; i < dim; i++) {
        out[i] = (float)sum[i];
    }
    return kernel_normalise(out, dim, out, NULL) == ASSAY_OK;
}

static void begin(struct embedder *e, struct words *w, embed_idf_fn *idf, void *ctx)
{
    memset(e->table, 0, e->size * sizeof(*e->table));
    e->n = 0;
    e->words = w;
    e->idf = idf;
    e->idf_ctx = ctx;
}

static void gather(struct embedder *e, struct str text, double context)
{
    e->previous = 0;
    e->context = context;
    words_each(e->words, text, note_word, e);
}

void embed_chunk(struct embedder *e, struct words *w, struct str title, struct str heading, struct str text, size_t dim,
                 float *out)
{
    begin(e, w, NULL, NULL);
    gather(e, title, WEIGHT_CONTEXT);
    gather(e, heading, WEIGHT_CONTEXT);
    gather(e, text, 1);
    if (!spread(e, dim, out)) {
        memset(out, 0, dim * sizeof(*out));
        out[0] = 1;
    }
}

bool embed_query(struct embedder *e, struct words *w, struct str text, size_t dim, embed_idf_fn *idf, void *ctx,
                 float *out)
{
    begin(e, w, idf, ctx);
    gather(e, text, 1);
    return e->n > 0 && spread(e, dim, out);
}
