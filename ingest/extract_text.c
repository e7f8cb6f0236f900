/*
 * Plain text, and what pdftotext printed: paragraphs are what blank lines part.
 */
#include <stdlib.h>
#include <string.h>

#include "ingest/blocks.h"

static bool is_blank(struct str s)
{
    return str_trim(s).len == 0;
}

/* The next line without its end (LF, CRLF or CR); false when nothing is left. */
static bool next_line(struct str *rest, struct str *line)
{
    if (rest->len == 0)
        return false;
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] != '\n' && rest->ptr[n] != '\r')
        n++;
    *line = (struct str){rest->ptr, n};
    if (n < rest->len)
        n += rest->ptr[n] == '\r' && n + 1 < rest->len && rest->ptr[n + 1] == '\n' ? 2 : 1;
    *rest = (struct str){rest->ptr + n, rest->len - n};
    return true;
}

enum assay_code extract_text(struct arena *a, struct str bytes, struct extracted *out, struct err *err)
{
    if (!str_utf8_valid(bytes))
        return err_set(err, ASSAY_UNPROCESSABLE, "not-utf8", "The text is not valid UTF-8.");
    struct blocks b = {0};
    struct str line;
    while (next_line(&bytes, &line)) {
        if (is_blank(line)) {
            blocks_end(&b, BLOCK_PARAGRAPH, 0);
            continue;
        }
        buf_put(&b.text, line.ptr, line.len);
        buf_putc(&b.text, '\n');
    }
    blocks_end(&b, BLOCK_PARAGRAPH, 0);
    enum assay_code code = blocks_finish(a, &b, STR_LIT(""), out, err);
    blocks_free(&b);
    return code;
}

/* A page's first and last line, hashed without digits and blanks: what most pages share is a running head or foot. */
struct page {
    struct str text;
    uint64_t head, foot;
};

static uint64_t line_key(struct str line)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    bool any = false;
    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];
        if (c == ' ' || c == '\t')
            continue;
        any = true;
        if (c >= '0' && c <= '9')
            c = '#';
        h = (h ^ (unsigned char)c) * UINT64_C(0x100000001b3);
        while (c == '#' && i + 1 < line.len && line.ptr[i + 1] >= '0' && line.ptr[i + 1] <= '9')
            i++; /* "9" and "10" are alike */
    }
    return any ? h : 0;
}

static void page_edges(struct page *p)
{
    struct str rest = p->text, line;
    while (next_line(&rest, &line)) {
        uint64_t key = line_key(line);
        if (key == 0)
            continue;
        if (p->head == 0)
            p->head = key;
        p->foot = key;
    }
}

static size_t count_pages(struct str s)
{
    size_t n = 1;
    for (size_t i = 0; i < s.len; i++)
        n += s.ptr[i] == '\f';
    return n;
}

static int key_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The key that more than half of the pages share, 0 when there is none. `keys` is sorted in place. */
static uint64_t majority(uint64_t *keys, size_t n)
{
    enum { PAGES_MIN = 3 };
    if (n < PAGES_MIN)
        return 0;
    qsort(keys, n, sizeof *keys, key_compare);
    uint64_t middle = keys[n / 2];
    size_t same = 0;
    for (size_t i = 0; i < n; i++)
        same += keys[i] == middle;
    return same * 2 > n ? middle : 0;
}

/* Puts a line after what the paragraph has: hyphenated words are joined, other lines parted by a blank. */
static void put_line(struct blocks *b, struct str line)
{
    struct buf *t = &b->text;
    line = str_trim(line);
    if (t->len > b->open) {
        bool hyphen = t->len >= b->open + 2 && t->data[t->len - 1] == '-' && t->data[t->len - 2] >= 'a' &&
                      t->data[t->len - 2] <= 'z' && line.len && line.ptr[0] >= 'a' && line.ptr[0] <= 'z';
        if (hyphen)
            t->len--;
        else
            buf_putc(t, ' ');
    }
    buf_put(t, line.ptr, line.len);
}

static void end_paragraph(struct blocks *b, int page)
{
    struct block_rec *rec = blocks_end(b, BLOCK_PARAGRAPH, 0);
    if (rec)
        rec->page = page;
}

static void read_page(struct blocks *b, const struct page *p, int number, uint64_t head, uint64_t foot)
{
    struct str rest = p->text, line;
    bool first = true;
    while (next_line(&rest, &line)) {
        uint64_t key = line_key(line);
        if (key == 0) {
            end_paragraph(b, number);
            continue;
        }
        bool running = (first && head && key == head) || (foot && key == foot && is_blank(rest));
        first = false;
        if (!running)
            put_line(b, line);
    }
    end_paragraph(b, number);
}

enum assay_code extract_pdf_text(struct arena *a, struct str text, struct extracted *out, struct err *err)
{
    if (!str_utf8_valid(text))
        return err_set(err, ASSAY_UNPROCESSABLE, "not-utf8", "The PDF's text is not valid UTF-8.");
    size_t n = count_pages(text);
    if (n > EXTRACT_BLOCKS_MAX)
        return err_set(err, ASSAY_TOO_LARGE, "document-too-large", "The document has more than %d pages.",
                       EXTRACT_BLOCKS_MAX);
    struct page *pages = mem_calloc(n, sizeof *pages);
    uint64_t *heads = mem_calloc(n, sizeof *heads), *feet = mem_calloc(n, sizeof *feet);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t end = at;
        while (end < text.len && text.ptr[end] != '\f')
            end++;
        pages[i].text = (struct str){text.ptr + at, end - at};
        page_edges(&pages[i]);
        heads[i] = pages[i].head;
        feet[i] = pages[i].foot;
        at = end + 1;
    }
    /* The last page is what follows the last form feed: nothing, as pdftotext ends every page with one. */
    size_t real = n > 1 && is_blank(pages[n - 1].text) ? n - 1 : n;
    uint64_t head = majority(heads, real), foot = majority(feet, real);
    struct blocks b = {0};
    for (size_t i = 0; i < real; i++)
        read_page(&b, &pages[i], (int)i + 1, head, foot);
    enum assay_code code = blocks_finish(a, &b, STR_LIT(""), out, err);
    blocks_free(&b);
    free(pages);
    free(heads);
    free(feet);
    return code;
}
