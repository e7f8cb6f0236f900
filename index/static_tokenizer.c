/*
 * Text to token ids.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/static_tokenizer_priv.h"

/* One text on its way to ids. */
struct encoding {
    const struct static_tokenizer *t;
    uint32_t *ids;
    size_t n, max;
    struct static_pieces pieces;
    struct buf spare;
    struct viterbi *best; /* of Unigram: one more than bytes of the piece */
    size_t cap;
};

/* The best way found to where a piece ends. */
struct viterbi {
    double score;
    uint32_t from, id;
    bool reached;
};

static void put_id(struct encoding *e, uint32_t id)
{
    if (e->n < e->max) {
        e->ids[e->n++] = id;
    }
}

/* ---- models ---- */

static size_t count_characters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80 ? 1 : 0;
    }
    return n;
}

/* A word with any part that is in no piece is unknown as a whole. */
static void encode_wordpiece(struct encoding *e, struct str word)
{
    const struct static_tokenizer *t = e->t;
    size_t start = e->n, at = 0, len = 0;
    bool known = word.len <= t->word_max || count_characters(word) <= t->word_max;
    while (known && at < word.len) {
        uint32_t node = at == 0 ? STATIC_TRIE_ROOT : t->continuation, id = STATIC_NONE;
        if (node != STATIC_NONE) {
            id = static_trie_longest(t->vocabulary, node, (struct str){word.ptr + at, word.len - at}, &len);
        }
        known = id != STATIC_NONE;
        if (known) {
            put_id(e, id);
            at += len;
        }
    }
    if (!known && start < e->max) {
        e->n = start;
        put_id(e, t->unknown);
    }
}

static void reach(struct viterbi *v, double score, size_t from, uint32_t id)
{
    if (!v->reached || score > v->score) {
        *v = (struct viterbi){.score = score, .from = (uint32_t)from, .id = id, .reached = true};
    }
}

/* Fills e->best for all ends of pieces in `text`. */
static void viterbi(struct encoding *e, struct str text)
{
    const struct static_tokenizer *t = e->t;
    memset(e->best, 0, (text.len + 1) * sizeof(*e->best));
    e->best[0].reached = true;
    for (size_t at = 0, len = 0; at < text.len; at += len) {
        double here = e->best[at].score;
        uint32_t node = STATIC_TRIE_ROOT;
        bool single = false;
        len = str_utf8_len(text.ptr + at, text.len - at);
        for (size_t to = at; to < text.len;) {
            node = static_trie_step(t->vocabulary, node, (unsigned char)text.ptr[to++]);
            if (node == STATIC_NONE) {
                break;
            }
            uint32_t id = static_trie_id(t->vocabulary, node);
            if (id != STATIC_NONE) {
                reach(&e->best[to], here + t->scores[id], at, id);
                single = single || to - at == len;
            }
        }
        if (!single) {
            reach(&e->best[at + len], here + t->unknown_score, at, STATIC_NONE);
        }
    }
}

/* What no piece covers: its bytes where the vocabulary has them, else one unknown token for the whole stretch. */
static void put_unknown(struct encoding *e, struct str text)
{
    if (!e->t->byte_fallback) {
        if (e->t->unknown != STATIC_NONE) {
            put_id(e, e->t->unknown);
        }
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        put_id(e, e->t->bytes[(unsigned char)text.ptr[i]]);
    }
}

static void encode_unigram(struct encoding *e, struct str text)
{
    if (text.len + 1 > e->cap) {
        e->cap = text.len + text.len / 2 + 64;
        free(e->best);
        e->best = mem_calloc(e->cap, sizeof(*e->best));
    }
    viterbi(e, text);
    /* The way back is turned round in place: `from` of a piece's start then says where the piece ends. */
    size_t to = text.len;
    uint32_t next = (uint32_t)text.len, next_id = STATIC_NONE;
    while (to > 0) {
        struct viterbi *v = &e->best[to];
        uint32_t from = v->from, id = v->id;
        v->from = next;
        v->id = next_id;
        next = (uint32_t)to;
        next_id = id;
        to = from;
    }
    e->best[0].from = next;
    e->best[0].id = next_id;
    for (size_t at = 0; at < text.len && e->n < e->max;) {
        size_t end = e->best[at].from;
        if (e->best[at].id != STATIC_NONE) {
            put_id(e, e->best[at].id);
        } else {
            while (end < text.len && e->best[end].id == STATIC_NONE) {
                end = e->best[end].from;
            }
            put_unknown(e, (struct str){text.ptr + at, end - at});
        }
        at = end;
    }
}

/* ---- what comes before the model ---- */

/* Encodes e->pieces.text, which is in its normal form. */
static void encode_plain(struct encoding *e, bool first)
{
    struct static_pieces *p = &e->pieces;
    static_split(e->t->splitter, p, first);
    for (size_t i = 0; i < p->spans.n && e->n < e->max; i++) {
        struct str piece = {p->text.data + p->spans.items[i].from, p->spans.items[i].to - p->spans.items[i].from};
        if (e->t->unigram) {
            encode_unigram(e, piece);
        } else {
            encode_wordpiece(e, piece);
        }
    }
}

