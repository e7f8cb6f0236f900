#include "index/words.h"

#include <assert.h>
#include <libstemmer.h>
#include <string.h>
#include <utf8proc.h>

#include "base/arena.h"

/* The order is part of the files' format: only ever append. */
static const struct {
    char code[4];
    const char *stemmer; /* NULL: folding alone */
} languages[] = {
    {"en", "english"},    {"", NULL},         {"ar", "arabic"},     {"hy", "armenian"},  {"eu", "basque"},
    {"ca", "catalan"},    {"da", "danish"},   {"nl", "dutch"},      {"fi", "finnish"},   {"fr", "french"},
    {"de", "german"},     {"el", "greek"},    {"hi", "hindi"},      {"hu", "hungarian"}, {"id", "indonesian"},
    {"ga", "irish"},      {"it", "italian"},  {"lt", "lithuanian"}, {"ne", "nepali"},    {"no", "norwegian"},
    {"pt", "portuguese"}, {"ro", "romanian"}, {"ru", "russian"},    {"sr", "serbian"},   {"es", "spanish"},
    {"sv", "swedish"},    {"ta", "tamil"},    {"tr", "turkish"},    {"yi", "yiddish"},   {"nb", "norwegian"},
};
enum { LANGUAGES = sizeof(languages) / sizeof(languages[0]) };
_Static_assert((int)LANGUAGES <= (int)WORDS_LANGS_MAX, "a segment keeps its languages in 32 bits");

/* Sorted, for a binary search. */
static const char stop_words[][12] = {
    "a",     "about", "an",    "and",    "any",   "are",  "as",    "at",   "be",   "been", "but",   "by",    "can",
    "could", "did",   "do",    "does",   "for",   "from", "had",   "has",  "have", "he",   "her",   "his",   "how",
    "i",     "if",    "in",    "into",   "is",    "it",   "its",   "may",  "me",   "my",   "no",    "not",   "of",
    "on",    "or",    "our",   "should", "so",    "some", "such",  "than", "that", "the",  "their", "them",  "then",
    "there", "these", "they",  "this",   "those", "to",   "was",   "we",   "were", "what", "when",  "where", "which",
    "who",   "whom",  "whose", "why",    "will",  "with", "would", "you",  "your",
};

enum kind { KIND_GAP, KIND_LETTER, KIND_DIGIT, KIND_UNDERSCORE, KIND_DOT, KIND_HYPHEN, KIND_APOSTROPHE, KIND_PAIRED };

struct words {
    struct sb_stemmer *stemmers[LANGUAGES]; /* made when first needed */
    char stem[4 * WORDS_LEN_MAX];
};

struct words *words_new(void)
{
    return mem_calloc(1, sizeof(struct words));
}

void words_free(struct words *w)
{
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; i < LANGUAGES; i++) {
        if (w->stemmers[i] != NULL) {
            sb_stemmer_delete(w->stemmers[i]);
        }
    }
    free(w);
}

unsigned words_lang(struct str language)
{
    size_t n = 0;
    while (n < language.len && language.ptr[n] != '-' && language.ptr[n] != '_') {
        n++;
    }
    struct str code = {language.ptr, n};
    if (n == 0 || str_eqc(code, "und")) {
        return WORDS_LANG_ENGLISH;
    }
    for (unsigned i = 0; i < LANGUAGES; i++) {
        if (str_eqc(code, languages[i].code)) {
            return i;
        }
    }
    return WORDS_LANG_NONE;
}

bool words_stop(struct str folded)
{
    size_t lo = 0, hi = sizeof(stop_words) / sizeof(stop_words[0]);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2, n = strlen(stop_words[mid]);
        int cmp = memcmp(folded.ptr, stop_words[mid], folded.len < n ? folded.len : n);
        if (cmp == 0) {
            cmp = (folded.len > n) - (folded.len < n);
        }
        if (cmp == 0) {
            return true;
        }
        if (cmp < 0) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return false;
}

