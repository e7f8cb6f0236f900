#include "ingest/canonical.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* What becomes of a code point, before white space is collapsed and NFC applied. */
enum fate { FATE_KEEP, FATE_DROP, FATE_BLANK, FATE_LINE };

static enum fate fate_of(uint32_t cp)
{
    if (cp < 0x20 || cp == 0x7f) {
        if (cp == '\n' || cp == '\r')
            return FATE_LINE;
        return cp == '\t' || cp == '\v' || cp == '\f' ? FATE_BLANK : FATE_DROP;
    }
    if (cp < 0x7f)
        return cp == ' ' ? FATE_BLANK : FATE_KEEP;
    if (cp == 0x85 || cp == 0x2028 || cp == 0x2029)
        return FATE_LINE;
    if (cp < 0xa0 || cp == 0xad)
        return FATE_DROP;
    if (cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x202f || cp == 0x205f || cp == 0x3000)
        return FATE_BLANK;
    bool invisible = cp == 0x200b || cp == 0x200e || cp == 0x200f || (cp >= 0x202a && cp <= 0x202e) ||
                     (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff || cp == 0x180e || (cp >= 0xfff9 && cp <= 0xfffb) ||
                     (cp >= 0xe0000 && cp <= 0xe007f);
    return invisible ? FATE_DROP : FATE_KEEP;
}

/* Code points that NFC leaves alone whatever stands beside them, unless a code point outside these ranges does (UAX
 * #15, NFC_Quick_Check): text made of them only needs no second look. Covers Latin, general punctuation, arrows, CJK,
 * Hangul. */
static bool nfc_stable(uint32_t cp)
{
    return cp < 0x300 || (cp >= 0x2010 && cp <= 0x2125) || (cp >= 0x212c && cp <= 0x2328) ||
           (cp >= 0x3001 && cp <= 0x3098) || (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0xac00 && cp <= 0xd7a3);
}

/* Writes what is kept of `s` to out, line ends as \n, blanks as ' ' (tabs stay in code). True when it is NFC for sure.
 */
static bool filter(struct str s, bool code, struct buf *out)
{
    bool stable = true;
    buf_reserve(out, s.len);
    for (size_t i = 0; i < s.len;) {
        uint32_t cp = (unsigned char)s.ptr[i];
        size_t n = 1;
        if (cp >= 0x80)
            n = str_utf8_next(s.ptr + i, s.len - i, &cp);
        switch (fate_of(cp)) {
        case FATE_KEEP:
            memcpy(out->data + out->len, s.ptr + i, n);
            out->len += n;
            stable = stable && nfc_stable(cp);
            break;
        case FATE_BLANK:
            out->data[out->len++] = code && cp == '\t' ? '\t' : ' ';
            break;
        case FATE_LINE:
            if (cp != '\r' || i + 1 == s.len || s.ptr[i + 1] != '\n')
                out->data[out->len++] = '\n';
            break;
        case FATE_DROP:
            break;
        }
        i += n;
    }
    return stable;
}

/* One blank for runs of them, none beside a line end, no empty lines. Never grows, so that it works in place. */
static size_t collapse(char *p, size_t n, bool one_line)
{
    size_t to = 0;
    char pending = 0;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c == ' ' || c == '\n') {
            if (c == '\n' && !one_line)
                pending = '\n';
            else if (pending == 0)
                pending = ' ';
            continue;
        }
        if (pending && to > 0)
            p[to++] = pending;
        pending = 0;
        p[to++] = c;
    }
    return to;
}

/* Code keeps its indentation and inner empty lines; blanks at line ends and empty lines around it go. */
static size_t tidy_code(char *p, size_t n)
{
    size_t start = 0;
    for (size_t i = 0; i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n'); i++)
        if (p[i] == '\n')
            start = i + 1;
    size_t to = 0, content = 0; /* content: length up to the last byte of the current line that is not blank */
    for (size_t i = start; i < n; i++) {
        if (p[i] == '\n')
            to = content;
        p[to++] = p[i];
        if (p[i] != ' ' && p[i] != '\t')
            content = to;
    }
    while (to > 0 && (p[to - 1] == ' ' || p[to - 1] == '\t' || p[to - 1] == '\n'))
        to--;
    return to;
}

/* Appends the normal form of `s`. NFC comes after the filter, since a dropped character may part a base from its mark.
 */
static void normalise(struct str s, bool code, bool one_line, struct buf *scratch, struct buf *out)
{
    scratch->len = 0;
    bool stable = filter(s, code, scratch);
    if (scratch->len == 0)
        return;
    size_t n = code ? tidy_code(scratch->data, scratch->len) : collapse(scratch->data, scratch->len, one_line);
    if (stable) {
        buf_put(out, scratch->data, n);
        return;
    }
    utf8proc_uint8_t *nfc = NULL;
    utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)scratch->data, (utf8proc_ssize_t)n, &nfc,
                                        UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    /* It fails on invalid UTF-8 only (which the extractors refused) or for want of memory: the text stays as it was. */
    if (len >= 0)
        buf_put(out, nfc, (size_t)len);
    else
        buf_put(out, scratch->data, n);
    free(nfc);
}

static bool compact_kind(enum block_kind k)
{
    return k == BLOCK_LIST_ITEM || k == BLOCK_TABLE_ROW;
}

static const char *separator(const struct canonical_block *before, enum block_kind kind)
{
    bool tight = (compact_kind(kind) && before->kind == kind) ||
                 (before->kind == BLOCK_TERM && kind != BLOCK_HEADING && kind != BLOCK_CODE);
    return tight ? "\n" : "\n\n";
}

enum assay_code canonicalise(struct arena *a, const struct extracted *in, struct canonical *out, struct err *err)
{
    struct buf text = {0}, scratch = {0};
    enum assay_code code = ASSAY_OK;
    *out = (struct canonical){.text = STR_LIT(""), .blocks = ARENA_ARRAY(a, struct canonical_block, in->n_blocks + 1)};
    for (size_t i = 0; i < in->n_blocks; i++) {
        const struct block *b = &in->blocks[i];
        size_t before = text.len;
        if (out->n_blocks > 0)
            buf_puts(&text, separator(&out->blocks[out->n_blocks - 1], b->kind));
        size_t from = text.len;
        normalise(b->text, b->kind == BLOCK_CODE, b->kind == BLOCK_HEADING || b->kind == BLOCK_TERM, &scratch, &text);
        if (text.len == from) {
            text.len = before;
            continue;
        }
        if (text.len > CANONICAL_MAX) {
            code = err_set(err, ASSAY_TOO_LARGE, "document-too-large", "The document's text is larger than %d bytes.",
                           CANONICAL_MAX);
            goto cleanup;
        }
        out->blocks[out->n_blocks++] = (struct canonical_block){
            .kind = b->kind, .level = b->level, .page = b->page, .depth = b->depth, .from = from, .to = text.len};
    }
    if (text.len > 0)
        out->text = str_dup(a, buf_str(&text));
cleanup:
    buf_free(&text);
    buf_free(&scratch);
    return code;
}

struct str canonical_line(struct arena *a, struct str s)
{
    struct buf out = {0}, scratch = {0};
    normalise(s, false, true, &scratch, &out);
    struct str line = out.len ? str_dup(a, buf_str(&out)) : STR_LIT("");
    buf_free(&out);
    buf_free(&scratch);
    return line;
}
