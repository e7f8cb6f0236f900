/*
 * HTML -> blocks. A stack of open elements of bounded depth says what the text at hand is (heading, cell, link,
 * hidden); there is no tree. Past HTML_DEPTH_MAX open elements a further one is only counted, so that its end tag does
 * not close another. What is boilerplate for sure is never collected; what may be is collected and marked, and decided
 * at the end, when it is known whether anything else is left.
 */
#include <stdlib.h>
#include <string.h>

#include "ingest/blocks.h"
#include "ingest/html_entities.h"
#include "ingest/html_page.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static struct html_frame *top(struct html_page *p)
{
    return &p->stack[p->depth - 1];
}

/* Ends the block under construction, if any text is in it. */
static void flush(struct html_page *p)
{
    const struct html_frame *f = top(p);
    struct blocks *b = &p->blocks;
    if (p->chars == 0)
        b->text.len = b->open; /* nothing but cell separators */
    struct block_rec *rec = blocks_end(b, p->kind, p->kind == BLOCK_HEADING ? p->level : 0);
    if (rec) {
        rec->depth = p->block_depth;
        rec->chars = p->chars;
        rec->link = p->link_chars;
        rec->mark = p->block_mark;
        rec->drop = p->block_drop;
        html_page_judge_block(p, rec);
        p->kind = f->flags & FRAME_CELL ? BLOCK_TABLE_ROW : BLOCK_PARAGRAPH;
    }
    p->chars = p->link_chars = p->links = 0;
    p->blank = p->glue = false;
}

/* Where a paragraph would begin or end: a new block, or a new line within a table cell. */
static void part(struct html_page *p)
{
    enum { CELL_PROSE = 400 }; /* a cell with more text than this holds paragraphs: a table used for layout */
    if (p->glue) {
        p->glue = false;
        p->blank = true;
        return;
    }
    if (!(top(p)->flags & FRAME_CELL) || p->chars > CELL_PROSE) {
        flush(p);
        return;
    }
    if (p->chars && p->total_chars > p->cell_start)
        buf_putc(&p->blocks.text, '\n');
    p->blank = false;
}

static void put_text(struct html_page *p, struct str s)
{
    const struct html_frame *f = top(p);
    struct buf *out = &p->blocks.text;
    bool verbatim = f->flags & FRAME_PRE;
    buf_reserve(out, s.len * 2);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (is_space(c)) {
            if (verbatim)
                out->data[out->len++] = c;
            else
                p->blank = true;
            continue;
        }
        if (p->chars == 0) {
            p->block_depth = f->list_depth;
            p->block_mark = f->mark;
            p->block_drop = f->soft;
        } else if (p->blank && out->len > p->blocks.open && out->data[out->len - 1] != '\n') {
            out->data[out->len++] = ' ';
        }
        p->blank = false;
        out->data[out->len++] = c;
        p->chars++;
        p->total_chars++;
        if (f->flags & FRAME_LINK) {
            p->link_chars++;
            p->total_link++;
        }
    }
}

/* "2" and a raised "31" are not 231. */
static void put_power(struct html_page *p, struct str s)
{
    struct buf *out = &p->blocks.text;
    char before = out->len > p->blocks.open ? out->data[out->len - 1] : ' ';
    bool digits = s.len && s.ptr[0] >= '0' && s.ptr[0] <= '9' && before >= '0' && before <= '9';
    if (p->raised && digits && !p->blank)
        buf_putc(out, '^');
    p->raised = false;
}

static void on_text(struct html_page *p, const struct html_token *t)
{
    if (top(p)->tag->tag == TAG_HEAD && str_trim(t->text).len)
        html_page_pop(p, p->depth - 1);
    if (top(p)->flags & FRAME_DROP)
        return;
    struct str s = t->text;
    if (!t->raw && memchr(s.ptr, '&', s.len)) {
        p->scratch.len = 0;
        html_decode(s, &p->scratch);
        s = buf_str(&p->scratch);
    }
    put_power(p, s);
    put_text(p, s);
}

