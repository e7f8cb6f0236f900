/*
 * Pre-tokenisers of tokenizer.json.
 */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "index/static_text.h"

enum step_kind { STEP_BERT, STEP_WHITESPACE, STEP_WHITESPACE_SPLIT, STEP_PUNCTUATION, STEP_DIGITS, STEP_METASPACE };
enum prepend { PREPEND_NEVER, PREPEND_FIRST, PREPEND_ALWAYS };

struct step {
    enum step_kind kind;
    bool individual; /* of STEP_DIGITS */
    bool split;      /* of STEP_METASPACE, and below */
    struct str mark; /* stands for a blank */
    enum prepend prepend;
};

struct static_splitter {
    struct step steps[STATIC_STEPS_MAX];
    size_t n;
};

/* What a character does to the piece it stands in: ends it and goes, stands alone, or continues its like. */
enum class { CLASS_GONE, CLASS_ALONE, CLASS_ONE, CLASS_OTHER };

static bool is_number(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

static enum class classify(const struct step *s, uint32_t cp) {
    switch (s->kind){
        case STEP_BERT : return static_is_space(cp) ? CLASS_GONE
        : static_is_punctuation(cp)                 ? CLASS_ALONE
                                                    : CLASS_ONE;
        case STEP_WHITESPACE : return static_is_word(cp) ? CLASS_ONE
        : static_is_space(cp)                            ? CLASS_GONE
                                                         : CLASS_OTHER;
        case STEP_WHITESPACE_SPLIT : return static_is_space(cp) ? CLASS_GONE : CLASS_ONE;
        case STEP_PUNCTUATION : return static_is_punctuation(cp) ? CLASS_ALONE : CLASS_ONE;
        case STEP_DIGITS : return !is_number(cp) ? CLASS_ONE
        : s->individual                          ? CLASS_ALONE
                                                 : CLASS_OTHER;
        case STEP_METASPACE : break;
    }
return CLASS_ONE;
}

void static_pieces_free(struct static_pieces *p)
{
    buf_free(&p->text);
    buf_free(&p->spare);
    free(p->spans.items);
    free(p->spare_spans.items);
    *p = (struct static_pieces){0};
}

static void add(struct static_spans *spans, size_t from, size_t to)
{
    if (from == to) {
        return;
    }
    if (spans->n == spans->cap) {
        spans->cap = spans->cap * 2 + 64;
        spans->items = mem_realloc(spans->items, spans->cap * sizeof(*spans->items));
    }
    spans->items[spans->n++] = (struct static_span){from, to};
}

static void swap_spans(struct static_pieces *p)
{
    struct static_spans swap = p->spans;
    p->spans = p->spare_spans;
    p->spare_spans = swap;
}

static void split_classes(const struct step *s, struct static_pieces *p)
{
    struct static_spans *out = &p->spare_spans;
    out->n = 0;
    for (size_t k = 0; k < p->spans.n; k++) {
        size_t start = p->spans.items[k].from, end = p->spans.items[k].to;
        enum class before = CLASS_ALONE;
        for (size_t i = start, len = 0; i < end; i += len) {
            uint32_t cp = 0;
            len = str_utf8_next(p->text.data + i, end - i, &cp);
            enum class now = classify(s, cp);
            if (now != before || now == CLASS_ALONE) {
                add(out, start, i);
                start = i;
            }
            if (now == CLASS_GONE) {
                start = i + len;
            }
            before = now;
        }
        add(out, start, end);
    }
    swap_spans(p);
}

/* Appends a piece with its blanks replaced by the mark. */
static void put_metaspace(const struct step *s, struct str piece, bool prepend, struct buf *out)
{
    bool marked = piece.len >= s->mark.len && memcmp(piece.ptr, s->mark.ptr, s->mark.len) == 0;
    if (prepend && !marked && piece.ptr[0] != ' ') {
        static_put(out, s->mark.ptr, s->mark.len);
    }
    for (size_t i = 0; i < piece.len;) {
        const char *blank = memchr(piece.ptr + i, ' ', piece.len - i);
        size_t to = blank != NULL ? (size_t)(blank - piece.ptr) : piece.len;
        static_put(out, piece.ptr + i, to - i);
        if (blank != NULL) {
            static_put(out, s->mark.ptr, s->mark.len);
        }
        i = to + (blank != NULL ? 1 : 0);
    }
}

static void split_metaspace(const struct step *s, struct static_pieces *p, bool first)
{
    struct static_spans *out = &p->spare_spans;
    out->n = 0;
    p->spare.len = 0;
    for (size_t k = 0; k < p->spans.n; k++) {
        const struct static_span *span = &p->spans.items[k];
        bool prepend = s->prepend == PREPEND_ALWAYS || (s->prepend == PREPEND_FIRST && first && span->from == 0);
        size_t start = p->spare.len;
        put_metaspace(s, (struct str){p->text.data + span->from, span->to - span->from}, prepend, &p->spare);
        for (size_t i = start + 1; s->split && i + s->mark.len <= p->spare.len; i++) {
            if (memcmp(p->spare.data + i, s->mark.ptr, s->mark.len) == 0) {
                add(out, start, i);
                start = i;
                i += s->mark.len - 1;
            }
        }
        add(out, start, p->spare.len);
    }
    struct buf swap = p->text;
    p->text = p->spare;
    p->spare = swap;
    swap_spans(p);
}

void static_split(const struct static_splitter *s, struct static_pieces *p, bool first)
{
    p->spans.n = 0;
    add(&p->spans, 0, p->text.len);
    for (size_t i = 0; i < s->n; i++) {
        if (s->steps[i].kind == STEP_METASPACE) {
            split_metaspace(&s->steps[i], p, first);
        } else {
            split_classes(&s->steps[i], p);
        }
    }
}

/* ---- reading ---- */

static enum assay_code refuse(struct err *err, const char *name)
{
    return err_set(err, ASSAY_INVALID, "model-unusable", "tokenizer.json: pre_tokenizer \"%.40s\" is not supported",
                   name);
}

static enum assay_code read_metaspace(struct arena *keep, const json_t *json, struct step *s, struct err *err)
{
    const char *mark = static_member_text(json, "replacement"), *scheme = static_member_text(json, "prepend_scheme");
    s->kind = STEP_METASPACE;
    s->mark = str_dup(keep, str_of(mark != NULL ? mark : "\u2581"));
    s->split = static_member_bool(json, "split", true);
    s->prepend = static_member_bool(json, "add_prefix_space", true) ? PREPEND_ALWAYS : PREPEND_NEVER;
    if (s->mark.len == 0 || str_utf8_len(s->mark.ptr, s->mark.len) != s->mark.len) {
        return refuse(err, "Metaspace with a replacement that is not one character");
    }
    if (scheme != NULL && strcmp(scheme, "always") != 0 && strcmp(scheme, "never") != 0 &&
        strcmp(scheme, "first") != 0) {
        return refuse(err, "Metaspace with another prepend_scheme");
    }
    if (scheme != NULL) {
        s->prepend = scheme[0] == 'a' ? PREPEND_ALWAYS : scheme[0] == 'f' ? PREPEND_FIRST : PREPEND_NEVER;
    }
    return ASSAY_OK;
}

static enum assay_code read_step(struct arena *keep, const json_t *json, struct static_splitter *out, struct err *err)
{
    const char *type = static_member_text(json, "type");
    if (type != NULL && strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(json, "pretokenizers");
        for (size_t i = 0; i < json_array_size(list); i++) {
            TRY(read_step(keep, json_array_get(list, i), out, err));
        }
        return ASSAY_OK;
    }
    if (type == NULL || out->n == STATIC_STEPS_MAX) {
        return refuse(err, type == NULL ? "without type" : "a sequence of more than 256 steps");
    }
    struct step *s = &out->steps[out->n++];
    const char *behavior = static_member_text(json, "behavior");
    if (strcmp(type, "BertPreTokenizer") == 0) {
        s->kind = STEP_BERT;
    } else if (strcmp(type, "Whitespace") == 0) {
        s->kind = STEP_WHITESPACE;
    } else if (strcmp(type, "WhitespaceSplit") == 0) {
        s->kind = STEP_WHITESPACE_SPLIT;
    } else if (strcmp(type, "Punctuation") == 0 && (behavior == NULL || strcmp(behavior, "Isolated") == 0)) {
        s->kind = STEP_PUNCTUATION;
    } else if (strcmp(type, "Digits") == 0) {
        s->kind = STEP_DIGITS;
        s->individual = static_member_bool(json, "individual_digits", false);
    } else if (strcmp(type, "Metaspace") == 0) {
        return read_metaspace(keep, json, s, err);
    } else {
        return refuse(err, type);
    }
    return ASSAY_OK;
}

enum assay_code static_splitter_read(struct arena *keep, const json_t *json, const struct static_splitter **out,
                                     struct err *err)
{
    struct static_splitter *s = ARENA_NEW(keep, struct static_splitter);
    *out = s;
    return json == NULL || json_is_null(json) ? ASSAY_OK : read_step(keep, json, s, err);
}
