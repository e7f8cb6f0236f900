/*
 * Office files -> blocks: WordprocessingML (ISO/IEC 29500-1, prefix w: as every writer has it) and OpenDocument text
 * (OASIS ODF 1.3). Deleted text, comments and fields' instructions are left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ingest/blocks.h"
#include "ingest/office_xml.h"
#include "ingest/office_zip.h"

enum { STYLES_MAX = 1024, STYLE_ID_MAX = 64 };

/* What a paragraph is: LEVEL_TEXT, LEVEL_TITLE, a heading of level 1-6, or an entry of a table of contents. */
enum { LEVEL_CONTENTS = -2, LEVEL_TEXT = -1, LEVEL_TITLE = 0, LEVEL_MAX = 6 };

struct style {
    char id[STYLE_ID_MAX];
    int level;
};

struct office {
    struct blocks blocks;
    struct style *styles; /* STYLES_MAX of them */
    size_t n_styles;
    struct buf title;
    int tables;   /* open around */
    size_t cells; /* of the row so far */
    int level;    /* of the paragraph under construction */
    bool item;    /* it is a list item's first */
    int in_text;  /* > 0: character data counts */
};

/* Calls back for each start and end of an element. */
typedef void office_handler(struct office *o, struct office_xml *x, const char *name, bool open);

/* Ends a paragraph: a block of its own, or a line of the table cell it stands in. */
static void end_paragraph(struct office *o)
{
    struct blocks *b = &o->blocks;
    if (o->level == LEVEL_CONTENTS) {
        b->text.len = b->open;
    } else if (o->tables > 0) {
        /* Not where the cell has just begun, behind its separator. */
        if (!blocks_open_is_blank(b) && b->text.data[b->text.len - 1] != ' ')
            buf_putc(&b->text, '\n');
    } else if (o->level == LEVEL_TEXT) {
        blocks_end(b, o->item ? BLOCK_LIST_ITEM : BLOCK_PARAGRAPH, 0);
    } else {
        const struct block_rec *rec = blocks_end(b, BLOCK_HEADING, o->level == LEVEL_TITLE ? 1 : o->level);
        if (rec && o->level <= 1 && o->title.len == 0)
            buf_put(&o->title, b->text.data + rec->from, rec->to - rec->from);
    }
    o->level = LEVEL_TEXT;
    o->item = false;
}

static void on_table(struct office *o, bool open)
{
    if (open && o->tables == 0)
        blocks_end(&o->blocks, BLOCK_PARAGRAPH, 0);
    o->tables += open ? 1 : -1;
}

static void on_row(struct office *o)
{
    o->cells = 0;
    blocks_end(&o->blocks, BLOCK_TABLE_ROW, 0);
}

static void on_cell(struct office *o, bool open)
{
    struct buf *t = &o->blocks.text;
    if (!open || o->cells++ == 0 || blocks_open_is_blank(&o->blocks))
        return;
    while (t->data[t->len - 1] == '\n')
        t->len--;
    buf_puts(t, " | ");
}

static void docx_style(struct office *o, struct office_xml *x)
{
    char id[OFFICE_VALUE_MAX];
    if (!office_xml_attr(x, "w:val", id))
        return;
    for (size_t i = 0; i < o->n_styles; i++)
        if (strcmp(o->styles[i].id, id) == 0)
            o->level = o->styles[i].level;
}

/* Outline levels are counted from 0 in the file; deeper ones than six are body text (9 means so). */
static void docx_outline(struct office_xml *x, int *level)
{
    char value[OFFICE_VALUE_MAX];
    if (office_xml_attr(x, "w:val", value) && value[0] >= '0' && value[0] < '0' + LEVEL_MAX && value[1] == '\0')
        *level = value[0] - '0' + 1;
}

