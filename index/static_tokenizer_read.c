/*
 * tokenizer.json to a tokenizer.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"
#include "index/static_tokenizer_priv.h"

#define UNKNOWN_PENALTY 10.0 /* by how much an unknown character is less probable than the least probable piece */

/* What is gathered while the vocabulary is read. */
struct reading {
    struct static_tokenizer *t;
    struct static_piece *pieces;          /* with room for all */
    size_t n, n_model;                    /* pieces; those of the model, before the added ones */
    size_t lengths[STATIC_PIECE_MAX + 1]; /* tokens by characters */
};

static enum assay_code refuse(struct err *err, const char *why)
{
    return err_set(err, ASSAY_INVALID, "model-unusable", "tokenizer.json: %s", why);
}

static size_t characters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80 ? 1 : 0;
    }
    return n;
}

/* An empty piece keeps its id but is found nowhere. */
static enum assay_code add_piece(struct reading *r, const char *text, const json_t *id, struct err *err)
{
    struct str s = str_of(text);
    json_int_t number = json_integer_value(id);
    if (s.ptr == NULL || s.len > STATIC_PIECE_MAX) {
        return refuse(err, "a token is no string, or longer than 1024 bytes");
    }
    if (!json_is_integer(id) || number < 0 || number >= STATIC_VOCABULARY_MAX) {
        return refuse(err, "an id is not a whole number from 0 to 2097151");
    }
    r->lengths[characters(s)]++;
    r->t->size = (size_t)number + 1 > r->t->size ? (size_t)number + 1 : r->t->size;
    if (s.len > 0) {
        r->pieces[r->n++] = (struct static_piece){s, (uint32_t)number};
    }
    return ASSAY_OK;
}

/* ---- models ---- */

static enum assay_code read_wordpiece(struct reading *r, const json_t *model, struct err *err)
{
    struct static_tokenizer *t = r->t;
    json_t *vocabulary = json_object_get(model, "vocab");
    const json_t *most = json_object_get(model, "max_input_chars_per_word");
    const char *unknown = static_member_text(model, "unk_token");
    const char *prefix = static_member_text(model, "continuing_subword_prefix");
    size_t n = json_object_size(vocabulary);
    if (n == 0 || n > STATIC_VOCABULARY_MAX) {
        return refuse(err, "the vocabulary is no object, empty or too large");
    }
    r->pieces = mem_calloc(n, sizeof(*r->pieces));
    for (void *it = json_object_iter(vocabulary); it != NULL; it = json_object_iter_next(vocabulary, it)) {
        TRY(add_piece(r, json_object_iter_key(it), json_object_iter_value(it), err));
    }
    t->vocabulary = static_trie_new(r->pieces, r->n);
    t->continuation = static_trie_walk(t->vocabulary, STATIC_TRIE_ROOT, str_of(prefix != NULL ? prefix : "##"));
    uint32_t node = static_trie_walk(t->vocabulary, STATIC_TRIE_ROOT, str_of(unknown != NULL ? unknown : "[UNK]"));
    t->unknown = node != STATIC_NONE ? static_trie_id(t->vocabulary, node) : STATIC_NONE;
    if (t->unknown == STATIC_NONE) {
        return refuse(err, "unk_token is not in the vocabulary");
    }
    t->word_max = 100;
    if (most != NULL && (!json_is_integer(most) || json_integer_value(most) < 1 || json_integer_value(most) > 10000)) {
        return refuse(err, "max_input_chars_per_word is not from 1 to 10000");
    }
    if (most != NULL) {
        t->word_max = (size_t)json_integer_value(most);
    }
    return ASSAY_OK;
}

static enum assay_code read_bytes(struct static_tokenizer *t, struct err *err)
{
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        int len = snprintf(name, sizeof(name), "<0x%02X>", i);
        uint32_t node = static_trie_walk(t->vocabulary, STATIC_TRIE_ROOT, (struct str){name, (size_t)len});
        t->bytes[i] = node != STATIC_NONE ? static_trie_id(t->vocabulary, node) : STATIC_NONE;
        if (t->bytes[i] == STATIC_NONE) {
            return refuse(err, "byte_fallback is asked for, but the vocabulary has not all bytes");
        }
    }
    return ASSAY_OK;
}

