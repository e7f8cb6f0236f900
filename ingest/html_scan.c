#include "ingest/html_scan.h"

#include <string.h>
#include <strings.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool html_is_raw_text(const char *name)
{
    static const char *const raw[] = {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"};
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++)
        if (strcmp(name, raw[i]) == 0)
            return true;
    return false;
}

static char peek(const struct html_scan *s, size_t ahead)
{
    return s->at + ahead < s->in.len ? s->in.ptr[s->at + ahead] : '\0';
}

/* True where a '<' begins markup and is not just a sign. */
static bool markup_at(const struct html_scan *s)
{
    char c = peek(s, 1);
    return is_letter(c) || c == '!' || c == '?' || (c == '/' && s->at + 2 < s->in.len);
}

/* Moves behind the first `what`, or to the end. */
static void skip_past(struct html_scan *s, const char *what)
{
    size_t n = strlen(what);
    const char *hit = s->at < s->in.len ? memmem(s->in.ptr + s->at, s->in.len - s->at, what, n) : NULL;
    s->at = hit ? (size_t)(hit - s->in.ptr) + n : s->in.len;
}

/* Comments, doctypes, processing instructions and bogus end tags: all without text. The scanner stands on their '<'. */
static void skip_markup(struct html_scan *s)
{
    if (s->in.len - s->at < 4 || memcmp(s->in.ptr + s->at, "<!--", 4) != 0) {
        skip_past(s, ">");
        return;
    }
    s->at += 4;
    if (peek(s, 0) == '>' || (peek(s, 0) == '-' && peek(s, 1) == '>')) {
        skip_past(s, ">");
        return;
    }
    /* "--!>" ends a comment, too. */
    while (s->at < s->in.len) {
        skip_past(s, "--");
        if (peek(s, 0) == '>' || (peek(s, 0) == '!' && peek(s, 1) == '>')) {
            skip_past(s, ">");
            return;
        }
        if (s->at < s->in.len && peek(s, 0) == '-')
            s->at--; /* "--->": the dashes overlap */
    }
}

static bool attr_is(struct str name, const char *what)
{
    return name.len == strlen(what) && strncasecmp(name.ptr, what, name.len) == 0;
}

static void attr_keep(struct html_attrs *a, struct str name, struct str value)
{
    struct str *slot = NULL;
    if (attr_is(name, "class"))
        slot = &a->class;
    else if (attr_is(name, "id"))
        slot = &a->id;
    else if (attr_is(name, "style"))
        slot = &a->style;
    else if (attr_is(name, "role"))
        slot = &a->role;
    else if (attr_is(name, "hidden"))
        a->hidden = true;
    else if (attr_is(name, "href"))
        a->href = true;
    else if (attr_is(name, "open"))
        a->open = true;
    else if (attr_is(name, "aria-hidden"))
        a->aria_hidden = attr_is(value, "true");
    if (slot && !slot->ptr)
        *slot = value;
}

static struct str attr_value(struct html_scan *s)
{
    while (s->at < s->in.len && is_space(s->in.ptr[s->at]))
        s->at++;
    char quote = peek(s, 0);
    size_t from = s->at;
    if (quote == '"' || quote == '\'') {
        from = ++s->at;
        const char *end = s->at < s->in.len ? memchr(s->in.ptr + s->at, quote, s->in.len - s->at) : NULL;
        s->at = end ? (size_t)(end - s->in.ptr) + 1 : s->in.len;
        return (struct str){s->in.ptr + from, (end ? s->at - 1 : s->at) - from};
    }
    while (s->at < s->in.len && !is_space(s->in.ptr[s->at]) && s->in.ptr[s->at] != '>')
        s->at++;
    return (struct str){s->in.ptr + from, s->at - from};
}

/* The rest of a tag behind its name, up to and with '>'. */
static void read_attrs(struct html_scan *s, struct html_token *out)
{
    while (s->at < s->in.len) {
        char c = s->in.ptr[s->at];
        if (c == '>') {
            s->at++;
            return;
        }
        if (is_space(c) || c == '/') {
            out->self_closing = c == '/' && peek(s, 1) == '>';
            s->at++;
            continue;
        }
        size_t from = s->at++;
        while (s->at < s->in.len && !is_space(s->in.ptr[s->at]) && !strchr("/>=", s->in.ptr[s->at]))
            s->at++;
        struct str name = {s->in.ptr + from, s->at - from}, value = {"", 0};
        while (s->at < s->in.len && is_space(s->in.ptr[s->at]))
            s->at++;
        if (peek(s, 0) == '=') {
            s->at++;
            value = attr_value(s);
        }
        attr_keep(&out->attrs, name, value);
    }
}

/* The content of a raw text element; moves behind its end tag. */
static struct str raw_text(struct html_scan *s, const char *name)
{
    size_t from = s->at, n = strlen(name);
    while (s->at < s->in.len) {
        const char *hit = memmem(s->in.ptr + s->at, s->in.len - s->at, "</", 2);
        if (!hit)
            break;
        size_t end = (size_t)(hit - s->in.ptr);
        s->at = end + 2;
        if (s->in.len - s->at < n || strncasecmp(s->in.ptr + s->at, name, n) != 0)
            continue;
        char after = peek(s, n);
        if (after == '>' || after == '/' || is_space(after)) {
            skip_past(s, ">");
            return (struct str){s->in.ptr + from, end - from};
        }
    }
    s->at = s->in.len;
    return (struct str){s->in.ptr + from, s->at - from};
}

static void read_tag(struct html_scan *s, struct html_token *out)
{
    s->at++;
    out->event = HTML_OPEN;
    if (peek(s, 0) == '/') {
        out->event = HTML_CLOSE;
        s->at++;
    }
    size_t n = 0;
    for (; s->at < s->in.len; s->at++) {
        char c = s->in.ptr[s->at];
        if (is_space(c) || c == '/' || c == '>')
            break;
        if (n < HTML_NAME_MAX)
            out->name[n++] = lower(c);
    }
    out->name[n] = '\0';
    read_attrs(s, out);
    if (out->event == HTML_OPEN && html_is_raw_text(out->name) && !out->self_closing) {
        out->text = raw_text(s, out->name);
        out->raw = strcmp(out->name, "title") != 0 && strcmp(out->name, "textarea") != 0;
    }
}

void html_next(struct html_scan *s, struct html_token *out)
{
    *out = (struct html_token){.event = HTML_END};
    while (s->at < s->in.len) {
        if (s->in.ptr[s->at] == '<' && markup_at(s)) {
            char c = peek(s, 1);
            if (is_letter(c) || (c == '/' && is_letter(peek(s, 2)))) {
                read_tag(s, out);
                return;
            }
            skip_markup(s);
            continue;
        }
        size_t from = s->at++;
        do {
            const char *lt = s->at < s->in.len ? memchr(s->in.ptr + s->at, '<', s->in.len - s->at) : NULL;
            s->at = lt ? (size_t)(lt - s->in.ptr) : s->in.len;
            if (!lt || markup_at(s))
                break;
            s->at++;
        } while (s->at < s->in.len);
        out->event = HTML_TEXT;
        out->text = (struct str){s->in.ptr + from, s->at - from};
        return;
    }
}
