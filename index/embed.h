/*
 * The built-in embedder: no model, no network. A text becomes hashed features (stemmed words, word bigrams, character
 * n-grams of words), each with a sign and several buckets, weighted, summed into `dim` floats and normalised to length 1
 * (feature hashing: Weinberger et al. 2009; random indexing). A chunk's vector depends on its text alone; the corpus'
 * inverse document frequencies weigh the query's side, so that the corpus may grow without touching a stored vector.
 * Deterministic on any machine. Pure, thread-safe.
 */
#ifndef ASSAY_INDEX_EMBED_H
#define ASSAY_INDEX_EMBED_H

#include "base/arena.h"
#include "base/digest.h"
#include "base/str.h"

enum { EMBED_BUILTIN_DIM = 384 };

/* Names the algorithm and its parameters: another id means other vectors. */
void embed_builtin_id(int dim, struct digest *out);

#endif
