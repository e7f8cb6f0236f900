/*
 * Normalisers of tokenizer.json.
 */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "index/static_text.h"

enum step_kind {
    STEP_BERT,
    STEP_LOWERCASE,
    STEP_UNICODE, /* NFC, NFD, NFKC, NFKD */
    STEP_STRIP_ACCENTS,
    STEP_STRIP,
    STEP_REPLACE,
    STEP_PREPEND,
    STEP_NMT
};

/* What Replace looks for: bytes, or one repeated character (`\s+`, ` {2,}`). */
struct pattern {
    struct str literal; /* absent: one repeated character */
    bool space;         /* any white space, else `cp` */
    uint32_t cp;
    size_t least;
    bool repeat; /* as many as there are, else exactly `least` */
};

struct step {
    enum step_kind kind;
    bool clean, chinese, accents, lower; /* of STEP_BERT; `accents`: they are stripped */
    bool left, right;                    /* of STEP_STRIP */
    utf8proc_option_t options;           /* of STEP_UNICODE */
    struct pattern pattern;              /* of STEP_REPLACE */
    struct str content;                  /* of STEP_REPLACE and STEP_PREPEND */
};

struct static_normaliser {
    struct step steps[STATIC_STEPS_MAX];
    size_t n;
};

/* ---- classes and small helpers ---- */

bool static_is_space(uint32_t cp)
{
    return (cp >= 0x9 && cp <= 0xd) || cp == 0x20 || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f ||
           cp == 0x3000;
}

bool static_is_punctuation(uint32_t cp)
{
    if (cp < 0x80) {
        return (cp >= 33 && cp <= 47) || (cp >= 58 && cp <= 64) || (cp >= 91 && cp <= 96) || (cp >= 123 && cp <= 126);
    }
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool static_is_word(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC || cp == 0x200c ||
           cp == 0x200d || (cp >= 0x24b6 && cp <= 0x24e9);
}

static bool is_mark(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME;
}

/* What BERT drops; white space below 32 was seen to before. Unassigned code points stay. */
static bool is_control(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_CS ||
           c == UTF8PROC_CATEGORY_CO;
}

static bool is_chinese(uint32_t cp)
{
    return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) || (cp >= 0x20000 && cp <= 0x2a6df) ||
           (cp >= 0x2a700 && cp <= 0x2b73f) || (cp >= 0x2b740 && cp <= 0x2b81f) || (cp >= 0x2b920 && cp <= 0x2ceaf) ||
           (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x2f800 && cp <= 0x2fa1f);
}

const char *static_member_text(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

bool static_member_bool(const json_t *json, const char *name, bool preset)
{
    const json_t *v = json_object_get(json, name);
    return json_is_boolean(v) ? json_is_true(v) : preset;
}

void static_put(struct buf *out, const char *p, size_t n)
{
    if (out->len + n <= STATIC_TEXT_MAX) {
        buf_put(out, p, n);
    }
}

void static_put_char(struct buf *out, uint32_t cp)
{
    utf8proc_uint8_t bytes[4];
    if (cp < 0x80) {
        char c = (char)cp;
        static_put(out, &c, 1);
        return;
    }
    utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)cp, bytes);
    static_put(out, (const char *)bytes, n > 0 ? (size_t)n : 0);
}

/* Rust's char::to_lowercase: of one character alone, so that the final sigma is as any other. */
static void put_lower(struct buf *out, uint32_t cp)
{
    if (cp < 0x80) {
        static_put_char(out, cp >= 'A' && cp <= 'Z' ? cp + 32 : cp);
    } else if (cp == 0x130) {
        static_put(out, "i\xcc\x87", 3); /* the one letter whose small form is two characters */
    } else {
        static_put_char(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp));
    }
}

/* ---- steps: `in` to `out` ---- */

static void put_bert(const struct step *s, uint32_t cp, struct buf *out)
{
    utf8proc_int32_t parts[32];
    int boundary = 0;
    utf8proc_ssize_t n = 1;
    parts[0] = (utf8proc_int32_t)cp;
    if (s->accents) {
        n = utf8proc_decompose_char((utf8proc_int32_t)cp, parts, 32, UTF8PROC_DECOMPOSE, &boundary);
        n = n > 32 ? 0 : n;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        if (s->accents && utf8proc_category(parts[i]) == UTF8PROC_CATEGORY_MN) {
            continue;
        }
        if (s->lower) {
            put_lower(out, (uint32_t)parts[i]);
        } else {
            static_put_char(out, (uint32_t)parts[i]);
        }
    }
}

