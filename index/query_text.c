#include "index/query_text.h"

#include <stdbool.h>
#include <string.h>

static const char *const opening[] = {"\"", "\xE2\x80\x9C", "\xE2\x80\x9E", "\xC2\xAB"};
static const char *const closing[] = {"\"", "\xE2\x80\x9D", "\xE2\x80\x9C", "\xC2\xBB"};
enum { QUOTES = sizeof(opening) / sizeof(opening[0]), PREFIX_MIN = 2, PHRASE_MAX = 1024 /* bytes */ };

static bool among(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_blank(char c)
{
    return among(c, " \t\n\r\v\f");
}

/* Whether a word may begin at `at`: at the start, after a blank or an opening bracket. */
static bool begins(struct str text, size_t at)
{
    return at == 0 || is_blank(text.ptr[at - 1]) || among(text.ptr[at - 1], "([{");
}

static bool ends(struct str text, size_t at)
{
    return at >= text.len || is_blank(text.ptr[at]) || among(text.ptr[at], ")]}.,;:!?");
}

static bool starts_with(struct str text, size_t at, const char *what)
{
    size_t n = strlen(what);
    return text.len - at >= n && memcmp(text.ptr + at, what, n) == 0;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

struct parser {
    struct str text;
    size_t done; /* what lies before is in a part */
    struct query_part *parts;
    size_t n, cap;
    struct arena *arena;
};

static void put(struct parser *p, enum query_part_kind kind, size_t from, size_t to)
{
    if (from == to) {
        return;
    }
    if (p->n == p->cap) {
        size_t cap = p->cap * 2 + 4;
        struct query_part *more = ARENA_ARRAY(p->arena, struct query_part, cap);
        if (p->n > 0) {
            memcpy(more, p->parts, p->n * sizeof(*more));
        }
        p->parts = more;
        p->cap = cap;
    }
    p->parts[p->n++] = (struct query_part){kind, {p->text.ptr + from, to - from}};
}

/* A phrase that begins at `at`; returns where it ends, or `at` when there is none. */
static size_t phrase(struct parser *p, size_t at)
{
    for (size_t q = 0; q < QUOTES; q++) {
        if (!starts_with(p->text, at, opening[q])) {
            continue;
        }
        size_t from = at + strlen(opening[q]), n = strlen(closing[q]);
        if (from >= p->text.len || is_blank(p->text.ptr[from])) {
            return at;
        }
        size_t limit = p->text.len - from > PHRASE_MAX ? from + PHRASE_MAX : p->text.len;
        for (size_t to = from + 1; to + n <= limit; to++) {
            if (starts_with(p->text, to, closing[q]) && ends(p->text, to + n) && !is_blank(p->text.ptr[to - 1])) {
                put(p, QUERY_PLAIN, p->done, at);
                put(p, QUERY_PHRASE, from, to);
                return to + n;
            }
        }
        return at;
    }
    return at;
}

/* A prefix that begins at `at`; `past` is where the run of word bytes ends, whatever it is. */
static size_t prefix(struct parser *p, size_t at, size_t *past)
{
    size_t to = at;
    while (to < p->text.len && is_word_byte(p->text.ptr[to])) {
        to++;
    }
    *past = to;
    if (to - at < PREFIX_MIN || to >= p->text.len || p->text.ptr[to] != '*' || !ends(p->text, to + 1)) {
        return at;
    }
    put(p, QUERY_PLAIN, p->done, at);
    put(p, QUERY_PREFIX, at, to);
    return to + 1;
}

size_t query_text_parse(struct arena *a, struct str text, struct query_part **out)
{
    struct parser p = {.text = text, .arena = a};
    for (size_t at = 0; at < text.len;) {
        if (!begins(text, at)) {
            at++;
            continue;
        }
        size_t past = at, end = phrase(&p, at);
        if (end == at) {
            end = prefix(&p, at, &past);
        }
        if (end > at) {
            p.done = end;
        }
        at = end > at ? end : past > at ? past : at + 1;
    }
    put(&p, QUERY_PLAIN, p.done, text.len);
    *out = p.parts;
    return p.n;
}
