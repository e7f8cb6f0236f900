/*
 * A Hugging Face tokenizer (tokenizer.json) with a WordPiece or Unigram model: text to token ids, as the tokenizers
 * library gives them without special tokens. WordPiece: the longest piece first (Schuster and Nakajima 2012). Unigram:
 * the most probable segmentation (Kudo 2018), by Viterbi. What is not supported is refused when it is read.
 * Immutable once read; encoding is thread-safe.
 */
#ifndef ASSAY_INDEX_STATIC_TOKENIZER_H
#define ASSAY_INDEX_STATIC_TOKENIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "index/static_trie.h"

enum {
    STATIC_JSON_MAX = 1 << 27,   /* bytes of tokenizer.json */
    STATIC_VALUES_MAX = 8000000, /* values in it */
    STATIC_VOCABULARY_MAX = 1 << 21,
    STATIC_PIECE_MAX = 1024, /* bytes of a piece; longer ones are refused */
    STATIC_ADDED_MAX = 65536
};

struct static_tokenizer;
/* Reads the text of a tokenizer.json. ASSAY_INVALID ("model-unusable") with what is wrong. */
enum assay_code static_tokenizer_read(struct str json, struct static_tokenizer **out, struct err *err) MUST_USE;
void static_tokenizer_free(struct static_tokenizer *t); /* NULL is ignored */

/* One more than the highest id. */
size_t static_tokenizer_size(const struct static_tokenizer *t);
/* The id of unknown pieces; STATIC_NONE when the vocabulary has none. */
uint32_t static_tokenizer_unknown(const struct static_tokenizer *t);
/* The median length of the vocabulary's tokens, in characters, rounded down. */
size_t static_tokenizer_median(const struct static_tokenizer *t);

/* Writes at most `max` ids and returns how many; those of unknown pieces are among them. 0 for text that is not UTF-8.
 */
size_t static_tokenizer_encode(const struct static_tokenizer *t, struct str text, size_t max, uint32_t *ids);

#endif
