/*
 * What rows gain by having parts of the query's words, as they are written: every four letters in a row, the edges of a
 * word being letters too (character n-grams: McNamee and Mayfield, Information Retrieval 7, 2004). They find what stems
 * part ("gasified", "gas"), tell apart what stems join, and forgive a slip of the pen. Each is a word to BM25 with
 * GRAM_WEIGHT of the idf of the word it is of, so no statistics of its own are needed, and a longer word, which has
 * more of them, weighs a little more.
 *
 * Sought in the texts of the few rows that stems found, a byte at a time: most places end with one look at a table.
 */
#include <utf8proc.h>

#include "index/search.h"

enum {
    GRAMS_MAX = 256, /* a longer query's later ones are left out */
    SLOT_BITS = 10,
    SLOTS = 1 << SLOT_BITS,
    TEXT_MAX = 8192, /* bytes read of a title, heading or text */
    EDGE = ' '
};
static const float gram_weight = 0.1F;

struct grams {
    uint64_t keys[GRAMS_MAX];
    float weights[GRAMS_MAX], freq[GRAMS_MAX];
    size_t n;
    uint16_t slots[SLOTS]; /* 1 + a gram's number, where its hash says or in the next free place; 0: free */
};

/* ASCII folded; 0: the byte is part of a longer letter. */
static const unsigned char letters[256] = "                                "
                                          "                0123456789      "
                                          " abcdefghijklmnopqrstuvwxyz     "
                                          " abcdefghijklmnopqrstuvwxyz     ";

/* The last four letters of what was read, sixteen bits each. */
struct reader {
    struct str text;
    size_t at;
    uint64_t window;
};

static struct reader reader_of(struct str text)
{
    return (struct reader){{text.ptr, text.len < TEXT_MAX ? text.len : TEXT_MAX}, 0, EDGE};
}

/* Of more than one byte: kept out of line, and away from the reader, which then stays in registers. */
static __attribute__((noinline)) uint32_t wide_letter(const char *p, size_t left, size_t *len)
{
    uint32_t cp = 0;
    *len = str_utf8_next(p, left, &cp);
    if (*len == 0) {
        *len = 1;
        return EDGE;
    }
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    bool letter = c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NO;
    return letter ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) : EDGE;
}

/* A word of one letter stands alone between its edges. */
static inline void push(struct reader *r, uint32_t letter)
{
    bool alone = letter == EDGE && (r->window >> 16 & UINT16_MAX) == EDGE;
    r->window = (alone ? r->window & UINT32_MAX : r->window) << 16 | (letter & UINT16_MAX);
}

/* Moves on by a letter; whatever parts words is one edge. False at the end. */
static inline bool next_window(struct reader *r)
{
    while (r->at < r->text.len) {
        unsigned char byte = (unsigned char)r->text.ptr[r->at];
        size_t len = 1;
        uint32_t letter = EDGE;
        if (__builtin_expect(byte < 0x80, 1)) {
            letter = letters[byte];
        } else {
            letter = wide_letter(r->text.ptr + r->at, r->text.len - r->at, &len);
        }
        r->at += len;
        if (letter != EDGE || (r->window & UINT16_MAX) != EDGE) {
            push(r, letter);
            return true;
        }
    }
    if ((r->window & UINT16_MAX) == EDGE) {
        return false;
    }
    push(r, EDGE);
    return true;
}

static inline size_t slot_of(uint64_t key)
{
    return (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> (64 - SLOT_BITS));
}

/* A gram's number, or SIZE_MAX. */
static inline size_t look_up(const struct grams *g, uint64_t key, size_t *slot)
{
    *slot = slot_of(key);
    while (g->slots[*slot] != 0) {
        size_t i = g->slots[*slot] - 1U;
        if (g->keys[i] == key) {
            return i;
        }
        *slot = (*slot + 1) % SLOTS;
    }
    return SIZE_MAX;
}

/* Four letters of one word, no edge between two of them; or a whole word of one letter. */
static bool of_one_word(uint64_t window)
{
    uint64_t inner = window >> 32 & UINT16_MAX;
    return window >> 48 != 0 ? inner != EDGE && (window >> 16 & UINT16_MAX) != EDGE
                             : inner == EDGE && (window & UINT16_MAX) == EDGE;
}

static void add_word(struct grams *g, const struct spelt *word)
{
    struct reader r = reader_of(word->text);
    while (next_window(&r)) {
        if (!of_one_word(r.window)) {
            continue;
        }
        size_t slot = 0, i = look_up(g, r.window, &slot);
        if (i == SIZE_MAX && g->n < GRAMS_MAX) {
            i = g->n++;
            g->keys[i] = r.window;
            g->slots[slot] = (uint16_t)(i + 1);
        }
        if (i != SIZE_MAX) {
            g->weights[i] += gram_weight * (float)word->idf * (BM25_K1 + 1);
        }
    }
}

static inline void count_window(struct grams *g, uint64_t window, float unit)
{
    size_t slot = 0, i = look_up(g, window, &slot);
    if (i != SIZE_MAX) {
        g->freq[i] += unit;
    }
}

static void count(struct grams *g, struct str text, float unit)
{
    struct reader r = reader_of(text);
    for (;;) {
        /* Within a word there is nothing to decide but whether the window is looked for. */
        const unsigned char *p = (const unsigned char *)r.text.ptr;
        for (; r.at < r.text.len && letters[p[r.at]] > EDGE; r.at++) {
            r.window = r.window << 16 | letters[p[r.at]];
            count_window(g, r.window, unit);
        }
        if (!next_window(&r)) {
            return;
        }
        count_window(g, r.window, unit);
    }
}

static float gain(const struct search *s, struct grams *g, const struct bm25 *m, const struct candidate *c)
{
    const struct segment *seg = s->view->segs[c->seg].seg;
    memset(g->freq, 0, g->n * sizeof(*g->freq));
    count(g, segment_string(seg, c->row, SEG_TITLE), SEG_UNIT_TITLE);
    count(g, segment_string(seg, c->row, SEG_HEADING), SEG_UNIT_HEADING);
    count(g, segment_string(seg, c->row, SEG_TEXT), SEG_UNIT);
    float sum = 0, length = (float)seg->length[c->row];
    for (size_t i = 0; i < g->n; i++) {
        sum += g->freq[i] > 0 ? g->weights[i] * bm25_gain(m, g->freq[i], length) : 0;
    }
    return sum;
}

void grams_rescore(const struct search *s, struct top *list, size_t n)
{
    if (s->n_spelt == 0 || n == 0) {
        return;
    }
    struct bm25 m = bm25_of(s->view);
    struct grams *g = ARENA_NEW(s->arena, struct grams);
    for (size_t i = 0; i < s->n_spelt; i++) {
        add_word(g, &s->spelt[i]);
    }
    for (size_t i = 0; i < n; i++) {
        list->items[i].score += gain(s, g, &m, &list->items[i]);
    }
}
