#include "ingest/html_tags.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { V = HTML_VOID, B = HTML_BLOCK, D = HTML_DROP, S = HTML_SCOPE, L = HTML_LINKS };

/* Sorted by name. */
static const struct html_tag_info tags[] = {
    {"a", TAG_A, 0},
    {"address", TAG_OTHER, B},
    {"annotation", TAG_OTHER, D},
    {"area", TAG_OTHER, V},
    {"article", TAG_ARTICLE, B},
    {"aside", TAG_NAV, B},
    {"audio", TAG_OTHER, D},
    {"base", TAG_META, V},
    {"blockquote", TAG_OTHER, B},
    {"body", TAG_BODY, B},
    {"br", TAG_BR, V},
    {"button", TAG_OTHER, D},
    {"canvas", TAG_OTHER, D},
    {"caption", TAG_OTHER, B | S},
    {"center", TAG_OTHER, B},
    {"col", TAG_OTHER, V},
    {"datalist", TAG_OTHER, D},
    {"dd", TAG_DD, B},
    {"details", TAG_OTHER, B},
    {"dialog", TAG_OTHER, B | D},
    {"dir", TAG_LIST, B | L},
    {"div", TAG_OTHER, B},
    {"dl", TAG_DL, B | L},
    {"dt", TAG_DT, B},
    {"embed", TAG_OTHER, V},
    {"fieldset", TAG_OTHER, B},
    {"figcaption", TAG_OTHER, B},
    {"figure", TAG_OTHER, B},
    {"footer", TAG_NAV, B},
    {"form", TAG_FORM, B},
    {"frame", TAG_OTHER, V},
    {"h1", TAG_HEADING, B},
    {"h2", TAG_HEADING, B},
    {"h3", TAG_HEADING, B},
    {"h4", TAG_HEADING, B},
    {"h5", TAG_HEADING, B},
    {"h6", TAG_HEADING, B},
    {"head", TAG_HEAD, B | D},
    {"header", TAG_HEADER, B},
    {"hgroup", TAG_OTHER, B},
    {"hr", TAG_OTHER, V | B},
    {"html", TAG_BODY, B},
    {"iframe", TAG_OTHER, D},
    {"img", TAG_OTHER, V},
    {"input", TAG_OTHER, V},
    {"legend", TAG_OTHER, B},
    {"li", TAG_LI, B},
    {"link", TAG_META, V},
    {"listing", TAG_PRE, B},
    {"main", TAG_MAIN, B},
    {"menu", TAG_LIST, B | L},
    {"meta", TAG_META, V},
    {"nav", TAG_NAV, B},
    {"noembed", TAG_OTHER, D},
    {"noframes", TAG_OTHER, D},
    {"noscript", TAG_META, D},
    {"ol", TAG_LIST, B | L},
    {"optgroup", TAG_OTHER, D},
    {"option", TAG_OTHER, D},
    {"p", TAG_P, B},
    {"param", TAG_OTHER, V},
    {"pre", TAG_PRE, B},
    {"rp", TAG_OTHER, D},
    {"script", TAG_META, D},
    {"search", TAG_NAV, B},
    {"section", TAG_OTHER, B},
    {"select", TAG_OTHER, D},
    {"source", TAG_OTHER, V},
    {"style", TAG_META, D},
    {"summary", TAG_OTHER, B},
    {"sup", TAG_SUP, 0},
    {"svg", TAG_OTHER, D},
    {"table", TAG_TABLE, B | S | L},
    {"tbody", TAG_SECTION, B},
    {"td", TAG_CELL, B | S},
    {"template", TAG_META, D},
    {"textarea", TAG_OTHER, D},
    {"tfoot", TAG_SECTION, B},
    {"th", TAG_CELL, B | S},
    {"thead", TAG_SECTION, B},
    {"title", TAG_TITLE, D},
    {"tr", TAG_TR, B},
    {"track", TAG_OTHER, V},
    {"ul", TAG_LIST, B | L},
    {"video", TAG_OTHER, D},
    {"wbr", TAG_OTHER, V},
    {"xmp", TAG_PRE, B},
};

static int tag_compare(const void *key, const void *row)
{
    return strcmp(key, ((const struct html_tag_info *)row)->name);
}

const struct html_tag_info *html_tag_of(const char *name)
{
    static const struct html_tag_info other = {"", TAG_OTHER, 0};
    const struct html_tag_info *t = bsearch(name, tags, sizeof tags / sizeof *tags, sizeof *tags, tag_compare);
    return t ? t : &other;
}

/* Whether a list of words, NULL at its end, has this one, whatever its case. */
static bool word_in(struct str word, const char *const *list)
{
    for (; *list; list++)
        if (word.len == strlen(*list) && strncasecmp(word.ptr, *list, word.len) == 0)
            return true;
    return false;
}