static enum assay_code read_scores(struct reading *r, const json_t *vocabulary, struct err *err)
{
    struct static_tokenizer *t = r->t;
    size_t n = json_array_size(vocabulary);
    double least = INFINITY;
    t->scores = ARENA_ARRAY(t->arena, double, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(vocabulary, i), *score = json_array_get(entry, 1);
        json_t *id = json_integer((json_int_t)i);
        enum assay_code code = add_piece(r, json_string_value(json_array_get(entry, 0)), id, err);
        json_decref(id);
        TRY(code);
        if (!json_is_number(score)) {
            return refuse(err, "a score is no number");
        }
        t->scores[i] = json_number_value(score);
        least = t->scores[i] < least ? t->scores[i] : least;
    }
    t->unknown_score = least - UNKNOWN_PENALTY;
    return ASSAY_OK;
}

static enum assay_code read_unigram(struct reading *r, const json_t *model, struct err *err)
{
    struct static_tokenizer *t = r->t;
    const json_t *vocabulary = json_object_get(model, "vocab"), *unknown = json_object_get(model, "unk_id");
    size_t n = json_array_size(vocabulary);
    if (n == 0 || n > STATIC_VOCABULARY_MAX) {
        return refuse(err, "the vocabulary is no array, empty or too large");
    }
    r->pieces = mem_calloc(n, sizeof(*r->pieces));
    TRY(read_scores(r, vocabulary, err));
    t->vocabulary = static_trie_new(r->pieces, r->n);
    t->unigram = true;
    if (unknown != NULL && !json_is_null(unknown)) {
        if (!json_is_integer(unknown) || json_integer_value(unknown) < 0 || json_integer_value(unknown) >= (int64_t)n) {
            return refuse(err, "unk_id is not in the vocabulary");
        }
        t->unknown = (uint32_t)json_integer_value(unknown);
    }
    t->byte_fallback = static_member_bool(model, "byte_fallback", false);
    return t->byte_fallback ? read_bytes(t, err) : ASSAY_OK;
}

/* Older files name no type: an array of scored pieces is Unigram then. */
static enum assay_code read_model(struct reading *r, const json_t *model, struct err *err)
{
    const char *type = static_member_text(model, "type");
    if (type == NULL) {
        type = json_is_array(json_object_get(model, "vocab")) ? "Unigram" : "WordPiece";
    }
    if (strcmp(type, "WordPiece") == 0) {
        return read_wordpiece(r, model, err);
    }
    if (strcmp(type, "Unigram") == 0) {
        return read_unigram(r, model, err);
    }
    return err_set(err, ASSAY_INVALID, "model-unusable", "tokenizer.json: model \"%.40s\" is not supported", type);
}

/* ---- added tokens ---- */

static void add_to(struct added_tokens *a, struct static_piece *pieces, struct str text, const json_t *entry)
{
    if (text.len > 0) {
        a->starts[(unsigned char)text.ptr[0]] = true;
        pieces[a->n] = (struct static_piece){text, (uint32_t)a->n};
        a->tokens[a->n++] = (struct added_token){
            .id = (uint32_t)json_integer_value(json_object_get(entry, "id")),
            .single_word = static_member_bool(entry, "single_word", false),
            .lstrip = static_member_bool(entry, "lstrip", false),
            .rstrip = static_member_bool(entry, "rstrip", false),
        };
    }
}

/* Tokens that the model's vocabulary has already count once among the lengths. */
static enum assay_code count_added(struct reading *r, struct str content, const json_t *id, struct err *err)
{
    struct static_piece one[1];
    struct reading own = {.t = r->t, .pieces = one};
    TRY(add_piece(&own, content.ptr, id, err));
    uint32_t node = static_trie_walk(r->t->vocabulary, STATIC_TRIE_ROOT, content);
    if (node == STATIC_NONE || static_trie_id(r->t->vocabulary, node) == STATIC_NONE) {
        r->lengths[characters(content)]++;
    }
    return ASSAY_OK;
}