/* Whether the character that ends at, or begins at, `at` belongs to a word. */
static bool word_before(struct str s, size_t at)
{
    uint32_t cp = 0;
    size_t from = at;
    while (from > 0 && ((unsigned char)s.ptr[from - 1] & 0xc0) == 0x80) {
        from--;
    }
    if (from == 0) {
        return false;
    }
    (void)str_utf8_next(s.ptr + from - 1, at - from + 1, &cp);
    return static_is_word(cp);
}

static bool word_after(struct str s, size_t at)
{
    uint32_t cp = 0;
    if (at < s.len) {
        (void)str_utf8_next(s.ptr + at, s.len - at, &cp);
    }
    return at < s.len && static_is_word(cp);
}

/* The start of the white space that ends at `at`, not before `least`; and the end of that which begins there. */
static size_t space_before(struct str s, size_t at, size_t least)
{
    while (at > least) {
        uint32_t cp = 0;
        size_t from = at - 1;
        while (from > least && ((unsigned char)s.ptr[from] & 0xc0) == 0x80) {
            from--;
        }
        (void)str_utf8_next(s.ptr + from, at - from, &cp);
        if (!static_is_space(cp)) {
            break;
        }
        at = from;
    }
    return at;
}

static size_t space_after(struct str s, size_t at)
{
    while (at < s.len) {
        uint32_t cp = 0;
        size_t len = str_utf8_next(s.ptr + at, s.len - at, &cp);
        if (!static_is_space(cp)) {
            break;
        }
        at += len;
    }
    return at;
}

/* The next added token at or after *from: its place and end; false when there is none. */
static bool next_added(const struct added_tokens *a, struct str s, size_t from, size_t *start, size_t *end,
                       const struct added_token **token)
{
    for (size_t at = from, len = 0; a->n > 0 && at < s.len; at += len) {
        uint32_t place = STATIC_NONE;
        len = 1;
        if (!a->starts[(unsigned char)s.ptr[at]]) {
            continue;
        }
        place = static_trie_longest(a->trie, STATIC_TRIE_ROOT, (struct str){s.ptr + at, s.len - at}, &len);
        if (place == STATIC_NONE) {
            len = 1;
            continue;
        }
        *token = &a->tokens[place];
        if ((*token)->single_word && (word_before(s, at) || word_after(s, at + len))) {
            continue;
        }
        *start = at;
        *end = at + len;
        return true;
    }
    return false;
}

typedef void text_fn(struct encoding *e, struct str text, bool first);

/* Gives the stretches between added tokens to `fn`, and the tokens' ids to the encoding, in order. */
static void around_added(struct encoding *e, const struct added_tokens *a, struct str s, bool first, text_fn *fn)
{
    size_t done = 0, start = 0, end = 0;
    const struct added_token *token = NULL;
    while (done < s.len && e->n < e->max && next_added(a, s, done, &start, &end, &token)) {
        start = token->lstrip ? space_before(s, start, done) : start;
        end = token->rstrip ? space_after(s, end) : end;
        if (start > done) {
            fn(e, (struct str){s.ptr + done, start - done}, first && done == 0);
        }
        put_id(e, token->id);
        done = end;
    }
    if (done < s.len && e->n < e->max) {
        fn(e, (struct str){s.ptr + done, s.len - done}, first && done == 0);
    }
}

static void encode_normal(struct encoding *e, struct str text, bool first)
{
    e->pieces.text.len = 0;
    static_put(&e->pieces.text, text.ptr, text.len);
    encode_plain(e, first);
}

static void encode_raw(struct encoding *e, struct str text, bool first)
{
    e->pieces.text.len = 0;
    static_put(&e->pieces.text, text.ptr, text.len);
    static_normalise(e->t->normaliser, &e->pieces.text, &e->spare);
    if (e->t->normalised.n == 0) {
        encode_plain(e, first);
        return;
    }
    struct buf whole = {0};
    buf_put(&whole, e->pieces.text.data, e->pieces.text.len);
    around_added(e, &e->t->normalised, buf_str(&whole), first, encode_normal);
    buf_free(&whole);
}

size_t static_tokenizer_encode(const struct static_tokenizer *t, struct str text, size_t max, uint32_t *ids)
{
    struct encoding e = {.t = t, .ids = ids, .max = max};
    if (text.len > STATIC_TEXT_MAX) {
        text.len = STATIC_TEXT_MAX;
        text.len = str_utf8_cut(text);
    }
    if (text.len > 0 && str_utf8_valid(text)) {
        around_added(&e, &t->raw, text, true, encode_raw);
    }
    static_pieces_free(&e.pieces);
    buf_free(&e.spare);
    free(e.best);
    return e.n;
}

size_t static_tokenizer_size(const struct static_tokenizer *t)
{
    return t->size;
}

uint32_t static_tokenizer_unknown(const struct static_tokenizer *t)
{
    return t->unknown;
}

size_t static_tokenizer_median(const struct static_tokenizer *t)
{
    return t->median;
}
