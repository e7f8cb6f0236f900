#include "ingest/html_entities.h"

#include <libxml/HTMLparser.h>
#include <string.h>

enum { HTML_NAME_MAX = 8, LATIN1_MAX = 0xff }; /* the longest name is "thetasym" */

static size_t utf8_encode(uint32_t cp, char out[8])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, cp >>= 6U)
        out[i] = (char)(0x80U | (cp & 0x3fU));
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[n] | cp);
    return n;
}

/* What Windows-1252 meant by 0x80-0x9f; the standard maps such numbers to it. 0: stays as it is. */
static uint32_t windows_1252(uint32_t cp)
{
    static const uint16_t map[32] = {0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                     0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017d, 0,
                                     0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                     0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};
    return cp >= 0x80 && cp < 0xa0 && map[cp - 0x80] ? map[cp - 0x80] : cp;
}

static int digit_of(char c, bool hex)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (hex && c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (hex && c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static size_t numeric(struct str s, char out[8], size_t *out_len)
{
    bool hex = s.len > 2 && (s.ptr[2] == 'x' || s.ptr[2] == 'X');
    size_t start = hex ? 3 : 2, i = start;
    uint32_t cp = 0;
    for (; i < s.len; i++) {
        int d = digit_of(s.ptr[i], hex);
        if (d < 0)
            break;
        if (cp <= 0x10ffff)
            cp = cp * (hex ? 16 : 10) + (uint32_t)d;
    }
    if (i == start)
        return 0;
    if (cp == 0 || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        cp = 0xfffd;
    *out_len = utf8_encode(windows_1252(cp), out);
    return i < s.len && s.ptr[i] == ';' ? i + 1 : i;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Code point of a name of HTML 4, 0 when it is none. libxml2 keeps the table. */
static uint32_t named(struct str name)
{
    xmlChar text[HTML_NAME_MAX + 1];
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    const htmlEntityDesc *e = htmlEntityLookup(text);
    return e ? e->value : 0;
}

size_t html_entity(struct str s, char out[8], size_t *out_len)
{
    if (s.len > 1 && s.ptr[1] == '#')
        return numeric(s, out, out_len);
    size_t n = 0;
    while (n < HTML_NAME_MAX && n + 1 < s.len && is_alnum(s.ptr[n + 1]))
        n++;
    struct str name = {s.ptr + 1, n};
    bool closed = n > 0 && n + 1 < s.len && s.ptr[n + 1] == ';';
    uint32_t cp = closed ? named(name) : 0;
    /* A name of Latin-1 may be followed by anything: "&copy2024" is a sign and a year. */
    while (cp == 0 && name.len >= 2) {
        cp = named(name);
        if (cp > LATIN1_MAX)
            cp = 0;
        if (cp == 0)
            name.len--;
    }
    if (cp == 0)
        return 0;
    *out_len = utf8_encode(cp, out);
    return 1 + name.len + (closed && name.len == n ? 1 : 0);
}

void html_decode(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.len;) {
        const char *amp = memchr(s.ptr + i, '&', s.len - i);
        size_t plain = amp ? (size_t)(amp - s.ptr) - i : s.len - i;
        buf_put(out, s.ptr + i, plain);
        i += plain;
        if (!amp)
            break;
        char text[8];
        size_t len = 1;
        size_t read = html_entity((struct str){s.ptr + i, s.len - i}, text, &len);
        buf_put(out, read ? text : "&", read ? len : 1);
        i += read ? read : 1;
    }
}
