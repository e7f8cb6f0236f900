/*
 * Markdown through cmark-gfm: the tree is walked by cmark's own iterator, without recursion. Tables are told from
 * paragraphs here: the library's table extension completes short rows to the header's width, so that 26 KB of Markdown
 * became 20 million nodes and 3 GB.
 */
#include <cmark-gfm.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/blocks.h"
#include "ingest/html_text.h"
#include "ingest/markdown_guard.h"

/* In the block under construction '\n' is a line end of the source and '\r' one that is meant. */
struct reader {
    struct blocks blocks;
    struct buf title, scratch;
    bool in_item; /* the next paragraph is a list item's first */
};

static void put_literal(struct reader *r, cmark_node *node)
{
    const char *s = cmark_node_get_literal(node);
    if (s)
        buf_puts(&r->blocks.text, s);
}

/* A table's second line: "|---|:--:|". */
static bool is_delimiter_row(struct str line)
{
    bool bar = false, dash = false;
    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];
        if (c != '|' && c != '-' && c != ':' && c != ' ' && c != '\t')
            return false;
        bar = bar || c == '|';
        dash = dash || c == '-';
    }
    return bar && dash;
}

static struct str take_line(struct str *rest)
{
    const char *nl = memchr(rest->ptr, '\n', rest->len);
    size_t n = nl ? (size_t)(nl - rest->ptr) : rest->len;
    struct str line = {rest->ptr, n};
    n += nl ? 1 : 0;
    *rest = (struct str){rest->ptr + n, rest->len - n};
    return str_trim(line);
}

/* "| a | b|c" as "a | b | c". */
static void put_row(struct buf *out, struct str line)
{
    if (line.len && line.ptr[0] == '|')
        line = (struct str){line.ptr + 1, line.len - 1};
    if (line.len && line.ptr[line.len - 1] == '|')
        line.len--;
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] == '|')
            buf_puts(out, " | ");
        else
            buf_putc(out, line.ptr[i]);
    }
}

/* Turns the paragraph under construction into table rows when its second line says that it is a table. */
static bool end_table(struct reader *r)
{
    struct buf *text = &r->blocks.text;
    if (text->len == r->blocks.open)
        return false;
    struct str rest = {text->data + r->blocks.open, text->len - r->blocks.open};
    struct str header = take_line(&rest);
    if (!memchr(header.ptr, '|', header.len) || !is_delimiter_row(take_line(&rest)))
        return false;
    r->scratch.len = 0;
    buf_put(&r->scratch, text->data + r->blocks.open, text->len - r->blocks.open);
    text->len = r->blocks.open;
    rest = buf_str(&r->scratch);
    for (size_t row = 0; rest.len; row++) {
        struct str line = take_line(&rest);
        if (row == 1)
            continue;
        put_row(text, line);
        blocks_end(&r->blocks, BLOCK_TABLE_ROW, 0);
    }
    return true;
}

static void end_paragraph(struct reader *r)
{
    if (!end_table(r)) {
        for (size_t i = r->blocks.open; i < r->blocks.text.len; i++)
            if (r->blocks.text.data[i] == '\n')
                r->blocks.text.data[i] = ' ';
        blocks_end(&r->blocks, r->in_item ? BLOCK_LIST_ITEM : BLOCK_PARAGRAPH, 0);
    }
    r->in_item = false;
}

static void end_heading(struct reader *r, int level)
{
    const struct block_rec *rec = blocks_end(&r->blocks, BLOCK_HEADING, level);
    if (rec && level == 1 && r->title.len == 0)
        buf_put(&r->title, r->blocks.text.data + rec->from, rec->to - rec->from);
}

static void put_html(struct reader *r, cmark_node *node)
{
    struct buf *text = &r->blocks.text;
    size_t from = text->len;
    html_text(str_of(cmark_node_get_literal(node)), text);
    for (size_t i = from; i < text->len; i++)
        if (text->data[i] == '\n')
            text->data[i] = '\r';
}