static void docx_document(struct office *o, struct office_xml *x, const char *name, bool open)
{
    if (strcmp(name, "w:p") == 0) {
        if (!open || o->tables == 0) /* a text box begins within a paragraph */
            end_paragraph(o);
    } else if (strcmp(name, "w:tbl") == 0) {
        on_table(o, open);
    } else if (strcmp(name, "w:tr") == 0) {
        on_row(o);
    } else if (strcmp(name, "w:tc") == 0) {
        on_cell(o, open);
    } else if (strcmp(name, "w:t") == 0) {
        o->in_text += open ? 1 : -1;
    } else if (!open) {
        return;
    } else if (strcmp(name, "w:pStyle") == 0) {
        docx_style(o, x);
    } else if (strcmp(name, "w:outlineLvl") == 0) {
        docx_outline(x, &o->level);
    } else if (strcmp(name, "w:numPr") == 0) {
        o->item = true;
    } else if (strcmp(name, "w:tab") == 0) {
        buf_putc(&o->blocks.text, ' ');
    } else if (strcmp(name, "w:br") == 0 || strcmp(name, "w:cr") == 0) {
        buf_putc(&o->blocks.text, '\n');
    }
}

/* Ids of styles are in the writer's language, their names are not: "heading 1", "Title", "toc 2". */
static void docx_styles(struct office *o, struct office_xml *x, const char *name, bool open)
{
    char value[OFFICE_VALUE_MAX];
    struct style *last = o->n_styles ? &o->styles[o->n_styles - 1] : NULL;
    if (!open) {
        return;
    } else if (strcmp(name, "w:style") == 0) {
        if (o->n_styles < STYLES_MAX && office_xml_attr(x, "w:styleId", value)) {
            last = &o->styles[o->n_styles++];
            last->level = LEVEL_TEXT;
            (void)snprintf(last->id, sizeof last->id, "%.*s", STYLE_ID_MAX - 1, value);
        }
    } else if (last && strcmp(name, "w:name") == 0 && office_xml_attr(x, "w:val", value)) {
        if (strncasecmp(value, "heading ", 8) == 0 && value[8] >= '1' && value[8] <= '6' && value[9] == '\0')
            last->level = value[8] - '0';
        else if (strcasecmp(value, "title") == 0)
            last->level = LEVEL_TITLE;
        else if (strncasecmp(value, "toc ", 4) == 0)
            last->level = LEVEL_CONTENTS;
    } else if (last && last->level == LEVEL_TEXT && strcmp(name, "w:outlineLvl") == 0) {
        docx_outline(x, &last->level);
    }
}

static void odt_heading(struct office *o, struct office_xml *x)
{
    char value[OFFICE_VALUE_MAX];
    o->level = 1;
    if (office_xml_attr(x, "text:outline-level", value) && value[0] >= '1' && value[0] <= '9')
        o->level = value[1] == '\0' && value[0] - '0' <= LEVEL_MAX ? value[0] - '0' : LEVEL_MAX;
}

static void odt_content(struct office *o, struct office_xml *x, const char *name, bool open)
{
    if (strcmp(name, "text:p") == 0 || strcmp(name, "text:h") == 0) {
        if (!open)
            end_paragraph(o);
        else if (name[5] == 'h')
            odt_heading(o, x);
        o->in_text += open ? 1 : -1;
    } else if (strcmp(name, "text:list-item") == 0) {
        o->item = open;
    } else if (strcmp(name, "table:table") == 0) {
        on_table(o, open);
    } else if (strcmp(name, "table:table-row") == 0) {
        on_row(o);
    } else if (strcmp(name, "table:table-cell") == 0) {
        on_cell(o, open);
    } else if (open && (strcmp(name, "text:s") == 0 || strcmp(name, "text:tab") == 0)) {
        buf_putc(&o->blocks.text, ' ');
    } else if (open && strcmp(name, "text:line-break") == 0) {
        buf_putc(&o->blocks.text, '\n');
    }
}

/* docProps/core.xml and meta.xml both hold Dublin Core. Read last, so that a declared title wins. */
static void core_title(struct office *o, struct office_xml *x, const char *name, bool open)
{
    (void)x;
    if (strcmp(name, "dc:title") == 0)
        o->in_text += open ? 1 : -1;
}