static void on_title(struct html_page *p, const struct html_token *t)
{
    bool in_head = !(top(p)->flags & FRAME_DROP) || top(p)->tag->tag == TAG_HEAD;
    if (p->title.len == 0 && in_head)
        html_decode(t->text, &p->title);
}

/* Index of the nearest open element with this tag, not looking past an element whose flags meet `barrier` or that is a
 * `fence`; 0 (the root) when there is none. */
static size_t find_open(const struct html_page *p, enum html_tag tag, unsigned barrier, enum html_tag fence)
{
    for (size_t i = p->depth; i-- > 1;) {
        const struct html_tag_info *t = p->stack[i].tag;
        if (t->tag == tag)
            return i;
        if ((t->flags & barrier) || (fence != TAG_OTHER && t->tag == fence))
            break;
    }
    return 0;
}

static void close_open(struct html_page *p, enum html_tag tag, unsigned barrier, enum html_tag fence)
{
    size_t i = find_open(p, tag, barrier, fence);
    if (i)
        html_page_pop(p, i);
}

/* Elements whose end tag may be left out end where the next begins. */
static void close_implied(struct html_page *p, const struct html_tag_info *t)
{
    if (top(p)->tag->tag == TAG_HEAD && t->tag != TAG_META && t->tag != TAG_TITLE)
        html_page_pop(p, p->depth - 1);
    if (t->tag == TAG_A)
        close_open(p, TAG_A, HTML_BLOCK, TAG_OTHER);
    if (!(t->flags & HTML_BLOCK))
        return;
    if (t->tag != TAG_CELL && t->tag != TAG_TR && t->tag != TAG_SECTION)
        close_open(p, TAG_P, HTML_BLOCK, TAG_OTHER);
    if (t->tag == TAG_LI)
        close_open(p, TAG_LI, HTML_SCOPE, TAG_LIST);
    if (t->tag == TAG_DT || t->tag == TAG_DD) {
        close_open(p, TAG_DT, HTML_SCOPE, TAG_DL);
        close_open(p, TAG_DD, HTML_SCOPE, TAG_DL);
    }
    if (t->tag == TAG_CELL)
        close_open(p, TAG_CELL, 0, TAG_TR);
    if (t->tag == TAG_TR)
        close_open(p, TAG_TR, 0, TAG_TABLE);
    if (t->tag == TAG_SECTION)
        close_open(p, TAG_SECTION, 0, TAG_TABLE);
    if (t->tag == TAG_HEADING && top(p)->tag->tag == TAG_HEADING)
        html_page_pop(p, p->depth - 1);
}

static void begin_cell(struct html_page *p)
{
    struct html_frame *row = top(p);
    struct buf *text = &p->blocks.text;
    while (p->chars && text->data[text->len - 1] == '\n')
        text->len--;
    if (row->tag->tag == TAG_TR && row->cells++ > 0 && p->chars)
        buf_puts(text, " | ");
    p->blank = false;
    p->cell_start = p->total_chars;
}

/* What kind of block begins with this element, and how it is parted from what stood before. */
static void begin_block(struct html_page *p, const struct html_tag_info *t, const char *name)
{
    bool cell = top(p)->flags & FRAME_CELL;
    if (t->tag == TAG_HEADING || t->tag == TAG_TABLE || t->tag == TAG_TR || t->tag == TAG_MAIN || t->tag == TAG_ARTICLE)
        flush(p);
    else if (t->tag != TAG_CELL)
        part(p);
    if (t->tag == TAG_HEADING) {
        p->kind = top(p)->flags & FRAME_NOTE ? BLOCK_PARAGRAPH : BLOCK_HEADING;
        p->level = name[1] - '0';
    } else if (t->tag == TAG_TR) {
        p->kind = BLOCK_TABLE_ROW;
    } else if (t->tag == TAG_CELL) {
        begin_cell(p);
    } else if (!cell) {
        if (t->tag == TAG_LI)
            p->kind = BLOCK_LIST_ITEM;
        else if (t->tag == TAG_DT)
            p->kind = BLOCK_TERM;
        else if (t->tag == TAG_PRE)
            p->kind = BLOCK_CODE;
        else if (t->tag == TAG_DD || t->tag == TAG_TABLE)
            p->kind = BLOCK_PARAGRAPH;
    }
}

