/*
 * The built-in embedder: no model, no network. A text becomes hashed features (stemmed words, word bigrams, character
 * n-grams of words), each with a sign and several buckets, weighted, summed into `dim` floats and normalised to length
 * 1 (feature hashing: Weinberger et al. 2009; random indexing). A chunk's vector depends on its text alone; the corpus'
 * inverse document frequencies weigh the query's side, so that the corpus may grow without touching a stored vector.
 * Deterministic on any machine. Pure; a context is for one thread at a time.
 */
#ifndef ASSAY_INDEX_EMBED_H
#define ASSAY_INDEX_EMBED_H

#include "base/arena.h"
#include "base/digest.h"
#include "base/str.h"
#include "index/words.h"

enum { EMBED_BUILTIN_DIM = 384, EMBED_DIM_MAX = 4096 };

/* Names the algorithm and its parameters: another id means other vectors. */
void embed_builtin_id(int dim, struct digest *out);

struct embedder;
struct embedder *embedder_new(void);
void embedder_free(struct embedder *e); /* NULL is ignored */

/* Inverse document frequency of a stemmed word, >= 0. */
typedef double embed_idf_fn(void *ctx, struct str stem);

/* The unit vector of a chunk. Title and heading lend context at a modest weight. A text without any word gets a fixed
 * direction, so that every chunk has a vector. */
void embed_chunk(struct embedder *e, struct words *w, struct str title, struct str heading, struct str text, size_t dim,
                 float *out);
/* The unit vector of a query; false when it has no word. */
bool embed_query(struct embedder *e, struct words *w, struct str text, size_t dim, embed_idf_fn *idf, void *ctx,
                 float *out) MUST_USE;

#endif