static void do_bert(const struct step *s, struct str in, struct buf *out)
{
    for (size_t i = 0; i < in.len;) {
        uint32_t cp = 0;
        i += str_utf8_next(in.ptr + i, in.len - i, &cp);
        if (cp >= 0x20 && cp < 0x7f) {
            static_put_char(out, s->lower && cp >= 'A' && cp <= 'Z' ? cp + 32 : cp);
            continue;
        }
        if (s->clean && (cp == '\t' || cp == '\n' || cp == '\r')) {
            cp = ' ';
        } else if (s->clean && (cp == 0xfffd || is_control(cp))) {
            continue;
        } else if (s->clean && static_is_space(cp)) {
            cp = ' ';
        }
        bool apart = s->chinese && is_chinese(cp);
        if (apart) {
            static_put_char(out, ' ');
        }
        put_bert(s, cp, out);
        if (apart) {
            static_put_char(out, ' ');
        }
    }
}

/* How SentencePiece's NMT rules see a character: 0 when it goes, a blank for what parts words. */
static uint32_t nmt(uint32_t cp)
{
    if ((cp >= 0x1 && cp <= 0x8) || cp == 0xb || (cp >= 0xe && cp <= 0x1f) || cp == 0x7f || cp == 0x8f || cp == 0x9f) {
        return 0;
    }
    bool blank = cp == 0x9 || cp == 0xa || cp == 0xc || cp == 0xd || cp == 0x1680 || (cp >= 0x200b && cp <= 0x200f) ||
                 cp == 0x2028 || cp == 0x2029 || cp == 0x2581 || cp == 0xfeff || cp == 0xfffd;
    return blank ? ' ' : cp;
}

static void do_characters(const struct step *s, struct str in, struct buf *out)
{
    for (size_t i = 0; i < in.len;) {
        uint32_t cp = 0;
        i += str_utf8_next(in.ptr + i, in.len - i, &cp);
        if (s->kind == STEP_LOWERCASE) {
            put_lower(out, cp);
        } else if (s->kind == STEP_NMT) {
            if (nmt(cp) != 0) {
                static_put_char(out, nmt(cp));
            }
        } else if (!is_mark(cp)) {
            static_put_char(out, cp);
        }
    }
}

