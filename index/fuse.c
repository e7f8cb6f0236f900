#include "index/fuse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Negative when a comes before b. */
static int order(float sa, const struct digest *ia, float sb, const struct digest *ib)
{
    if (sa != sb) {
        return sa > sb ? -1 : 1;
    }
    return memcmp(ia->b, ib->b, DIGEST_LEN);
}

static int candidate_cmp(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    return order(a->score, a->id, b->score, b->id);
}

static void sift_down(struct top *t, size_t i)
{
    for (;;) {
        size_t worst = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < t->n; child++) {
            if (candidate_cmp(&t->items[child], &t->items[worst]) > 0) {
                worst = child;
            }
        }
        if (worst == i) {
            return;
        }
        struct candidate c = t->items[i];
        t->items[i] = t->items[worst];
        t->items[worst] = c;
        i = worst;
    }
}

void top_offer(struct top *t, const struct candidate *c)
{
    if (t->n < t->cap) {
        size_t i = t->n++;
        t->items[i] = *c;
        while (i > 0 && candidate_cmp(&t->items[i], &t->items[(i - 1) / 2]) > 0) {
            struct candidate up = t->items[(i - 1) / 2];
            t->items[(i - 1) / 2] = t->items[i];
            t->items[i] = up;
            i = (i - 1) / 2;
        }
    } else if (t->cap > 0 && candidate_cmp(c, &t->items[0]) < 0) {
        t->items[0] = *c;
        sift_down(t, 0);
    }
}

float top_floor(const struct top *t)
{
    return t->n < t->cap ? -INFINITY : t->items[0].score;
}

void top_sort(struct top *t)
{
    if (t->n > 1) {
        qsort(t->items, t->n, sizeof(*t->items), candidate_cmp);
    }
}

static int place_cmp(const void *pa, const void *pb)
{
    const struct fused *a = pa, *b = pb;
    if (a->seg != b->seg) {
        return a->seg < b->seg ? -1 : 1;
    }
    return (a->row > b->row) - (a->row < b->row);
}

static int fused_cmp(const void *pa, const void *pb)
{
    const struct fused *a = pa, *b = pb;
    if (a->score != b->score) {
        return a->score > b->score ? -1 : 1;
    }
    return memcmp(a->id->b, b->id->b, DIGEST_LEN);
}

/* What list l adds to the score of an item that is in it. */
static double share(const struct top *list, const struct fuse_rule *rule, int l, const struct fused *f)
{
    if (rule->method == FUSE_RRF) {
        return rule->weights[l] / (rule->k + f->ranks[l]);
    }
    double high = (double)list->items[0].score, low = (double)list->items[list->n - 1].score;
    return high > low ? rule->weights[l] * ((double)f->scores[l] - low) / (high - low) : rule->weights[l];
}

void fuse_sort(struct fused *items, size_t n)
{
    if (n > 1) {
        qsort(items, n, sizeof(*items), fused_cmp);
    }
}

/* The items of both lists, each once, with its rank and score in either. */
static size_t unite(const struct top lists[2], struct fused *out)
{
    size_t n = 0;
    for (int l = 0; l < 2; l++) {
        for (size_t i = 0; i < lists[l].n; i++) {
            const struct candidate *c = &lists[l].items[i];
            struct fused f = {.seg = c->seg, .row = c->row, .id = c->id};
            f.ranks[l] = (int)i + 1;
            f.scores[l] = c->score;
            out[n++] = f;
        }
    }
    if (n == 0) {
        return 0;
    }
    qsort(out, n, sizeof(*out), place_cmp);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && place_cmp(&out[kept - 1], &out[i]) == 0) {
            int l = out[i].ranks[0] != 0 ? 0 : 1;
            out[kept - 1].ranks[l] = out[i].ranks[l];
            out[kept - 1].scores[l] = out[i].scores[l];
        } else {
            out[kept++] = out[i];
        }
    }
    return kept;
}

size_t fuse_lists(const struct top lists[2], const struct fuse_rule *rule, struct fused *out)
{
    size_t n = unite(lists, out);
    for (size_t i = 0; i < n; i++) {
        for (int l = 0; l < 2; l++) {
            out[i].score += out[i].ranks[l] > 0 ? share(&lists[l], rule, l, &out[i]) : 0;
        }
        out[i].base = out[i].score;
    }
    fuse_sort(out, n);
    return n;
}
