/*
 * An immutable dictionary of byte strings in order, each with the rows it occurs in: the terms of a segment (with term
 * frequencies), and its metadata values (without). Keys are compared as unsigned bytes.
 *
 * It is five flat arrays, so that a file holds it as it is in memory.
 */
#ifndef ASSAY_INDEX_INVERTED_H
#define ASSAY_INDEX_INVERTED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { INVERTED_KEY_MAX = 65535 };

struct inverted {
    size_t n_keys, n_posts;
    const uint64_t *prefix; /* n_keys: the first eight bytes of each key, big-endian: most comparisons end here */
    const uint64_t *key_at; /* n_keys + 1: where the bytes of each key start */
    const char *keys;
    const uint64_t *post_at; /* n_keys + 1 */
    const uint32_t *rows;    /* n_posts, ascending within a key */
    const uint16_t *freq;    /* n_posts, or NULL */
};

struct str inverted_key(const struct inverted *v, size_t i);
/* The first key that is not less than `key` (n_keys: none). */
size_t inverted_lower(const struct inverted *v, struct str key);
bool inverted_find(const struct inverted *v, struct str key, size_t *at) MUST_USE;

/* Whether offsets, order and rows are within bounds: for what came from a file. */
bool inverted_valid(const struct inverted *v, size_t keys_bytes, size_t n_rows) MUST_USE;

/* Gathers occurrences in ascending order of rows; the same key in the same row adds up its frequency (at most 65535).
 */
struct inverted_builder;
struct inverted_builder *inverted_builder_new(void);
void inverted_builder_free(struct inverted_builder *b);
void inverted_add(struct inverted_builder *b, struct str key, uint32_t row, uint16_t freq);

/* One input of a merge: old row r becomes map[r]; INVERTED_DROPPED leaves it out. */
#define INVERTED_DROPPED UINT32_MAX
struct inverted_input {
    const struct inverted *from;
    const uint32_t *map;
};

/* The arrays of a finished dictionary, malloc'd, to be handed to a segment. */
struct inverted_owned {
    struct inverted v;
    struct buf prefix, key_at, keys, post_at, rows, freq;
};
void inverted_finish(struct inverted_builder *b, bool with_freq, struct inverted_owned *out);
void inverted_merge(const struct inverted_input *in, size_t n, bool with_freq, struct inverted_owned *out);

#endif
