#include <stdlib.h>

#include "index/filter_tree.h"

/* Whether `order` (negative, zero, positive: the row's value against the operand) satisfies a comparison. */
static bool holds(enum filter_op op, int order)
{
    switch (op) {
    case OP_EQ:
        return order == 0;
    case OP_GT:
        return order > 0;
    case OP_GTE:
        return order >= 0;
    case OP_LT:
        return order < 0;
    case OP_LTE:
        return order <= 0;
    case OP_NE:
    case OP_IN:
    case OP_NIN:
    case OP_EXISTS:
    case OP_NOT:
    case OP_COUNT:
    default:
        return false;
    }
}

static bool quality_matches(const struct filter *f, double v)
{
    for (size_t i = 0; i < f->n; i++) {
        double x = f->numbers[i];
        if (v == v && holds(f->op, (v > x) - (v < x))) {
            return true;
        }
    }
    return false;
}

static bool time_matches(const struct filter *f, int64_t v)
{
    for (size_t i = 0; i < f->n; i++) {
        int64_t x = f->times[i];
        if (holds(f->op, (v > x) - (v < x))) {
            return true;
        }
    }
    return false;
}

static bool name_matches(const struct filter *f, struct str v)
{
    for (size_t i = 0; i < f->n; i++) {
        struct str x = f->keys[i];
        int order = memcmp(v.ptr, x.ptr, v.len < x.len ? v.len : x.len);
        order = order != 0 ? order : (v.len > x.len) - (v.len < x.len);
        if (holds(f->op, order)) {
            return true;
        }
    }
    return false;
}

static void add_posts(const struct inverted *v, size_t from_key, size_t to_key, uint64_t *out)
{
    for (uint64_t i = v->post_at[from_key]; i < v->post_at[to_key]; i++) {
        bits_put(out, v->rows[i], true);
    }
}

static void eval_source(const struct filter *f, const struct segment *s, const struct sources *sources, struct arena *a,
                        uint64_t *out)
{
    bool *matches = ARENA_ARRAY(a, bool, sources->n + 1);
    for (size_t i = 0; i < sources->n; i++) {
        matches[i] = name_matches(f, sources->items[i].name);
    }
    for (size_t row = 0; row < s->n; row++) {
        const struct source *source = sources_find(sources, s->source[row]);
        if (source != NULL && matches[source - sources->items]) {
            bits_put(out, row, true);
        }
    }
}

static void eval_leaf(const struct filter *f, const struct segment *s, const struct seg_vis *v,
                      const struct sources *sources, struct arena *a, uint64_t *out)
{
    if (f->kind == FILTER_KEYS) {
        for (size_t i = 0; i < f->n; i++) {
            size_t at = 0;
            if (inverted_find(&s->attrs, f->keys[i], &at)) {
                add_posts(&s->attrs, at, at + 1, out);
            }
        }
    } else if (f->kind == FILTER_RANGE) {
        size_t from = inverted_lower(&s->attrs, f->keys[0]), to = inverted_lower(&s->attrs, f->keys[1]);
        if (from < to) {
            add_posts(&s->attrs, from, to, out);
        }
    } else if (f->kind == FILTER_SOURCE) {
        eval_source(f, s, sources, a, out);
    } else if (f->kind == FILTER_QUALITY) {
        for (size_t row = 0; row < s->n; row++) {
            bits_put(out, row, quality_matches(f, s->quality[row]));
        }
    } else if (f->kind == FILTER_MODIFIED) {
        for (size_t row = 0; row < s->n; row++) {
            bits_put(out, row, time_matches(f, v->age->modified[row]));
        }
    } else {
        bits_fill(out, s->n);
    }
}

void filter_eval(const struct filter *f, const struct segment *s, const struct seg_vis *v,
                 const struct sources *sources, struct arena *a, uint64_t *out)
{
    size_t words = bits_words(s->n);
    memset(out, 0, words * sizeof(*out));
    if (f->kind != FILTER_AND && f->kind != FILTER_OR && f->kind != FILTER_NOT) {
        eval_leaf(f, s, v, sources, a, out);
        return;
    }
    struct arena_mark mark = arena_mark(a);
    uint64_t *kid = arena_alloc(a, words * sizeof(*kid));
    if (f->kind != FILTER_OR) {
        bits_fill(out, s->n);
    }
    for (size_t i = 0; i < f->n; i++) {
        filter_eval(f->kids[i], s, v, sources, a, kid);
        for (size_t w = 0; w < words; w++) {
            out[w] = f->kind == FILTER_OR    ? out[w] | kid[w]
                     : f->kind == FILTER_AND ? out[w] & kid[w]
                                             : out[w] & ~kid[w];
        }
    }
    arena_rollback(a, mark);
}