/* Scripts written without blanks between words, and Hangul, whose words carry their particles. */
static bool is_paired(uint32_t cp)
{
    return (cp >= 0x0E00 && cp <= 0x0EFF) || (cp >= 0x1000 && cp <= 0x109F) || (cp >= 0x1780 && cp <= 0x17FF) ||
           (cp >= 0x3040 && cp <= 0x30FF) || (cp >= 0x3400 && cp <= 0x4DBF) || (cp >= 0x4E00 && cp <= 0x9FFF) ||
           (cp >= 0xAC00 && cp <= 0xD7A3) || (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x20000 && cp <= 0x3FFFF);
}

static enum kind kind_of(uint32_t cp)
{
    if (cp < 0x80) {
        if ((cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z')) {
            return KIND_LETTER;
        }
        return cp >= '0' && cp <= '9' ? KIND_DIGIT
               : cp == '_'            ? KIND_UNDERSCORE
               : cp == '.'            ? KIND_DOT
               : cp == '-'            ? KIND_HYPHEN
               : cp == '\''           ? KIND_APOSTROPHE
                                      : KIND_GAP;
    }
    if (cp == 0x2019) {
        return KIND_APOSTROPHE;
    }
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    bool letter = c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_ME;
    bool digit = c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
    return !letter && !digit ? KIND_GAP : is_paired(cp) ? KIND_PAIRED : digit ? KIND_DIGIT : KIND_LETTER;
}

/* Where the scanner stands: the text, and the code point at `at`. */
struct scan {
    struct str text;
    size_t at, len; /* len 0: the end */
    uint32_t cp;
    enum kind kind;
};

static void scan_look(struct scan *s)
{
    const char *p = s->text.ptr + s->at;
    size_t left = s->text.len - s->at;
    s->kind = KIND_GAP;
    if (left == 0) {
        s->len = 0;
        return;
    }
    if ((unsigned char)*p < 0x80) {
        s->len = 1;
        s->cp = (unsigned char)*p;
    } else if (str_utf8_len(p, left) > 0) {
        s->len = str_utf8_next(p, left, &s->cp);
    } else {
        s->len = 1;
        return;
    }
    s->kind = kind_of(s->cp);
}

static void scan_step(struct scan *s)
{
    s->at += s->len;
    scan_look(s);
}

/* The word being gathered, folded; `cuts` are the places at which an identifier is split. */
struct gather {
    char text[WORDS_LEN_MAX];
    size_t len;
    uint8_t cuts[WORDS_LEN_MAX];
    size_t cut_at[WORDS_LEN_MAX]; /* the same places in the text */
    size_t n_cuts;
    bool full;
};

static void gather_put(struct gather *g, const char *p, size_t n)
{
    if (g->full || g->len + n > sizeof(g->text)) {
        g->full = true;
        return;
    }
    memcpy(g->text + g->len, p, n);
    g->len += n;
}

static void gather_cut(struct gather *g, char connector, size_t at)
{
    if (!g->full && g->n_cuts < sizeof(g->cuts)) {
        g->cut_at[g->n_cuts] = at;
        g->cuts[g->n_cuts++] = (uint8_t)g->len;
    }
    gather_put(g, &connector, 1);
}

/* Folds one code point: case and compatibility, decomposed; composing is left to gather_compose. */
static void gather_fold(struct gather *g, uint32_t cp)
{
    if (cp < 0x80) {
        char c = (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp);
        gather_put(g, &c, 1);
        return;
    }
    utf8proc_int32_t out[32];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(
        (utf8proc_int32_t)cp, out, 32,
        UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE | UTF8PROC_STABLE | UTF8PROC_COMPOSE, &boundary);
    for (utf8proc_ssize_t i = 0; i < n && i < 32; i++) {
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t len = utf8proc_encode_char(out[i], bytes);
        if (len > 0 && kind_of((uint32_t)out[i]) != KIND_GAP) {
            gather_put(g, (const char *)bytes, (size_t)len);
        }
    }
}

/* Canonical order and composition of a word with non-ASCII letters, as the stemmers expect it. */
static size_t compose(char *text, size_t len)
{
    bool ascii = true;
    for (size_t i = 0; i < len && ascii; i++) {
        ascii = (unsigned char)text[i] < 0x80;
    }
    if (ascii) {
        return len;
    }
    utf8proc_int32_t cps[WORDS_LEN_MAX];
    size_t n = 0;
    for (size_t at = 0; at < len;) {
        uint32_t cp = 0;
        at += str_utf8_next(text + at, len - at, &cp);
        cps[n++] = (utf8proc_int32_t)cp;
    }
    utf8proc_ssize_t m = utf8proc_normalize_utf32(cps, (utf8proc_ssize_t)n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    size_t out = 0;
    for (utf8proc_ssize_t i = 0; i < m; i++) {
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t k = utf8proc_encode_char(cps[i], bytes);
        if (k > 0 && out + (size_t)k <= WORDS_LEN_MAX) {
            memcpy(text + out, bytes, (size_t)k);
            out += (size_t)k;
        }
    }
    return out;
}

/* The folded text of `word` is composed, and the word given out. */
static void emit(const char *text, size_t len, struct word word, words_fn *fn, void *ctx)
{
    char copy[WORDS_LEN_MAX];
    if (len == 0) {
        return;
    }
    memcpy(copy, text, len);
    size_t n = compose(copy, len);
    if (n > 0) {
        word.folded = (struct str){copy, n};
        fn(ctx, &word);
    }
}

/* Connectors are one byte, in the text as in the folded word. */
static void gather_emit(struct gather *g, size_t begin, size_t end, words_fn *fn, void *ctx)
{
    emit(g->text, g->len, (struct word){.from = begin, .to = end}, fn, ctx);
    size_t from = 0, at = begin;
    for (size_t i = 0; i <= g->n_cuts && g->n_cuts > 0; i++) {
        size_t to = i < g->n_cuts ? g->cuts[i] : g->len, until = i < g->n_cuts ? g->cut_at[i] : end;
        emit(g->text + from, to - from, (struct word){.from = at, .to = until, .part = true}, fn, ctx);
        from = to + 1;
        at = until + 1;
    }
}

static bool is_alnum(enum kind k)
{
    return k == KIND_LETTER || k == KIND_DIGIT;
}

/* An apostrophe joins ("server's") after three letters or more and separates after fewer ("l'index"). */
static bool joins(const struct gather *g, enum kind connector, enum kind before, enum kind after)
{
    switch (connector) {
    case KIND_UNDERSCORE:
        return after == KIND_UNDERSCORE || is_alnum(after);
    case KIND_HYPHEN:
        return false;
    case KIND_DOT:
        return before == KIND_DIGIT && after == KIND_DIGIT;
    case KIND_APOSTROPHE:
        return before == KIND_LETTER && after == KIND_LETTER && g->len > 2 && g->n_cuts == 0;
    case KIND_GAP:
    case KIND_LETTER:
    case KIND_DIGIT:
    case KIND_PAIRED:
    default:
        return false;
    }
}

static void scan_word(struct scan *s, words_fn *fn, void *ctx)
{
    struct gather g = {.len = 0};
    enum kind before = KIND_GAP;
    size_t begin = s->at;
    for (;;) {
        if (is_alnum(s->kind)) {
            gather_fold(&g, s->cp);
            before = s->kind;
            scan_step(s);
            continue;
        }
        struct scan ahead = *s;
        if (s->kind != KIND_GAP && s->kind != KIND_PAIRED) {
            scan_step(&ahead);
        }
        if (!joins(&g, s->kind, before, ahead.kind)) {
            break;
        }
        if (s->kind == KIND_APOSTROPHE) {
            gather_put(&g, "'", 1);
        } else {
            gather_cut(&g, s->kind == KIND_DOT ? '.' : '_', s->at);
        }
        before = s->kind;
        *s = ahead;
    }
    gather_emit(&g, begin, s->at, fn, ctx);
}

static void scan_pairs(struct scan *s, words_fn *fn, void *ctx)
{
    struct gather prev = {.len = 0};
    size_t prev_at = s->at;
    bool paired = false;
    for (; s->kind == KIND_PAIRED; scan_step(s)) {
        struct gather now = {.len = 0};
        gather_fold(&now, s->cp);
        if (prev.len > 0 && now.len > 0) {
            struct gather both = prev;
            gather_put(&both, now.text, now.len);
            fn(ctx, &(struct word){{both.text, both.len}, .from = prev_at, .to = s->at + s->len, .pair = true});
            paired = true;
        }
        if (now.len > 0) {
            prev = now;
            prev_at = s->at;
        }
    }
    if (!paired && prev.len > 0) {
        fn(ctx, &(struct word){{prev.text, prev.len}, .from = prev_at, .to = s->at, .pair = true});
    }
}

void words_each(struct words *w, struct str text, words_fn *fn, void *ctx)
{
    assert(w != NULL);
    if (text.len == 0) {
        return;
    }
    struct scan s = {.text = text};
    scan_look(&s);
    while (s.len > 0) {
        if (is_alnum(s.kind)) {
            scan_word(&s, fn, ctx);
        } else if (s.kind == KIND_PAIRED) {
            scan_pairs(&s, fn, ctx);
        } else {
            scan_step(&s);
        }
    }
}

/* Removes combining accents (U+0300 to U+036F) after decomposition; other scripts' marks are letters to their words. */
static size_t strip_accents(const char *in, size_t len, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t at = 0; at < len;) {
        if ((unsigned char)in[at] < 0x80) {
            if (n < cap) {
                out[n++] = in[at];
            }
            at++;
            continue;
        }
        uint32_t cp = 0;
        at += str_utf8_next(in + at, len - at, &cp);
        utf8proc_int32_t parts[8];
        int boundary = 0;
        utf8proc_ssize_t m =
            utf8proc_decompose_char((utf8proc_int32_t)cp, parts, 8, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &boundary);
        bool accents = cp < 0x0530 || (cp >= 0x1E00 && cp <= 0x1FFF);
        for (utf8proc_ssize_t i = 0; i < m && i < 8; i++) {
            utf8proc_uint8_t bytes[4];
            utf8proc_ssize_t k = utf8proc_encode_char(parts[i], bytes);
            bool mark = accents && parts[i] >= 0x0300 && parts[i] <= 0x036F;
            if (!mark && k > 0 && n + (size_t)k <= cap) {
                memcpy(out + n, bytes, (size_t)k);
                n += (size_t)k;
            }
        }
    }
    return n;
}

struct str words_stem(struct words *w, unsigned lang, const struct word *word)
{
    assert(lang < WORDS_LANGS_MAX);
    const char *p = word->folded.ptr;
    size_t n = word->folded.len;
    if (!word->pair && lang < LANGUAGES && languages[lang].stemmer != NULL) {
        if (w->stemmers[lang] == NULL) {
            w->stemmers[lang] = sb_stemmer_new(languages[lang].stemmer, "UTF_8");
        }
        const sb_symbol *stem = NULL;
        if (w->stemmers[lang] != NULL) {
            stem = sb_stemmer_stem(w->stemmers[lang], (const sb_symbol *)p, (int)n);
        }
        if (stem != NULL && sb_stemmer_length(w->stemmers[lang]) > 0) {
            p = (const char *)stem;
            n = (size_t)sb_stemmer_length(w->stemmers[lang]);
        }
    }
    return (struct str){w->stem, strip_accents(p, n, w->stem, sizeof(w->stem))};
}
