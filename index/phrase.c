/*
 * Phrases: first the rows that have all their words, by the postings; then, for a row that would be among the best, the
 * words side by side in its sequence; and since that keeps 16 bits of each, at last the text itself.
 */
#include "index/search.h"

static struct str stem_at(const struct search *s, const struct phrase *p, size_t i, unsigned lang)
{
    return words_stem(s->scratch->words, lang, &(struct word){.folded = p->words[i], .pair = p->pair[i]});
}

/* Rows of a segment that have the word in whichever language they are in. */
static void rows_with(const struct search *s, const struct segment *seg, const struct phrase *p, size_t i,
                      uint64_t *out)
{
    for (unsigned lang = 0; lang < WORDS_LANGS_MAX; lang++) {
        size_t at = 0;
        struct str stem = (seg->langs >> lang & 1) != 0 ? stem_at(s, p, i, lang) : (struct str){NULL, 0};
        if (stem.len == 0 || !inverted_find(&seg->terms, stem, &at)) {
            continue;
        }
        for (uint64_t k = seg->terms.post_at[at]; k < seg->terms.post_at[at + 1]; k++) {
            bits_put(out, seg->terms.rows[k], true);
        }
    }
}

struct eligible *phrase_candidates(struct search *s)
{
    struct eligible *out = ARENA_ARRAY(s->arena, struct eligible, s->view->n + 1);
    for (size_t i = 0; i < s->view->n; i++) {
        const struct segment *seg = s->view->segs[i].seg;
        size_t words = bits_words(seg->n);
        if (s->eligible[i].n == 0) {
            continue;
        }
        uint64_t *kept = ARENA_ARRAY(s->arena, uint64_t, words), *has = ARENA_ARRAY(s->arena, uint64_t, words);
        memcpy(kept, s->eligible[i].bits, words * sizeof(*kept));
        for (size_t p = 0; p < s->n_phrases; p++) {
            for (size_t k = 0; k < s->phrases[p].n; k++) {
                memset(has, 0, words * sizeof(*has));
                rows_with(s, seg, &s->phrases[p], k, has);
                for (size_t w = 0; w < words; w++) {
                    kept[w] &= has[w];
                }
            }
        }
        out[i] = (struct eligible){kept, bits_count(kept, seg->n)};
    }
    return out;
}

static bool in_sequence(const struct segment *seg, uint32_t row, const uint16_t *want, size_t n)
{
    const uint16_t *words = seg->words + seg->word_at[row];
    size_t len = (size_t)(seg->word_at[row + 1] - seg->word_at[row]);
    for (size_t i = 0; i + n <= len; i++) {
        if (words[i] == want[0] && memcmp(words + i, want, n * sizeof(*want)) == 0) {
            return true;
        }
    }
    return false;
}

/* Reads a text for a run of stems: the last n words are compared whenever one is read. */
struct reader {
    const struct search *s;
    const struct phrase *phrase;
    struct str *stems;
    unsigned lang;
    uint64_t last; /* the bit of the phrase's last word */
    uint64_t runs; /* bit i: the words read last are the phrase's first i + 1 */
    bool found;
};

static void read_word(void *ctx, const struct word *word)
{
    struct reader *r = ctx;
    if (word->part || r->found) {
        return;
    }
    struct str stem = words_stem(r->s->scratch->words, r->lang, word);
    uint64_t fits = 0;
    for (size_t i = 0; i < r->phrase->n; i++) {
        fits |= str_eq(stem, r->stems[i]) ? UINT64_C(1) << i : 0;
    }
    r->runs = ((r->runs << 1) | 1) & fits;
    r->found = (r->runs & r->last) != 0;
}

static bool in_text(struct reader *r, const struct segment *seg, uint32_t row)
{
    static const enum seg_string parts[] = {SEG_TITLE, SEG_HEADING, SEG_TEXT};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !r->found; i++) {
        r->runs = 0;
        words_each(r->s->scratch->words, segment_string(seg, row, parts[i]), read_word, r);
    }
    return r->found;
}

bool phrase_match(const struct search *s, uint32_t seg_no, uint32_t row)
{
    const struct segment *seg = s->view->segs[seg_no].seg;
    unsigned lang = seg->lang[row];
    struct arena_mark mark = arena_mark(s->arena);
    bool all = true;
    for (size_t p = 0; p < s->n_phrases && all; p++) {
        size_t n = s->phrases[p].n;
        struct str *stems = ARENA_ARRAY(s->arena, struct str, n);
        uint16_t *want = ARENA_ARRAY(s->arena, uint16_t, n);
        for (size_t i = 0; i < n; i++) {
            stems[i] = str_dup(s->arena, stem_at(s, &s->phrases[p], i, lang));
            want[i] = segment_word(stems[i]);
        }
        struct reader r = {
            .s = s, .phrase = &s->phrases[p], .stems = stems, .lang = lang, .last = UINT64_C(1) << ((n - 1) & 63)};
        all = in_sequence(seg, row, want, n) && in_text(&r, seg, row);
    }
    arena_rollback(s->arena, mark);
    return all;
}
