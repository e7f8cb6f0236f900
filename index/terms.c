/*
 * From the text of a query to what is looked for: terms with their postings and weights, pairs and phrases.
 */
#include <math.h>

#include "index/query_text.h"
#include "index/search.h"

/* A word of the query, in its place. */
struct query_word {
    struct str *stems; /* in every language of the view, each once */
    uint32_t *langs;   /* in which languages */
    size_t n;
    bool stop;
    struct str folded; /* of `spelt` alone */
};

enum { PHRASES_MAX = 16, PHRASE_WORDS_MAX = 64, STOPS_TELL = 2 /* stop words that tell a language */ };

struct cutter {
    struct search *s;
    struct query_word *words;
    size_t n_words;
    struct query_word *spelt; /* words and parts of identifiers, but no identifier as a whole */
    size_t n_spelt;
    struct phrase *phrase; /* the one being read, or NULL */
    bool prefix;           /* the next word is a prefix */
    unsigned lang;         /* whose stop words count */
    unsigned stops[WORDS_LANGS_MAX];
};

/* ---- statistics ---- */

static size_t live_posts(const struct view_seg *vs, const struct term *t, const struct postings *p)
{
    if (vs->vis.rows->by_state[CHUNK_RETIRED] == 0 && p->lang == NULL) {
        return p->n;
    }
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        n += bits_get(vs->vis.rows->live, p->rows[i]) && term_counts(t, p, i) ? 1 : 0;
    }
    return n;
}

static double idf(size_t live, size_t df)
{
    return log(1 + ((double)live - (double)df + 0.5) / ((double)df + 0.5));
}

/* Finds a stem's postings; `in` may be NULL. */
static size_t look_up(const struct view *view, const struct term *t, struct postings *in)
{
    size_t df = 0;
    for (size_t i = 0; i < view->n; i++) {
        const struct inverted *terms = &view->segs[i].seg->terms;
        struct postings p = {.key = SIZE_MAX};
        size_t at = 0;
        if (inverted_find(terms, t->stem, &at)) {
            size_t from = (size_t)terms->post_at[at], to = (size_t)terms->post_at[at + 1];
            bool all = (view->segs[i].seg->langs & ~t->langs) == 0;
            p = (struct postings){terms->rows + from, terms->freq + from, to - from, at,
                                  all ? NULL : view->segs[i].seg->lang};
        }
        df += live_posts(&view->segs[i], t, &p);
        if (in != NULL) {
            in[i] = p;
        }
    }
    return df;
}

double lexical_idf(struct search *s, struct str stem)
{
    for (size_t i = 0; i < s->n_terms; i++) {
        if (s->terms[i].prefix.ptr == NULL && str_eq(s->terms[i].stem, stem)) {
            return s->terms[i].idf;
        }
    }
    return idf(s->view->live_rows, look_up(s->view, &(struct term){.stem = stem, .langs = UINT32_MAX}, NULL));
}

static void weigh(struct search *s, struct term *t)
{
    t->in = ARENA_ARRAY(s->arena, struct postings, s->view->n + 1);
    if (t->prefix.ptr == NULL) {
        t->df = look_up(s->view, t, t->in);
        return;
    }
    prefix_expand(s, t);
    for (size_t i = 0; i < s->view->n; i++) {
        t->df += live_posts(&s->view->segs[i], t, &t->in[i]);
    }
}

/* A word weighs what all its stems together do: each row has one of them, that of its language. */
static void weigh_groups(struct search *s)
{
    for (size_t i = 0; i < s->n_terms; i++) {
        size_t df = 0;
        for (size_t k = 0; k < s->n_terms; k++) {
            df += s->terms[k].group == s->terms[i].group ? s->terms[k].df : 0;
        }
        s->terms[i].idf = idf(s->view->live_rows, df < s->view->live_rows ? df : s->view->live_rows);
    }
}

/* ---- cutting ---- */

static void add_term(struct search *s, const struct term *t)
{
    for (size_t i = 0; i < s->n_terms; i++) {
        if (str_eq(s->terms[i].stem, t->stem) && str_eq(s->terms[i].prefix, t->prefix) &&
            s->terms[i].langs == t->langs) {
            s->terms[i].count++;
            return;
        }
    }
    if ((t->stem.len > 0 || t->prefix.len > 0) && s->n_terms < TERMS_MAX) {
        s->terms[s->n_terms++] = *t;
    }
}

