/*
 * What the words of a query gain by standing close together. Each two neighbours of the query (stop words left out)
 * count as a word of their own: each time both stand within PROXIMITY_WINDOW words of a row's text its frequency grows
 * by 1 / distance, and BM25 turns the frequency into a gain, weighed by the less telling of the two (after Rasolofo and
 * Savoy, ECIR 2003, and Buettcher, Clarke and Lushman, SIGIR 2006). Measured on three collections of different kinds
 * with weights 0.5 to 1 and windows 2 to 5: all gain, and none depends on which.
 */
#include "index/search.h"

enum { PROXIMITY_WINDOW = 4, PAIRS_MAX = 64 /* a longer query's later pairs are left out */, SEEN = 512 };
static const float proximity_weight = 0.7F;

static bool among(uint16_t word, const uint16_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (words[i] == word) {
            return true;
        }
    }
    return false;
}

/* A pair's words as the row's words are read. */
struct watch {
    const struct pair *pair;
    uint32_t last[2][PROXIMITY_WINDOW]; /* where either stood last, + 1; newest first */
    float freq;
};

static void note(struct watch *w, unsigned side, uint32_t at)
{
    for (size_t i = 0; i < PROXIMITY_WINDOW; i++) {
        uint32_t other = w->last[1 - side][i];
        if (other == 0 || at - other > PROXIMITY_WINDOW) {
            break;
        }
        w->freq += 1.0F / (float)(at - other);
    }
    memmove(&w->last[side][1], &w->last[side][0], (PROXIMITY_WINDOW - 1) * sizeof(w->last[0][0]));
    w->last[side][0] = at;
}

/* Which pairs a word may belong to, as first or second, by its last bits. */
struct sieve {
    uint64_t pairs[SEEN];
    struct watch watches[PAIRS_MAX];
    size_t n;
};

static void meet(struct sieve *sieve, uint16_t word, uint32_t at)
{
    for (uint64_t left = sieve->pairs[word % SEEN]; left != 0; left &= left - 1) {
        struct watch *w = &sieve->watches[__builtin_ctzll(left)];
        if (among(word, w->pair->words[0], w->pair->n[0])) {
            note(w, 0, at);
        } else if (among(word, w->pair->words[1], w->pair->n[1])) {
            note(w, 1, at);
        }
    }
}

static float gain(const struct search *s, struct sieve *sieve, const struct bm25 *m, const struct candidate *c)
{
    const struct segment *seg = s->view->segs[c->seg].seg;
    uint32_t at = 1;
    for (size_t p = 0; p < sieve->n; p++) {
        sieve->watches[p] = (struct watch){.pair = &s->pairs[p]};
    }
    const uint16_t *end = seg->words + seg->word_at[c->row + 1];
    for (const uint16_t *word = seg->words + seg->word_at[c->row]; word < end; word++, at++) {
        if (*word == SEG_BREAK) {
            at += PROXIMITY_WINDOW;
        } else if (sieve->pairs[*word % SEEN] != 0) {
            meet(sieve, *word, at);
        }
    }
    float sum = 0, length = (float)seg->length[c->row];
    for (size_t p = 0; p < sieve->n; p++) {
        float freq = (float)SEG_UNIT * sieve->watches[p].freq;
        sum += freq > 0 ? (float)s->pairs[p].idf * (BM25_K1 + 1) * bm25_gain(m, freq, length) : 0;
    }
    return proximity_weight * sum;
}

void proximity_rescore(const struct search *s, struct top *list, size_t n)
{
    if (s->n_pairs == 0 || n == 0) {
        return;
    }
    struct bm25 m = bm25_of(s->view);
    struct sieve *sieve = ARENA_NEW(s->arena, struct sieve);
    sieve->n = s->n_pairs < PAIRS_MAX ? s->n_pairs : PAIRS_MAX;
    for (size_t p = 0; p < sieve->n; p++) {
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < s->pairs[p].n[side]; i++) {
                sieve->pairs[s->pairs[p].words[side][i] % SEEN] |= UINT64_C(1) << p;
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        list->items[i].score += gain(s, sieve, &m, &list->items[i]);
    }
}