/* What an element passes on to everything in it. */
static struct html_frame frame_of(const struct html_page *p, const struct html_tag_info *t,
                                  const struct html_token *tok)
{
    struct html_frame f = p->stack[p->depth - 1];
    f.tag = t;
    f.cells = 0;
    memcpy(f.name, tok->name, sizeof f.name);
    bool in_content = f.mark & (MARK_MAIN | MARK_ARTICLE);
    enum html_role role = html_role_of(t, &tok->attrs);
    if ((t->flags & HTML_DROP) || (role == HTML_INVISIBLE && t->tag != TAG_BODY))
        f.flags |= FRAME_DROP;
    if (role == HTML_BOILERPLATE)
        f.soft |= SOFT_CLASS;
    if (role == HTML_ADMONITION)
        f.flags |= FRAME_NOTE;
    if ((t->tag == TAG_NAV && role != HTML_ADMONITION) || (t->tag == TAG_HEADER && !in_content))
        f.soft |= SOFT_ELEMENT;
    if (t->tag == TAG_A && tok->attrs.href)
        f.flags |= FRAME_LINK;
    if (t->tag == TAG_PRE)
        f.flags |= FRAME_PRE;
    if (t->tag == TAG_MAIN || role == HTML_MAIN_ROLE)
        f.mark |= MARK_MAIN;
    if (t->tag == TAG_ARTICLE)
        f.mark |= MARK_ARTICLE;
    if (t->tag == TAG_DL)
        f.list_depth++;
    if (t->tag == TAG_CELL)
        f.flags |= FRAME_CELL;
    if (t->tag == TAG_TABLE || t->tag == TAG_HEADING)
        f.flags &= ~(unsigned)FRAME_CELL;
    f.chars = p->total_chars;
    f.link = p->total_link;
    f.links = p->total_links;
    f.first_block = p->blocks.n;
    return f;
}

static void on_open(struct html_page *p, const struct html_token *tok)
{
    const struct html_tag_info *t = html_tag_of(tok->name);
    if (t->tag == TAG_TITLE) {
        on_title(p, tok);
        return;
    }
    close_implied(p, t);
    bool dropped = top(p)->flags & FRAME_DROP;
    if (t->tag == TAG_BR && !dropped && p->chars) {
        buf_putc(&p->blocks.text, '\n');
        p->blank = false;
    }
    if ((t->flags & HTML_BLOCK) && !dropped)
        begin_block(p, t, tok->name);
    if ((t->flags & HTML_VOID) || (tok->self_closing && (p->xml || t->tag == TAG_OTHER)))
        return;
    if (html_is_raw_text(tok->name)) {
        if (t->tag == TAG_PRE && !dropped) {
            p->kind = BLOCK_CODE;
            put_text(p, tok->text);
            flush(p);
        }
        return;
    }
    if (p->depth == HTML_DEPTH_MAX) {
        p->too_deep++;
        return;
    }
    struct html_frame f = frame_of(p, t, tok);
    p->stack[p->depth++] = f;
    p->raised = t->tag == TAG_SUP;
    if ((f.flags & FRAME_LINK) && t->tag == TAG_A && !(f.flags & FRAME_DROP)) {
        p->links++;
        p->total_links++;
    }
}

