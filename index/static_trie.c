#include "index/static_trie.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

struct static_trie {
    uint8_t *labels; /* the byte that leads to a node */
    uint32_t *first; /* its first child; the last ends where the next node's children begin. n + 1 entries */
    uint32_t *ids;
    size_t n, cap;
};

/* Which pieces a node stands for while the trie is made: from..to, all equal in their first bytes. */
struct range {
    size_t from, to;
};

static int piece_order(const void *pa, const void *pb)
{
    const struct static_piece *a = pa, *b = pb;
    size_t n = a->text.len < b->text.len ? a->text.len : b->text.len;
    int cmp = n > 0 ? memcmp(a->text.ptr, b->text.ptr, n) : 0;
    if (cmp != 0) {
        return cmp;
    }
    if (a->text.len != b->text.len) {
        return a->text.len < b->text.len ? -1 : 1;
    }
    return (a->id > b->id) - (a->id < b->id);
}

static void add_node(struct static_trie *t, struct range **ranges, uint8_t label, size_t from, size_t to)
{
    if (*ranges == NULL || t->n + 1 >= t->cap) {
        t->cap = t->cap * 2 + 64;
        t->labels = mem_realloc(t->labels, t->cap);
        t->first = mem_realloc(t->first, t->cap * sizeof(*t->first));
        t->ids = mem_realloc(t->ids, t->cap * sizeof(*t->ids));
        *ranges = mem_realloc(*ranges, t->cap * sizeof(**ranges));
    }
    assert(t->n < STATIC_NONE - 1);
    t->labels[t->n] = label;
    t->ids[t->n] = STATIC_NONE;
    (*ranges)[t->n++] = (struct range){from, to};
}

/* Gives a node its id and its children. `depth` is how many bytes its pieces have in common. */
static void expand(struct static_trie *t, struct range **ranges, const struct static_piece *pieces, size_t node,
                   size_t depth)
{
    struct range r = (*ranges)[node];
    while (r.from < r.to && pieces[r.from].text.len == depth) {
        t->ids[node] = pieces[r.from++].id;
    }
    t->first[node] = (uint32_t)t->n;
    while (r.from < r.to) {
        unsigned char label = (unsigned char)pieces[r.from].text.ptr[depth];
        size_t to = r.from + 1;
        while (to < r.to && (unsigned char)pieces[to].text.ptr[depth] == label) {
            to++;
        }
        add_node(t, ranges, label, r.from, to);
        r.from = to;
    }
}

struct static_trie *static_trie_new(struct static_piece *pieces, size_t n)
{
    struct static_trie *t = mem_calloc(1, sizeof(*t));
    struct range *ranges = NULL;
    if (n > 0) {
        qsort(pieces, n, sizeof(*pieces), piece_order);
    }
    add_node(t, &ranges, 0, 0, n);
    for (size_t node = 0, depth = 0, level_end = 1; node < t->n; node++) {
        if (node == level_end) {
            depth++;
            level_end = t->n;
        }
        expand(t, &ranges, pieces, node, depth);
    }
    t->first[t->n] = (uint32_t)t->n;
    free(ranges);
    return t;
}

void static_trie_free(struct static_trie *t)
{
    if (t != NULL) {
        free(t->labels);
        free(t->first);
        free(t->ids);
        free(t);
    }
}

uint32_t static_trie_step(const struct static_trie *t, uint32_t node, unsigned char byte)
{
    size_t from = t->first[node], n = t->first[node + 1] - from;
    const uint8_t *at = n > 0 ? memchr(t->labels + from, byte, n) : NULL;
    return at != NULL ? (uint32_t)(at - t->labels) : STATIC_NONE;
}

uint32_t static_trie_walk(const struct static_trie *t, uint32_t node, struct str text)
{
    for (size_t i = 0; i < text.len && node != STATIC_NONE; i++) {
        node = static_trie_step(t, node, (unsigned char)text.ptr[i]);
    }
    return node;
}

uint32_t static_trie_id(const struct static_trie *t, uint32_t node)
{
    return t->ids[node];
}

uint32_t static_trie_longest(const struct static_trie *t, uint32_t node, struct str text, size_t *len)
{
    uint32_t best = STATIC_NONE;
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        node = static_trie_step(t, node, (unsigned char)text.ptr[i]);
        if (node == STATIC_NONE) {
            break;
        }
        if (t->ids[node] != STATIC_NONE) {
            best = t->ids[node];
            *len = i + 1;
        }
    }
    return best;
}