static bool starts_with(struct str s, const char *prefix)
{
    return s.len >= strlen(prefix) && strncasecmp(s.ptr, prefix, strlen(prefix)) == 0;
}

/* The next word of a list parted by white space. */
static bool next_word(struct str *rest, struct str *word)
{
    size_t i = 0;
    if (rest->len == 0)
        return false;
    while (i < rest->len && strchr(" \t\r\n\f", rest->ptr[i]))
        i++;
    size_t from = i;
    while (i < rest->len && !strchr(" \t\r\n\f", rest->ptr[i]))
        i++;
    *word = (struct str){rest->ptr + from, i - from};
    *rest = (struct str){rest->ptr + i, rest->len - i};
    return word->len > 0;
}

/* One class. Its first part decides ("nav-bar"), or its last, unless the first says that it only tells of the
 * thing ("has-sidebar", "with-toc"). */
static bool names_boilerplate(struct str name)
{
    static const char *const first[] = {"nav",        "navbar",      "navigation", "toc",   "menu",   "menubar",
                                        "breadcrumb", "breadcrumbs", "pagination", "pager", "footer", NULL};
    static const char *const last[] = {"nav",         "navbar", "navigation", "toc",      "menu",       "breadcrumb",
                                       "breadcrumbs", "footer", "sidebar",    "masthead", "pagination", NULL};
    static const char *const about[] = {"has", "with", "no", "not", "without", "hide", "show", "is", NULL};
    size_t head = 0, tail = name.len;
    while (head < name.len && name.ptr[head] != '-' && name.ptr[head] != '_')
        head++;
    while (tail > 0 && name.ptr[tail - 1] != '-' && name.ptr[tail - 1] != '_')
        tail--;
    struct str front = {name.ptr, head}, back = {name.ptr + tail, name.len - tail};
    if (word_in(front, first))
        return true;
    /* Run together: "navheader", "navfooter", "footerlinks", but not "navy". */
    if (starts_with(front, "navh") || starts_with(front, "navf") || starts_with(front, "navi") ||
        starts_with(front, "navb") || starts_with(front, "navl") || starts_with(front, "footerl"))
        return true;
    return word_in(back, last) && !(tail > 0 && word_in(front, about));
}

/* Finds "property: value" in a style, blanks anywhere. */
static bool style_has(struct str style, const char *property, const char *value)
{
    size_t n = strlen(property), m = strlen(value);
    for (size_t i = 0; i + n <= style.len; i++) {
        if (strncasecmp(style.ptr + i, property, n) != 0 || (i > 0 && style.ptr[i - 1] == '-'))
            continue;
        size_t at = i + n;
        while (at < style.len && (style.ptr[at] == ' ' || style.ptr[at] == ':'))
            at++;
        if (style.len - at >= m && strncasecmp(style.ptr + at, value, m) == 0)
            return true;
    }
    return false;
}

static bool invisible(const struct html_attrs *a)
{
    return a->hidden || a->aria_hidden ||
           (a->style.len && (style_has(a->style, "display", "none") || style_has(a->style, "visibility", "hidden")));
}

/* Whether class and id of such an element may call it boilerplate: a wrapper of the whole page may not. */
static bool may_be_boilerplate(const struct html_tag_info *tag)
{
    return (tag->flags & HTML_BLOCK) && (tag->tag == TAG_OTHER || tag->tag == TAG_LIST || tag->tag == TAG_DL ||
                                         tag->tag == TAG_TABLE || tag->tag == TAG_P || tag->tag == TAG_CELL);
}

enum html_role html_role_of(const struct html_tag_info *tag, const struct html_attrs *a)
{
    static const char *const roles[] = {"navigation", "banner",  "contentinfo", "search",    "menu",
                                        "menubar",    "toolbar", "doc-toc",     "doc-index", NULL};
    static const char *const notes[] = {"note",       "tip",     "warning", "caution", "important",
                                        "admonition", "callout", "hint",    "danger",  NULL};
    static const char *const main_role[] = {"main", NULL};
    static const char *const ids[] = {"nav",         "navbar", "navigation", "toc", "menu",
                                      "breadcrumbs", "footer", "sidebar",    NULL};
    if (invisible(a))
        return HTML_INVISIBLE;
    struct str role = str_trim(a->role), rest = a->class, word;
    if (role.len && word_in(role, roles))
        return HTML_BOILERPLATE;
    if (role.len && word_in(role, main_role))
        return HTML_MAIN_ROLE;
    enum html_role out = HTML_CONTENT;
    while (next_word(&rest, &word)) {
        if (may_be_boilerplate(tag) && names_boilerplate(word))
            return HTML_BOILERPLATE;
        if (word_in(word, notes))
            out = HTML_ADMONITION;
    }
    if (a->id.len && may_be_boilerplate(tag) && strcmp(tag->name, "section") != 0 && word_in(str_trim(a->id), ids))
        return HTML_BOILERPLATE;
    return out;
}
