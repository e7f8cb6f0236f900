/*
 * Fusing the ranked lists of the legs into one, and keeping the best of many. Two methods: weighted reciprocal rank
 * fusion (Cormack, Clarke and Buettcher, SIGIR 2009), and the weighted sum of scores that were brought to 0..1 (CombSUM
 * over min-max normalised scores: Fox and Shaw, TREC-2 1994; Lee, SIGIR 1997). Pure, thread-safe. Every order here is
 * total: score descending, then chunk id ascending; so equal input gives equal output wherever it runs.
 */
#ifndef ASSAY_INDEX_FUSE_H
#define ASSAY_INDEX_FUSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

/* The constant of the paper: how slowly a rank loses weight. */
enum { FUSE_K = 60 };

struct candidate {
    float score;
    uint32_t seg, row;
    const struct digest *id; /* of the chunk: breaks ties */
};

/* Keeps the `cap` best of what is offered. */
struct top {
    struct candidate *items; /* a heap whose root is the worst; after top_sort best first */
    size_t n, cap;
};
void top_offer(struct top *t, const struct candidate *c);
/* A score that an offer has to reach to be kept; -INFINITY while there is room. */
float top_floor(const struct top *t);
void top_sort(struct top *t);

struct fused {
    double score, base; /* base: as fused, before anything scales it */
    uint32_t seg, row;
    const struct digest *id;
    int ranks[2]; /* 1-based in either list; 0: not in it */
    float scores[2];
};
enum fuse_method { FUSE_RRF, FUSE_WEIGHTED, FUSE_ADAPTIVE };
struct fuse_rule {
    enum fuse_method method;
    double k; /* of FUSE_RRF */
    double weights[2];
};
/* Score of an item: the sum over the lists that have it of
 *   FUSE_RRF       weight / (k + rank)
 *   FUSE_WEIGHTED  weight * (score - lowest) / (highest - lowest) of that list; weight when all its scores are equal
 *   FUSE_ADAPTIVE  the same: who calls has multiplied a weight by how far the lists agree
 * `out` holds lists[0].n + lists[1].n items; returns how many there are, best first. Both lists are sorted. */
size_t fuse_lists(const struct top lists[2], const struct fuse_rule *rule, struct fused *out);
/* Sorts by score descending, then by chunk id. */
void fuse_sort(struct fused *items, size_t n);

#endif
