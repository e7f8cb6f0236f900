/*
 * A parsed filter: a tree whose leaves are look-ups in a segment's dictionary of metadata values, or comparisons of a
 * column. Private to filter.c and filter_eval.c, and the evaluation for search.c.
 */
#ifndef ASSAY_INDEX_FILTER_TREE_H
#define ASSAY_INDEX_FILTER_TREE_H

#include "index/filter.h"
#include "index/segment.h"
#include "index/visible.h"

enum filter_kind {
    FILTER_AND,
    FILTER_OR,
    FILTER_NOT,      /* kids[0] */
    FILTER_KEYS,     /* any of `keys` */
    FILTER_RANGE,    /* keys[0] <= key < keys[1] */
    FILTER_QUALITY,  /* `op` on the column, operands in `numbers` */
    FILTER_MODIFIED, /* `op` on modified_at, operands in `times` */
    FILTER_SOURCE,   /* `op` on the name of the row's source, operands in `keys` as they are */
    FILTER_ALL       /* every row */
};
enum filter_op { OP_EQ, OP_NE, OP_GT, OP_GTE, OP_LT, OP_LTE, OP_IN, OP_NIN, OP_EXISTS, OP_NOT, OP_COUNT };

struct filter {
    enum filter_kind kind;
    enum filter_op op; /* of a column: OP_EQ for $in too; never negative ones, which are FILTER_NOT */
    size_t n;          /* of whichever array is used */
    const struct filter **kids;
    struct str *keys;
    double *numbers;
    int64_t *times;
};

/* Sets the bits of the rows that match (bits_words(s->n) words, all of them written). Temporary memory from `a`. */
void filter_eval(const struct filter *f, const struct segment *s, const struct seg_vis *v,
                 const struct sources *sources, struct arena *a, uint64_t *out);

#endif
