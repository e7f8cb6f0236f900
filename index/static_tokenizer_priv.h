/*
 * The insides of a tokenizer, shared by what reads it and what runs it. Private to static_tokenizer*.c.
 */
#ifndef ASSAY_INDEX_STATIC_TOKENIZER_PRIV_H
#define ASSAY_INDEX_STATIC_TOKENIZER_PRIV_H

#include "index/static_text.h"
#include "index/static_tokenizer.h"

/* A token that is found in the text before the model sees it. */
struct added_token {
    uint32_t id;
    bool single_word, lstrip, rstrip;
};

/* Tokens looked for in the text as it came, or in its normal form. A piece's id in the trie is a place in `tokens`. */
struct added_tokens {
    struct static_trie *trie;
    struct added_token *tokens;
    size_t n;
    bool starts[256]; /* bytes that one of them begins with */
};

struct static_tokenizer {
    struct arena *arena; /* holds everything but the tries */
    const struct static_normaliser *normaliser;
    const struct static_splitter *splitter;
    struct added_tokens raw, normalised;
    struct static_trie *vocabulary;
    size_t size, median;
    uint32_t unknown;
    bool unigram;
    /* WordPiece */
    uint32_t continuation; /* node of the prefix of pieces within a word; STATIC_NONE: no piece has it */
    size_t word_max;       /* characters of a word; a longer one is unknown */
    /* Unigram */
    double *scores; /* log probability by id */
    double unknown_score;
    bool byte_fallback;
    uint32_t bytes[256]; /* ids of <0x00> to <0xFF>; with byte_fallback all are there */
};

#endif