static bool all_ascii(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static void do_unicode(const struct step *s, struct str in, struct buf *out)
{
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t n = -1;
    if (!all_ascii(in)) {
        n = utf8proc_map((const utf8proc_uint8_t *)in.ptr, (utf8proc_ssize_t)in.len, &mapped, s->options);
    }
    if (n >= 0) {
        struct str cut = {(const char *)mapped, (size_t)n < STATIC_TEXT_MAX ? (size_t)n : STATIC_TEXT_MAX};
        static_put(out, cut.ptr, str_utf8_cut(cut));
    } else {
        static_put(out, in.ptr, in.len);
    }
    free(mapped);
}

static void do_strip(const struct step *s, struct str in, struct buf *out)
{
    size_t from = in.len, to = 0;
    for (size_t i = 0, n = 0; i < in.len; i += n) {
        uint32_t cp = 0;
        n = str_utf8_next(in.ptr + i, in.len - i, &cp);
        if (!static_is_space(cp)) {
            from = i < from ? i : from;
            to = i + n;
        }
    }
    from = s->left ? from : 0;
    to = s->right ? to : in.len;
    if (from < to) {
        static_put(out, in.ptr + from, to - from);
    }
}

/* The bytes at the start of `text` that a repeated character fills; 0: too few. */
static size_t match(const struct pattern *p, struct str text)
{
    size_t len = 0, count = 0;
    while (len < text.len && (p->repeat || count < p->least)) {
        uint32_t cp = 0;
        size_t n = str_utf8_next(text.ptr + len, text.len - len, &cp);
        if (p->space ? !static_is_space(cp) : cp != p->cp) {
            break;
        }
        len += n;
        count++;
    }
    return count >= p->least ? len : 0;
}

static void replace_literal(const struct step *s, struct str in, struct buf *out)
{
    const struct str literal = s->pattern.literal;
    size_t done = 0, at = 0;
    while (literal.len > 0 && at < in.len && out->len < STATIC_TEXT_MAX) {
        const char *found = memchr(in.ptr + at, literal.ptr[0], in.len - at);
        if (found == NULL) {
            break;
        }
        at = (size_t)(found - in.ptr);
        if (in.len - at < literal.len || memcmp(found, literal.ptr, literal.len) != 0) {
            at++;
            continue;
        }
        static_put(out, in.ptr + done, at - done);
        static_put(out, s->content.ptr, s->content.len);
        at += literal.len;
        done = at;
    }
    static_put(out, in.ptr + done, in.len - done);
}

static void replace_repeated(const struct step *s, struct str in, struct buf *out)
{
    for (size_t i = 0; i < in.len;) {
        struct str rest = {in.ptr + i, in.len - i};
        size_t len = match(&s->pattern, rest);
        if (len > 0) {
            static_put(out, s->content.ptr, s->content.len);
            i += len;
        } else {
            len = str_utf8_len(rest.ptr, rest.len);
            static_put(out, rest.ptr, len > 0 ? len : 1);
            i += len > 0 ? len : 1;
        }
    }
}

static void run(const struct step *s, struct str in, struct buf *out)
{
    switch (s->kind) {
    case STEP_BERT:
        do_bert(s, in, out);
        break;
    case STEP_UNICODE:
        do_unicode(s, in, out);
        break;
    case STEP_STRIP:
        do_strip(s, in, out);
        break;
    case STEP_REPLACE:
        if (s->pattern.literal.ptr != NULL) {
            replace_literal(s, in, out);
        } else {
            replace_repeated(s, in, out);
        }
        break;
    case STEP_PREPEND:
        if (in.len > 0) {
            static_put(out, s->content.ptr, s->content.len);
            static_put(out, in.ptr, in.len);
        }
        break;
    case STEP_LOWERCASE:
    case STEP_STRIP_ACCENTS:
    case STEP_NMT:
        do_characters(s, in, out);
        break;
    }
}

/* A text may grow, but not by step after step: the work stays in proportion to what came in. */
void static_normalise(const struct static_normaliser *n, struct buf *text, struct buf *spare)
{
    size_t most = text->len * STATIC_GROWTH + 1024;
    for (size_t i = 0; i < n->n; i++) {
        spare->len = 0;
        run(&n->steps[i], buf_str(text), spare);
        struct buf swap = *text;
        *text = *spare;
        *spare = swap;
        if (text->len > most) {
            text->len = str_utf8_cut((struct str){text->data, most});
        }
    }
}

/* ---- reading ---- */

static enum assay_code refuse(struct err *err, const char *what, const char *name)
{
    return err_set(err, ASSAY_INVALID, "model-unusable", "tokenizer.json: %s \"%.40s\" is not supported", what, name);
}

/* `x`, `\s` or `\x`, then nothing, `+` or `{n,}`; or characters that stand for themselves. */
static bool read_regex(struct str text, struct pattern *p)
{
    static const char special[] = "\\^$.|?*+()[]{}";
    size_t at = 0;
    bool plain = text.len > 0;
    for (size_t i = 0; i < text.len; i++) {
        plain = plain && memchr(special, text.ptr[i], sizeof(special) - 1) == NULL;
    }
    if (plain) {
        p->literal = text;
        return true;
    }
    *p = (struct pattern){.least = 1};
    if (text.len >= 2 && text.ptr[0] == '\\') {
        unsigned char c = (unsigned char)text.ptr[1];
        p->space = c == 's';
        p->cp = c;
        if (!p->space && !(c < 0x80 && static_is_punctuation(c))) {
            return false;
        }
        at = 2;
    } else if (text.len > 0 && memchr(special, text.ptr[0], sizeof(special) - 1) == NULL) {
        at = str_utf8_next(text.ptr, text.len, &p->cp);
    } else {
        return false;
    }
    struct str rest = {text.ptr + at, text.len - at};
    if (rest.len == 4 && rest.ptr[0] == '{' && rest.ptr[1] >= '1' && rest.ptr[1] <= '9' && rest.ptr[2] == ',' &&
        rest.ptr[3] == '}') {
        p->least = (size_t)(rest.ptr[1] - '0');
        p->repeat = true;
        return true;
    }
    p->repeat = str_eqc(rest, "+");
    return p->repeat || rest.len == 0;
}

static enum assay_code read_replace(struct arena *keep, const json_t *json, struct step *s, struct err *err)
{
    const json_t *pattern = json_object_get(json, "pattern");
    const char *literal = static_member_text(pattern, "String"), *regex = static_member_text(pattern, "Regex");
    const char *content = static_member_text(json, "content");
    if (content == NULL || (literal == NULL && regex == NULL)) {
        return refuse(err, "normalizer", "Replace without pattern and content");
    }
    s->kind = STEP_REPLACE;
    s->content = str_dup(keep, str_of(content));
    if (literal != NULL) {
        s->pattern.literal = str_dup(keep, str_of(literal));
        return ASSAY_OK; /* an empty one matches nowhere */
    }
    return read_regex(str_dup(keep, str_of(regex)), &s->pattern) ? ASSAY_OK : refuse(err, "the pattern", regex);
}

static void read_bert(const json_t *json, struct step *s)
{
    s->kind = STEP_BERT;
    s->clean = static_member_bool(json, "clean_text", true);
    s->chinese = static_member_bool(json, "handle_chinese_chars", true);
    s->lower = static_member_bool(json, "lowercase", true);
    s->accents = static_member_bool(json, "strip_accents", s->lower);
}

static bool read_simple(const char *type, struct step *s)
{
    const utf8proc_option_t nfd = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, nfc = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    const struct {
        const char *type;
        enum step_kind kind;
        utf8proc_option_t options;
    } simple[] = {
        {"Lowercase", STEP_LOWERCASE, 0},
        {"StripAccents", STEP_STRIP_ACCENTS, 0},
        {"Nmt", STEP_NMT, 0},
        {"NFC", STEP_UNICODE, nfc},
        {"NFD", STEP_UNICODE, nfd},
        {"NFKC", STEP_UNICODE, nfc | UTF8PROC_COMPAT},
        {"NFKD", STEP_UNICODE, nfd | UTF8PROC_COMPAT},
    };
    for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++) {
        if (strcmp(simple[i].type, type) == 0) {
            s->kind = simple[i].kind;
            s->options = simple[i].options;
            return true;
        }
    }
    return false;
}

