/*
 * A segment: an immutable set of rows (chunks) in ascending order of their chunk numbers, with everything that never
 * changes about them: columns, strings, unit vectors, terms, metadata values and, once sealed, an HNSW graph. What does
 * change (state, access, deadline) is beside it, in visible.h.
 *
 * Its parts are flat arrays ("sections"), the same in memory and in a file. Reference-counted, any thread.
 */
#ifndef ASSAY_INDEX_SEGMENT_H
#define ASSAY_INDEX_SEGMENT_H

#include <stdatomic.h>

#include "index/bounds.h"
#include "index/code8.h"
#include "index/cold.h"
#include "index/diskfile.h"
#include "index/faiss_index.h"
#include "index/inverted.h"
#include "index/vindex.h"
#include "index/words.h"

/* Term frequencies and lengths count in eighths: a word of the text weighs 8 of them, one of title or heading more. */
enum { SEG_UNIT = 8, SEG_UNIT_TITLE = 24, SEG_UNIT_HEADING = 16 };

enum seg_string {
    SEG_KEY,
    SEG_URI,
    SEG_TITLE,
    SEG_TEXT,
    SEG_HEADING,
    SEG_METADATA,
    SEG_MEDIA_TYPE,
    SEG_LANGUAGE,
    SEG_RUN,
    SEG_GROUP,
    SEG_STRINGS
};

/* The fixed part of a row. Its strings lie one after another in the heap, from `at`; length SEG_ABSENT: none. */
#define SEG_ABSENT UINT32_MAX
struct seg_row {
    struct digest chunk, version, pipeline;
    uint64_t at, from, to;
    uint32_t len[SEG_STRINGS];
    int32_t page;
    uint32_t zero; /* fills the hole, so that equal rows are equal bytes */
};

enum seg_section {
    SEC_CHUNK,    /* int64_t n, ascending */
    SEC_DOCUMENT, /* int64_t n */
    SEC_BY_DOC,   /* uint32_t n: rows in order of (document, row) */
    SEC_SOURCE,   /* int32_t n */
    SEC_QUALITY,  /* double n */
    SEC_LENGTH,   /* uint32_t n: words, in eighths */
    SEC_LANG,     /* uint8_t n: words_lang() */
    SEC_WORD_AT,  /* uint64_t n + 1: where each row's words start in SEC_WORDS */
    SEC_WORDS,    /* uint16_t: segment_word() of every word of title, heading and text in order, SEG_BREAK between */
    SEC_ROWS,     /* struct seg_row n */
    SEC_HEAP,     /* strings */
    SEC_VECTORS,  /* float n * dim, unit length */
    SEC_TERMS,    /* five or six arrays of a struct inverted, in its order */
    SEC_ATTRS = SEC_TERMS + 6,
    SEC_CODES =
        SEC_ATTRS + 5, /* uint8_t n * code8_stride(dim): the vectors in 8 bits; nothing in a small flat segment */
    SEC_CODE_ROWS,     /* struct code8_row n */
    SEC_COUNT
};

/* What the manifest knows of a segment's file. */
struct segment_file {
    uint64_t number, len;
    struct filesum sum;
};

struct segment {
    atomic_int refs;
    size_t n;
    size_t dim;     /* of its vectors: at most the collection's; beyond it they are zero */
    uint32_t langs; /* bit per words_lang() of its rows */
    const int64_t *chunk, *document;
    const uint32_t *by_doc;
    const int32_t *source;
    const double *quality;
    const uint32_t *length;
    const uint8_t *lang;
    const uint64_t *word_at;
    const uint16_t *words;
    const struct seg_row *rows;
    const char *heap;
    const float *vectors;
    const uint8_t *codes; /* NULL: none */
    const struct code8_row *code_rows;
    struct inverted terms, attrs;
    struct bounds *bounds; /* of the terms' scores; NULL: too few rows to prune anything */
    struct graph *graph;   /* NULL: searched exactly */
    struct buf sec[SEC_COUNT];
    /* Of a segment from a file: what sec[] points into and does not own. Mapped and never written, or the fuzzer's. */
    struct mapping map;
    struct buf blob;
    struct cold cold;         /* its vectors, when searches are to read them from the file; it owns the descriptor */
    struct segment_file file; /* where it is on disk; number 0: nowhere yet */
};

/* A word in a row's sequence of words: 16 bits of its stem's hash, never SEG_BREAK. Two stems may share one, so what is
 * found by it is either confirmed by the text or only a matter of degree. */
#define SEG_BREAK UINT16_C(0)
uint16_t segment_word(struct str stem);

void segment_ref(struct segment *s);
void segment_unref(struct segment *s); /* NULL is ignored; frees with the last reference */

struct str segment_string(const struct segment *s, size_t row, enum seg_string which);
/* Row of a chunk number; false when absent. */
bool segment_find(const struct segment *s, int64_t chunk, size_t *row) MUST_USE;
/* The places in by_doc of a document's rows: *from .. *to. */
void segment_document(const struct segment *s, int64_t document, size_t *from, size_t *to);
/* Memory of its own, and what is mapped from its file (which the system may drop and read again) but cold vectors. */
size_t segment_heap_bytes(const struct segment *s);
size_t segment_mapped_bytes(const struct segment *s);

/* Points the typed members at sec[] and checks sizes, order and bounds; `n`, `dim` are set. False: not a segment. */
bool segment_bind(struct segment *s) MUST_USE;
/* Makes the codes of a segment that has none, once its vectors are what they will be. The owner's alone. */
void segment_code(struct segment *s);
/* Points at the codes, when there are any, and lets the graph be walked by them. */
void segment_use_codes(struct segment *s);

/* Makes a flat segment of n VINDEX_ADD changes in ascending, distinct chunk numbers; vectors holds n * dim floats of
 * unit length and is copied. One reference, the caller's. */
struct segment *segment_build(struct words *w, const struct vindex_change *const *adds, const float *vectors, size_t n,
                              size_t dim);

/* Room for other vectors, n * dim floats to be filled, in the place of those there are; before the segment has codes,
 * a graph or another owner. */
float *segment_redim(struct segment *s, size_t dim);

/* A row of a merge: which input, which of its rows. */
struct seg_origin {
    uint32_t input, row;
};
/* Merges the rows set in keep[i] of each input into one flat segment (NULL when none is kept). *origins (malloc'd, one
 * for each row of the result) becomes the caller's. */
struct segment *segment_merge(struct segment *const *in, const uint64_t *const *keep, size_t n,
                              struct seg_origin **origins);
/* Adds the graph to the result of a merge; not yet shared with any other thread. When the largest input with a graph of
 * this m is whole in it, that graph is extended, otherwise (or with n 0) one is built. As graph_build. */
enum assay_code segment_seal(struct segment *s, struct segment *const *in, size_t n, const struct seg_origin *origins,
                             const struct graph_params *params, const atomic_bool *cancel, struct err *err) MUST_USE;

#endif
