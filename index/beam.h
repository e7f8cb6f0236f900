/*
 * Search in an HNSW graph that FAISS has built: the algorithm of Malkov and Yashunin ("Efficient and robust approximate
 * nearest neighbor search using HNSW", IEEE TPAMI 2020), algorithms 2 and 5, over FAISS's arrays. Beside FAISS's own
 * search it walks by 8-bit codes and scores only the best of the beam by the vectors themselves, fetches into the cache
 * ahead, scores four at a time, and with a filter walks over what is allowed alone, looking through hidden rows at
 * their neighbours (as ACORN does: Patel et al., SIGMOD 2024), so that a filter costs neither recall nor a beam that
 * grows with what it hides. Pure, thread-safe.
 */
#ifndef ASSAY_INDEX_BEAM_H
#define ASSAY_INDEX_BEAM_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct code8_row;
struct cold;

/* What a graph is over: n * dim floats that must stay in place until graph_free (they are borrowed, not copied), and
 * their 8-bit codes, by which rows are compared while it is built (NULL: by the vectors) and when it is walked. */
struct graph_rows {
    const float *vectors;
    size_t n, dim;
    const uint8_t *codes;
    const struct code8_row *code_rows;
};

/* A graph's links and its vectors; all borrowed. */
struct beam_graph {
    const int32_t *links;  /* of every row and level; -1 ends a list early */
    const size_t *offsets; /* where a row's links begin; those of the ground level come first */
    size_t ground, upper;  /* room for links on the ground level, and on each above it */
    int32_t entry;         /* row to begin at; -1: the graph is empty */
    int max_level;         /* of the entry */
    size_t n, dim;
    const float *vectors;         /* n * dim, unit length */
    const uint8_t *codes;         /* n * code8_stride(dim): the walk's own scores are by these (NULL: by the vectors) */
    const struct code8_row *rows; /* n, of the codes */
    const struct cold *cold;      /* with codes: where to read the vectors of the best instead; NULL: at `vectors` */
};

/* The at most k best rows by kernel_dot with a beam of `ef` (>= k), best first; rows and scores have room for k.
 * `allowed`: a bitmap of the rows that may be found, NULL for all. Returns how many were found: fewer than there are
 * when the beam starved. Working memory comes from `a` and goes back there. */
size_t beam_search(const struct beam_graph *g, const float *query, size_t k, size_t ef, const uint64_t *allowed,
                   struct arena *a, int64_t *rows, float *scores);

#endif