static bool left_out(const char *name)
{
    static const char *const names[] = {"w:del",
                                        "w:moveFrom",
                                        "mc:Fallback",
                                        "w:rPrChange",
                                        "w:pPrChange",
                                        "w:tabs",
                                        "office:annotation",
                                        "text:tracked-changes",
                                        "text:table-of-content",
                                        "text:sequence-decls",
                                        "text:bibliography",
                                        "text:alphabetical-index",
                                        "svg:title",
                                        "svg:desc"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static enum assay_code read_member(struct office *o, const struct buf *xml, office_handler *handle, struct err *err)
{
    struct office_xml *x = office_xml_open(buf_str(xml));
    enum office_event e = OFFICE_FAILED;
    int skip = 0; /* depth within an element that is left out */
    o->in_text = 0;
    o->level = LEVEL_TEXT;
    while (x && (e = office_xml_next(x)) != OFFICE_DONE && e != OFFICE_FAILED) {
        if (e == OFFICE_TEXT) {
            if (skip == 0 && o->in_text > 0)
                buf_puts(&o->blocks.text, office_xml_text(x));
            continue;
        }
        const char *name = office_xml_name(x);
        if (skip > 0 || left_out(name))
            skip += e == OFFICE_OPEN ? 1 : -1;
        else
            handle(o, x, name, e == OFFICE_OPEN);
    }
    office_xml_close(x);
    if (e != OFFICE_FAILED)
        return ASSAY_OK;
    return err_set(err, ASSAY_UNPROCESSABLE, "unreadable-document",
                   "The office document's XML is damaged or holds a document type.");
}

enum { MEMBER_CONTENT, MEMBER_META, MEMBER_STYLES, MEMBERS };

static enum assay_code read_members(struct office *o, enum media_type media, struct office_member *m, struct err *err)
{
    bool docx = media == MEDIA_DOCX;
    if (!m[MEMBER_CONTENT].found)
        return err_set(err, ASSAY_UNPROCESSABLE, "unreadable-document", "The file is no %s document.",
                       docx ? "docx" : "odt");
    if (docx && m[MEMBER_STYLES].found)
        TRY(read_member(o, &m[MEMBER_STYLES].bytes, docx_styles, err));
    TRY(read_member(o, &m[MEMBER_CONTENT].bytes, docx ? docx_document : odt_content, err));
    blocks_end(&o->blocks, BLOCK_PARAGRAPH, 0);
    if (!m[MEMBER_META].found)
        return ASSAY_OK;
    size_t from = o->blocks.open;
    TRY(read_member(o, &m[MEMBER_META].bytes, core_title, err));
    if (!blocks_open_is_blank(&o->blocks)) {
        o->title.len = 0;
        buf_put(&o->title, o->blocks.text.data + from, o->blocks.text.len - from);
    }
    o->blocks.text.len = from;
    return ASSAY_OK;
}

enum assay_code extract_office(struct arena *a, enum media_type media, struct str bytes, struct extracted *out,
                               struct err *err)
{
    bool docx = media == MEDIA_DOCX;
    struct office_member members[MEMBERS] = {
        [MEMBER_CONTENT] = {.name = docx ? "word/document.xml" : "content.xml"},
        [MEMBER_META] = {.name = docx ? "docProps/core.xml" : "meta.xml"},
        [MEMBER_STYLES] = {.name = "word/styles.xml"},
    };
    struct office o = {.styles = mem_calloc(STYLES_MAX, sizeof *o.styles)};
    enum assay_code code = office_zip_read(bytes, members, MEMBERS, err);
    if (code == ASSAY_OK)
        code = read_members(&o, media, members, err);
    if (code == ASSAY_OK)
        code = blocks_finish(a, &o.blocks, buf_str(&o.title), out, err);
    for (size_t i = 0; i < MEMBERS; i++)
        buf_free(&members[i].bytes);
    blocks_free(&o.blocks);
    buf_free(&o.title);
    free(o.styles);
    return code;
}
