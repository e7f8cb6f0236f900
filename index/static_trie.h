/*
 * The pieces of a vocabulary as a byte trie: read-only once made, in four arrays, nodes in breadth-first order so that
 * the children of a node lie side by side. A walk costs one short scan per byte. Thread-safe.
 */
#ifndef ASSAY_INDEX_STATIC_TRIE_H
#define ASSAY_INDEX_STATIC_TRIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { STATIC_TRIE_ROOT = 0 };
#define STATIC_NONE UINT32_MAX /* no node, no id */

struct static_piece {
    struct str text; /* not empty */
    uint32_t id;     /* below STATIC_NONE */
};

struct static_trie;
/* Sorts `pieces`; their bytes are not needed afterwards. Of equal pieces the one with the highest id counts. */
struct static_trie *static_trie_new(struct static_piece *pieces, size_t n);
void static_trie_free(struct static_trie *t); /* NULL is ignored */

/* The child of `node` by `byte`, or STATIC_NONE. */
uint32_t static_trie_step(const struct static_trie *t, uint32_t node, unsigned char byte);
/* The node that `text` leads to from `node`, or STATIC_NONE. */
uint32_t static_trie_walk(const struct static_trie *t, uint32_t node, struct str text);
/* The id of the piece that ends at `node`, or STATIC_NONE. */
uint32_t static_trie_id(const struct static_trie *t, uint32_t node);

/* The longest piece that `text` begins with, walked from `node`: its id and, in *len, its bytes beyond that node;
 * STATIC_NONE when there is none. */
uint32_t static_trie_longest(const struct static_trie *t, uint32_t node, struct str text, size_t *len);

#endif