/* Sequences are unfolded; the parser has bounded their depth. */
static enum assay_code read_step(struct arena *keep, const json_t *json, struct static_normaliser *n, struct err *err)
{
    const char *type = static_member_text(json, "type");
    if (type != NULL && strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(json, "normalizers");
        for (size_t i = 0; i < json_array_size(list); i++) {
            TRY(read_step(keep, json_array_get(list, i), n, err));
        }
        return ASSAY_OK;
    }
    if (n->n + 2 > STATIC_STEPS_MAX) {
        return refuse(err, "normalizer", "a sequence of more than 256 steps");
    }
    struct step *s = &n->steps[n->n++];
    if (type == NULL) {
        return refuse(err, "normalizer", "without type");
    }
    if (read_simple(type, s)) {
        return ASSAY_OK;
    }
    if (strcmp(type, "BertNormalizer") == 0) {
        read_bert(json, s);
    } else if (strcmp(type, "Strip") == 0) {
        *s = (struct step){.kind = STEP_STRIP,
                           .left = static_member_bool(json, "strip_left", true),
                           .right = static_member_bool(json, "strip_right", true)};
    } else if (strcmp(type, "Precompiled") == 0) {
        (void)read_simple("Nmt", s);
        (void)read_simple("NFKC", &n->steps[n->n++]);
    } else if (strcmp(type, "Prepend") == 0 && static_member_text(json, "prepend") != NULL) {
        *s = (struct step){.kind = STEP_PREPEND, .content = str_dup(keep, str_of(static_member_text(json, "prepend")))};
    } else if (strcmp(type, "Replace") == 0) {
        return read_replace(keep, json, s, err);
    } else {
        return refuse(err, "normalizer", type);
    }
    return ASSAY_OK;
}

enum assay_code static_normaliser_read(struct arena *keep, const json_t *json, const struct static_normaliser **out,
                                       struct err *err)
{
    struct static_normaliser *n = ARENA_NEW(keep, struct static_normaliser);
    *out = n;
    return json == NULL || json_is_null(json) ? ASSAY_OK : read_step(keep, json, n, err);
}