/* A word of the query stands for its stem in every language that the view has rows of. */
static struct query_word stems_of(struct search *s, const struct word *word)
{
    struct query_word q = {.stems = ARENA_ARRAY(s->arena, struct str, WORDS_LANGS_MAX),
                           .langs = ARENA_ARRAY(s->arena, uint32_t, WORDS_LANGS_MAX)};
    for (unsigned lang = 0; lang < WORDS_LANGS_MAX; lang++) {
        if ((s->view->langs >> lang & 1) == 0) {
            continue;
        }
        struct str stem = words_stem(s->scratch->words, lang, word);
        size_t i = 0;
        while (i < q.n && !str_eq(q.stems[i], stem)) {
            i++;
        }
        if (i == q.n && stem.len > 0) {
            q.stems[q.n++] = str_dup(s->arena, stem);
        }
        q.langs[i] |= UINT32_C(1) << lang;
    }
    return q;
}

static void add_prefix(struct cutter *c, const struct word *word)
{
    struct search *s = c->s;
    struct str folded = words_stem(s->scratch->words, WORDS_LANG_NONE, word);
    if (!word->part && folded.len > 0) {
        add_term(s, &(struct term){.prefix = str_dup(s->arena, folded),
                                   .langs = UINT32_MAX,
                                   .group = TERMS_MAX + s->n_terms,
                                   .count = 1});
    }
}

static void add_spelt(struct cutter *c, const struct word *word, struct query_word q)
{
    struct str w = word->folded;
    bool whole = !word->part && (memchr(w.ptr, '_', w.len) != NULL || memchr(w.ptr, '.', w.len) != NULL);
    const char *apostrophe = memchr(w.ptr, '\'', w.len);
    w.len = apostrophe != NULL ? (size_t)(apostrophe - w.ptr) : w.len;
    if (!whole && !word->pair && c->n_spelt < TERMS_MAX) {
        q.folded = str_dup(c->s->arena, w);
        c->spelt[c->n_spelt++] = q;
    }
}

static void add_word(void *ctx, const struct word *word)
{
    struct cutter *c = ctx;
    if (c->prefix) {
        add_prefix(c, word);
        return;
    }
    struct query_word q = stems_of(c->s, word);
    q.stop = words_stop_in(c->lang, word->folded);
    size_t group = c->s->n_terms;
    for (size_t i = 0; i < q.n; i++) {
        add_term(c->s,
                 &(struct term){.stem = q.stems[i], .stop = q.stop, .langs = q.langs[i], .group = group, .count = 1});
    }
    add_spelt(c, word, q);
    if (word->part) {
        return;
    }
    if (c->n_words < TERMS_MAX) {
        c->words[c->n_words++] = q;
    }
    struct phrase *p = c->phrase;
    if (p != NULL && p->n < PHRASE_WORDS_MAX) {
        p->words[p->n] = str_dup(c->s->arena, word->folded);
        p->pair[p->n++] = word->pair;
    }
}

static void count_stops(void *ctx, const struct word *word)
{
    struct cutter *c = ctx;
    for (unsigned lang = 0; lang < WORDS_LANGS_MAX; lang++) {
        bool there = (c->s->view->langs >> lang & 1) != 0;
        c->stops[lang] += there && words_stop_in(lang, word->folded) ? 1 : 0;
    }
}

/* The language whose stop words the query is written with: the view's own when it has but one, else the one that most
 * of them are of, English when they do not tell. */
static unsigned query_language(struct cutter *c)
{
    uint32_t langs = c->s->view->langs;
    if (langs != 0 && (langs & (langs - 1)) == 0) {
        return (unsigned)__builtin_ctz(langs);
    }
    words_each(c->s->scratch->words, c->s->q->text, count_stops, c);
    unsigned best = WORDS_LANG_ENGLISH;
    for (unsigned lang = 0; lang < WORDS_LANGS_MAX; lang++) {
        best = c->stops[lang] > c->stops[best] && c->stops[lang] >= STOPS_TELL ? lang : best;
    }
    return best;
}

