/*
 * Words that begin with a prefix. The dictionary holds stems, so there are two kinds of keys: those that begin with the
 * prefix themselves, and those that are shorter than it or end otherwise ("connecti*" is "connect", "happy*" is
 * "happi"), whose rows are kept when a word of their text begins with it.
 */
#include <string.h>

#include "index/search.h"

enum { STEM_MIN = 3, SUFFIX_MAX = 6 /* letters that stemming takes away */ };

struct prefix_reader {
    struct words *words;
    struct str prefix;
    bool found;
};

static bool starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0;
}

static void read_word(void *ctx, const struct word *word)
{
    struct prefix_reader *r = ctx;
    if (!r->found) {
        r->found = starts(words_stem(r->words, WORDS_LANG_NONE, word), r->prefix);
    }
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static bool letter_or_digit(char c)
{
    char l = lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

/* Looks for the prefix at the beginnings of words of ASCII letters. *sure: what it answers is the truth, since
 * everything is ASCII. */
static bool ascii_match(struct str text, struct str prefix, bool *sure)
{
    *sure = true;
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80) {
            *sure = false;
        }
        if (lower(text.ptr[i]) != prefix.ptr[0] || (i > 0 && letter_or_digit(text.ptr[i - 1])) ||
            text.len - i < prefix.len) {
            continue;
        }
        size_t n = 1;
        while (n < prefix.len && lower(text.ptr[i + n]) == prefix.ptr[n]) {
            n++;
        }
        if (n == prefix.len) {
            return true;
        }
    }
    return false;
}

bool prefix_match(struct words *w, const struct segment *seg, uint32_t row, struct str prefix)
{
    static const enum seg_string parts[] = {SEG_TITLE, SEG_HEADING, SEG_TEXT};
    struct prefix_reader r = {.words = w, .prefix = prefix};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !r.found; i++) {
        struct str text = segment_string(seg, row, parts[i]);
        bool sure = false;
        r.found = ascii_match(text, prefix, &sure);
        if (!r.found && !sure) {
            words_each(w, text, read_word, &r);
        }
    }
    return r.found;
}

/* ---- expansion ---- */

/* Sums up frequencies of one segment's rows. */
struct gatherer {
    struct search *s;
    const struct segment *seg;
    struct str prefix;
    float *sums;
};

static void gather(struct gatherer *g, size_t key, bool confirm)
{
    const struct inverted *v = &g->seg->terms;
    for (uint64_t i = v->post_at[key]; i < v->post_at[key + 1]; i++) {
        uint32_t row = v->rows[i];
        if (!confirm || prefix_match(g->s->scratch->words, g->seg, row, g->prefix)) {
            g->sums[row] += (float)v->freq[i];
        }
    }
}

static void gather_stem(struct gatherer *g, const char *p, size_t n, const char *ending)
{
    char key[WORDS_LEN_MAX * 4 + 2];
    size_t at = 0, more = strlen(ending);
    if (n + more > sizeof(key)) {
        return;
    }
    memcpy(key, p, n);
    memcpy(key + n, ending, more);
    struct str stem = {key, n + more};
    if (!starts(stem, g->prefix) && !words_stop(stem) && inverted_find(&g->seg->terms, stem, &at)) {
        gather(g, at, true);
    }
}

/* Stems that a word with this prefix may have without having the prefix. No key is met twice: they differ in length or
 * in their ending. */
static void gather_shorter(struct gatherer *g)
{
    struct str p = g->prefix;
    size_t least = p.len > STEM_MIN + SUFFIX_MAX ? p.len - SUFFIX_MAX : STEM_MIN;
    for (size_t n = least; n <= p.len; n++) {
        gather_stem(g, p.ptr, n, "");
        if (n < p.len && p.ptr[n] != 'e') {
            gather_stem(g, p.ptr, n, "e");
        }
        if (n < p.len && p.ptr[n] != 'y') {
            gather_stem(g, p.ptr, n, "y");
        }
        if (p.ptr[n - 1] == 'y') {
            gather_stem(g, p.ptr, n - 1, "i");
        }
    }
}

static void harvest(const struct gatherer *g, struct postings *out)
{
    size_t n = 0, at = 0;
    for (size_t row = 0; row < g->seg->n; row++) {
        n += g->sums[row] > 0 ? 1 : 0;
    }
    uint32_t *rows = ARENA_ARRAY(g->s->arena, uint32_t, n + 1);
    uint16_t *freq = ARENA_ARRAY(g->s->arena, uint16_t, n + 1);
    for (size_t row = 0; row < g->seg->n; row++) {
        if (g->sums[row] > 0) {
            rows[at] = (uint32_t)row;
            freq[at++] = (uint16_t)(g->sums[row] > UINT16_MAX ? UINT16_MAX : g->sums[row]);
            g->sums[row] = 0;
        }
    }
    *out = (struct postings){rows, freq, n, SIZE_MAX, NULL};
}

void prefix_expand(struct search *s, struct term *t)
{
    for (size_t i = 0; i < s->view->n; i++) {
        const struct segment *seg = s->view->segs[i].seg;
        struct gatherer g = {s, seg, t->prefix, scratch_scores(s->scratch, seg->n)};
        size_t key = inverted_lower(&seg->terms, t->prefix);
        for (; key < seg->terms.n_keys && starts(inverted_key(&seg->terms, key), t->prefix); key++) {
            gather(&g, key, false);
        }
        gather_shorter(&g);
        harvest(&g, &t->in[i]);
    }
}
