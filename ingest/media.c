#include "ingest/media.h"

#include <string.h>
#include <strings.h>

struct media {
    const char *name;
    enum media_type type;
};

/* The first of a type is its canonical name. */
static const struct media names[] = {
    {"text/plain", MEDIA_TEXT},
    {"text/markdown", MEDIA_MARKDOWN},
    {"text/x-markdown", MEDIA_MARKDOWN},
    {"text/html", MEDIA_HTML},
    {"application/xhtml+xml", MEDIA_HTML},
    {"application/pdf", MEDIA_PDF},
    {"application/x-pdf", MEDIA_PDF},
    {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", MEDIA_DOCX},
    {"application/vnd.oasis.opendocument.text", MEDIA_ODT},
};

static const struct media endings[] = {
    {".txt", MEDIA_TEXT},  {".text", MEDIA_TEXT}, {".md", MEDIA_MARKDOWN}, {".markdown", MEDIA_MARKDOWN},
    {".html", MEDIA_HTML}, {".htm", MEDIA_HTML},  {".xhtml", MEDIA_HTML},  {".pdf", MEDIA_PDF},
    {".docx", MEDIA_DOCX}, {".odt", MEDIA_ODT},
};

enum { NAMES = sizeof names / sizeof *names, ENDINGS = sizeof endings / sizeof *endings };

enum media_type media_from_name(struct str name)
{
    const char *end = name.len ? memchr(name.ptr, ';', name.len) : NULL;
    if (end)
        name.len = (size_t)(end - name.ptr);
    name = str_trim(name);
    for (size_t i = 0; i < NAMES; i++)
        if (strlen(names[i].name) == name.len && strncasecmp(names[i].name, name.ptr, name.len) == 0)
            return names[i].type;
    return MEDIA_UNKNOWN;
}

const char *media_name(enum media_type m)
{
    for (size_t i = 0; i < NAMES; i++)
        if (names[i].type == m)
            return names[i].name;
    return "application/octet-stream";
}

static bool contains(struct str s, const char *what)
{
    return s.len > 0 && memmem(s.ptr, s.len, what, strlen(what)) != NULL;
}

/* A zip's local headers hold the members' names: an odt begins with its own media type uncompressed, and a docx has its
 * document among its members, named again in the directory at the end. */
static enum media_type sniff_zip(struct str bytes)
{
    enum { EDGE = 64 << 10 };
    struct str front = {bytes.ptr, bytes.len < 128 ? bytes.len : 128};
    if (contains(front, "mimetypeapplication/vnd.oasis.opendocument.text"))
        return MEDIA_ODT;
    struct str head = {bytes.ptr, bytes.len < EDGE ? bytes.len : EDGE};
    struct str tail = {bytes.ptr + (bytes.len - head.len), head.len};
    return contains(head, "word/document.xml") || contains(tail, "word/document.xml") ? MEDIA_DOCX : MEDIA_UNKNOWN;
}

static bool looks_like_html(struct str s)
{
    static const char *const starts[] = {"<!doctype html", "<html", "<head", "<body"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (s.len >= strlen(starts[i]) && strncasecmp(s.ptr, starts[i], strlen(starts[i])) == 0)
            return true;
    struct str head = {s.ptr, s.len < 512 ? s.len : 512};
    return str_starts(s, "<?xml") && (contains(head, "<html") || contains(head, "DTD XHTML"));
}

static enum media_type by_ending(struct str name)
{
    for (size_t cut = 0; cut < name.len; cut++) /* of an address without its query and fragment */
        if (name.ptr[cut] == '?' || name.ptr[cut] == '#')
            name.len = cut;
    for (size_t i = 0; i < ENDINGS; i++) {
        size_t n = strlen(endings[i].name);
        if (name.len > n && strncasecmp(name.ptr + name.len - n, endings[i].name, n) == 0)
            return endings[i].type;
    }
    return MEDIA_UNKNOWN;
}

enum media_type media_sniff(struct str bytes, struct str uri)
{
    struct str text = str_trim(bytes);
    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)
        text = str_trim((struct str){text.ptr + 3, text.len - 3});
    /* "%PDF-" may stand within the first kilobyte (ISO 32000-1, annex H). */
    if (contains((struct str){bytes.ptr, bytes.len < 1024 ? bytes.len : 1024}, "%PDF-"))
        return MEDIA_PDF;
    if (str_starts(bytes, "PK\x03\x04"))
        return sniff_zip(bytes);
    if (looks_like_html(text))
        return MEDIA_HTML;
    if (!str_utf8_valid(bytes) || (bytes.len && memchr(bytes.ptr, '\0', bytes.len)))
        return MEDIA_UNKNOWN;
    enum media_type named = by_ending(uri);
    return named == MEDIA_MARKDOWN || named == MEDIA_HTML ? named : MEDIA_TEXT;
}