static enum assay_code read_added(struct reading *r, const json_t *list, struct err *err)
{
    struct static_tokenizer *t = r->t;
    struct arena *a = t->arena;
    size_t n = json_array_size(list);
    if (n > STATIC_ADDED_MAX) {
        return refuse(err, "there are more than 65536 added tokens");
    }
    struct static_piece *raw = ARENA_ARRAY(a, struct static_piece, n + 1);
    struct static_piece *normalised = ARENA_ARRAY(a, struct static_piece, n + 1);
    struct buf text = {0}, spare = {0};
    enum assay_code code = ASSAY_OK;
    t->raw.tokens = ARENA_ARRAY(a, struct added_token, n + 1);
    t->normalised.tokens = ARENA_ARRAY(a, struct added_token, n + 1);
    for (size_t i = 0; i < n && code == ASSAY_OK; i++) {
        const json_t *entry = json_array_get(list, i);
        struct str content = str_of(static_member_text(entry, "content"));
        code = count_added(r, content, json_object_get(entry, "id"), err);
        if (code != ASSAY_OK) {
            break;
        }
        if (!static_member_bool(entry, "normalized", !static_member_bool(entry, "special", false))) {
            add_to(&t->raw, raw, content, entry);
            continue;
        }
        text.len = 0;
        static_put(&text, content.ptr, content.len);
        static_normalise(t->normaliser, &text, &spare);
        add_to(&t->normalised, normalised, str_dup(a, buf_str(&text)), entry);
    }
    buf_free(&text);
    buf_free(&spare);
    t->raw.trie = static_trie_new(raw, t->raw.n);
    t->normalised.trie = static_trie_new(normalised, t->normalised.n);
    return code;
}

/* As numpy's median, the mean of the two in the middle rounded down. */
static size_t median(const struct reading *r)
{
    size_t total = 0, seen = 0, low = 0;
    bool has_low = false;
    for (size_t i = 0; i <= STATIC_PIECE_MAX; i++) {
        total += r->lengths[i];
    }
    for (size_t i = 0; i <= STATIC_PIECE_MAX; i++) {
        seen += r->lengths[i];
        if (!has_low && seen >= (total + 1) / 2) {
            low = i;
            has_low = true;
        }
        if (seen >= total / 2 + 1) {
            return (low + i) / 2;
        }
    }
    return 0;
}

static enum assay_code read_all(struct reading *r, const json_t *json, struct err *err)
{
    struct static_tokenizer *t = r->t;
    TRY(static_normaliser_read(t->arena, json_object_get(json, "normalizer"), &t->normaliser, err));
    TRY(static_splitter_read(t->arena, json_object_get(json, "pre_tokenizer"), &t->splitter, err));
    TRY(read_model(r, json_object_get(json, "model"), err));
    TRY(read_added(r, json_object_get(json, "added_tokens"), err));
    t->median = median(r);
    return ASSAY_OK;
}

enum assay_code static_tokenizer_read(struct str json, struct static_tokenizer **out, struct err *err)
{
    struct arena *scratch = arena_new(4096);
    struct reading *r = ARENA_NEW(scratch, struct reading);
    json_t *tree = NULL;
    struct err why = {0};
    r->t = mem_calloc(1, sizeof(*r->t));
    r->t->arena = arena_new(65536);
    r->t->unknown = STATIC_NONE;
    enum assay_code code = ASSAY_OK;
    if (json.len > STATIC_JSON_MAX) {
        code = refuse(err, "the file is larger than 128 MiB");
    } else if (json_parse_large(scratch, json, STATIC_VALUES_MAX, &tree, &why) != ASSAY_OK) {
        code = refuse(err, why.detail);
    } else {
        code = read_all(r, tree, err);
    }
    err_clear(&why);
    free(r->pieces);
    if (code == ASSAY_OK) {
        *out = r->t;
    } else {
        static_tokenizer_free(r->t);
    }
    arena_free(scratch);
    return code;
}

void static_tokenizer_free(struct static_tokenizer *t)
{
    if (t != NULL) {
        static_trie_free(t->vocabulary);
        static_trie_free(t->raw.trie);
        static_trie_free(t->normalised.trie);
        arena_free(t->arena);
        free(t);
    }
}