static void cut(struct cutter *c)
{
    struct search *s = c->s;
    struct query_part *parts = NULL;
    size_t n = query_text_parse(s->arena, s->q->text, &parts);
    for (size_t i = 0; i < n; i++) {
        c->prefix = parts[i].kind == QUERY_PREFIX;
        c->phrase = NULL;
        if (parts[i].kind == QUERY_PHRASE && s->n_phrases < PHRASES_MAX) {
            c->phrase = &s->phrases[s->n_phrases];
            *c->phrase = (struct phrase){ARENA_ARRAY(s->arena, struct str, PHRASE_WORDS_MAX),
                                         ARENA_ARRAY(s->arena, bool, PHRASE_WORDS_MAX), 0};
        }
        words_each(s->scratch->words, parts[i].text, add_word, c);
        s->n_phrases += c->phrase != NULL && c->phrase->n > 1 ? 1 : 0;
    }
}

/* ---- pairs ---- */

static double word_idf(const struct search *s, const struct query_word *q)
{
    double least = INFINITY;
    for (size_t i = 0; i < s->n_terms; i++) {
        for (size_t k = 0; k < q->n; k++) {
            const struct term *t = &s->terms[i];
            least = t->prefix.ptr == NULL && str_eq(t->stem, q->stems[k]) && t->idf < least ? t->idf : least;
        }
    }
    return least;
}

static const uint16_t *sequence_words(struct search *s, const struct query_word *q)
{
    uint16_t *words = ARENA_ARRAY(s->arena, uint16_t, q->n + 1);
    for (size_t i = 0; i < q->n; i++) {
        words[i] = segment_word(q->stems[i]);
    }
    return words;
}

static void make_pairs(struct cutter *c, bool stops)
{
    struct search *s = c->s;
    const struct query_word *last = NULL;
    s->pairs = ARENA_ARRAY(s->arena, struct pair, c->n_words + 1);
    for (size_t i = 0; i < c->n_words; i++) {
        const struct query_word *q = &c->words[i];
        if (q->n == 0 || (q->stop && !stops)) {
            continue;
        }
        double here = word_idf(s, q), before = last != NULL ? word_idf(s, last) : INFINITY;
        if (last != NULL && !str_eq(last->stems[0], q->stems[0]) && here < INFINITY && before < INFINITY) {
            s->pairs[s->n_pairs++] = (struct pair){.idf = here < before ? here : before,
                                                   .words = {sequence_words(s, last), sequence_words(s, q)},
                                                   .n = {last->n, q->n}};
        }
        last = q;
    }
}

static void weigh_spelt(struct cutter *c)
{
    struct search *s = c->s;
    s->spelt = ARENA_ARRAY(s->arena, struct spelt, c->n_spelt + 1);
    for (size_t i = 0; i < c->n_spelt; i++) {
        double idf = word_idf(s, &c->spelt[i]);
        if (idf < INFINITY) {
            s->spelt[s->n_spelt++] = (struct spelt){c->spelt[i].folded, idf};
        }
    }
}

void lexical_terms(struct search *s)
{
    struct cutter c = {.s = s, .words = ARENA_ARRAY(s->arena, struct query_word, TERMS_MAX)};
    c.spelt = ARENA_ARRAY(s->arena, struct query_word, TERMS_MAX);
    s->terms = ARENA_ARRAY(s->arena, struct term, TERMS_MAX);
    s->phrases = ARENA_ARRAY(s->arena, struct phrase, PHRASES_MAX);
    c.lang = query_language(&c);
    cut(&c);
    size_t meaningful = 0, kept = 0;
    for (size_t i = 0; i < s->n_terms; i++) {
        meaningful += s->terms[i].stop ? 0 : 1;
    }
    for (size_t i = 0; i < s->n_terms; i++) {
        if (meaningful == 0 || !s->terms[i].stop) {
            s->terms[kept++] = s->terms[i];
        }
    }
    s->n_terms = kept;
    for (size_t i = 0; i < kept; i++) {
        weigh(s, &s->terms[i]);
    }
    weigh_groups(s);
    make_pairs(&c, meaningful == 0);
    weigh_spelt(&c);
}