static void on_node(struct reader *r, cmark_node *node, bool entering)
{
    cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_PARAGRAPH) {
        if (!entering)
            end_paragraph(r);
    } else if (type == CMARK_NODE_HEADING) {
        if (!entering)
            end_heading(r, cmark_node_get_heading_level(node));
    } else if (type == CMARK_NODE_ITEM) {
        r->in_item = entering;
    } else if (type == CMARK_NODE_CODE_BLOCK) {
        put_literal(r, node);
        blocks_end(&r->blocks, BLOCK_CODE, 0);
        r->in_item = false;
    } else if (type == CMARK_NODE_HTML_BLOCK) {
        put_html(r, node);
        end_paragraph(r);
    } else if (type == CMARK_NODE_HTML_INLINE) {
        put_html(r, node);
    } else if (type == CMARK_NODE_TEXT || type == CMARK_NODE_CODE) {
        put_literal(r, node);
    } else if (type == CMARK_NODE_SOFTBREAK) {
        buf_putc(&r->blocks.text, '\n');
    } else if (type == CMARK_NODE_LINEBREAK) {
        buf_putc(&r->blocks.text, '\r');
    }
}

/* YAML front matter, as static site generators have it: only its title is read. Returns what follows it. */
static struct str skip_front_matter(struct str s, struct buf *title)
{
    if (!str_starts(s, "---\n") && !str_starts(s, "---\r\n"))
        return s;
    size_t at = 4;
    while (at < s.len) {
        const char *nl = memchr(s.ptr + at, '\n', s.len - at);
        size_t end = nl ? (size_t)(nl - s.ptr) : s.len;
        struct str line = str_trim((struct str){s.ptr + at, end - at});
        if (str_eqc(line, "---") || str_eqc(line, "..."))
            return nl ? (struct str){nl + 1, s.len - end - 1} : (struct str){s.ptr + s.len, 0};
        if (str_starts(line, "title:") && title->len == 0) {
            struct str value = str_trim((struct str){line.ptr + 6, line.len - 6});
            bool quoted = value.len >= 2 && (value.ptr[0] == '"' || value.ptr[0] == '\'') &&
                          value.ptr[value.len - 1] == value.ptr[0];
            buf_put(title, value.ptr + (quoted ? 1 : 0), value.len - (quoted ? 2 : 0));
        }
        at = end + 1;
    }
    title->len = 0;
    return s; /* never closed: a thematic break after all */
}

enum assay_code extract_markdown(struct arena *a, struct str bytes, struct extracted *out, struct err *err)
{
    if (!str_utf8_valid(bytes))
        return err_set(err, ASSAY_UNPROCESSABLE, "not-utf8", "The Markdown document is not valid UTF-8.");
    if (bytes.len > MARKDOWN_MAX)
        return err_set(err, ASSAY_TOO_LARGE, "document-too-large", "A Markdown document may have at most %d bytes.",
                       MARKDOWN_MAX);
    struct reader r = {0};
    struct buf guarded = {0};
    markdown_guard(skip_front_matter(bytes, &r.title), &guarded);
    cmark_node *doc = cmark_parse_document(buf_cstr(&guarded), guarded.len, CMARK_OPT_DEFAULT);
    cmark_iter *iter = cmark_iter_new(doc);
    cmark_event_type event;
    while ((event = cmark_iter_next(iter)) != CMARK_EVENT_DONE)
        on_node(&r, cmark_iter_get_node(iter), event == CMARK_EVENT_ENTER);
    enum assay_code code = blocks_finish(a, &r.blocks, buf_str(&r.title), out, err);
    cmark_iter_free(iter);
    cmark_node_free(doc);
    blocks_free(&r.blocks);
    buf_free(&r.title);
    buf_free(&r.scratch);
    buf_free(&guarded);
    return code;
}