static void on_close(struct html_page *p, const struct html_token *tok)
{
    const struct html_tag_info *t = html_tag_of(tok->name);
    if (t->tag == TAG_BODY || (t->flags & HTML_VOID) || html_is_raw_text(tok->name))
        return;
    if (p->too_deep > 0) {
        p->too_deep--;
        if ((t->flags & HTML_BLOCK) && !(top(p)->flags & FRAME_DROP))
            part(p);
        return;
    }
    bool tabular = t->tag == TAG_CELL || t->tag == TAG_TR || t->tag == TAG_SECTION || t->tag == TAG_TABLE;
    unsigned barrier = t->flags & (HTML_BLOCK | HTML_DROP) ? HTML_SCOPE : HTML_BLOCK;
    for (size_t i = p->depth; i-- > 1;) {
        const struct html_frame *f = &p->stack[i];
        if (strcmp(f->name, tok->name) == 0 || (t->tag == TAG_HEADING && f->tag->tag == TAG_HEADING)) {
            html_page_pop(p, i);
            return;
        }
        if (tabular ? f->tag->tag == TAG_TABLE : (f->tag->flags & barrier) != 0)
            return;
    }
}

void html_page_pop(struct html_page *p, size_t to)
{
    while (p->depth > to && p->depth > 1) {
        struct html_frame f = *top(p);
        bool visible = !(f.flags & FRAME_DROP);
        if ((f.tag->flags & HTML_BLOCK) && visible) {
            /* The text before the end tag belongs to the element: its block ends while the element is still open. */
            if (f.tag->tag == TAG_CELL) {
                p->blank = false;
            } else if (f.tag->tag == TAG_HEADING && (f.flags & FRAME_NOTE) && p->chars) {
                buf_putc(&p->blocks.text, ':');
                p->glue = true;
            } else if ((f.flags & FRAME_CELL) && f.tag->tag != TAG_TR && f.tag->tag != TAG_TABLE) {
                part(p);
            } else {
                flush(p);
            }
        }
        if (f.tag->flags & HTML_LINKS || f.tag->tag == TAG_FORM)
            html_page_judge_container(p, &f);
        p->depth--;
        if ((f.tag->flags & HTML_BLOCK) && visible && f.tag->tag != TAG_CELL && p->chars == 0)
            p->kind = top(p)->flags & FRAME_CELL ? BLOCK_TABLE_ROW : BLOCK_PARAGRAPH;
    }
}

/* A byte order mark is no text; anything that is not UTF-8 is refused before this. */
static void read_page(struct html_page *p, struct str bytes)
{
    struct html_scan scan = {.in = bytes};
    struct html_token tok;
    p->xml = str_starts(str_trim(bytes), "<?xml");
    for (html_next(&scan, &tok); tok.event != HTML_END; html_next(&scan, &tok)) {
        if (tok.event == HTML_TEXT)
            on_text(p, &tok);
        else if (tok.event == HTML_OPEN)
            on_open(p, &tok);
        else
            on_close(p, &tok);
    }
    html_page_pop(p, 1);
    flush(p);
}

enum assay_code extract_html(struct arena *a, struct str bytes, struct extracted *out, struct err *err)
{
    if (!str_utf8_valid(bytes))
        return err_set(err, ASSAY_UNPROCESSABLE, "not-utf8", "The HTML document is not valid UTF-8.");
    struct html_page *p = mem_calloc(1, sizeof *p);
    p->stack[0].tag = html_tag_of("body");
    p->depth = 1;
    p->kind = BLOCK_PARAGRAPH;
    read_page(p, bytes);
    html_page_select(p);
    struct str title = str_trim(buf_str(&p->title));
    if (title.len == 0)
        title = html_page_first_heading(p);
    enum assay_code code = blocks_finish(a, &p->blocks, title, out, err);
    blocks_free(&p->blocks);
    buf_free(&p->title);
    buf_free(&p->scratch);
    free(p);
    return code;
}
