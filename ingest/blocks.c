#include "ingest/blocks.h"

#include <stdlib.h>
#include <string.h>

void blocks_free(struct blocks *b)
{
    buf_free(&b->text);
    free(b->recs);
    *b = (struct blocks){0};
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool blocks_open_is_blank(const struct blocks *b)
{
    for (size_t i = b->open; i < b->text.len; i++)
        if (!is_space(b->text.data[i]))
            return false;
    return true;
}

struct block_rec *blocks_end(struct blocks *b, enum block_kind kind, int level)
{
    if (blocks_open_is_blank(b)) {
        b->text.len = b->open;
        return NULL;
    }
    if (b->n == EXTRACT_BLOCKS_MAX) {
        b->overflow = true;
        b->text.len = b->open;
        return NULL;
    }
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 64;
        b->recs = mem_realloc(b->recs, b->cap * sizeof *b->recs);
    }
    struct block_rec *rec = &b->recs[b->n++];
    *rec = (struct block_rec){.kind = kind, .level = level, .from = b->open, .to = b->text.len};
    b->open = b->text.len;
    return rec;
}

enum assay_code blocks_finish(struct arena *a, const struct blocks *b, struct str title, struct extracted *out,
                              struct err *err)
{
    if (b->overflow)
        return err_set(err, ASSAY_TOO_LARGE, "document-too-large", "The document has more than %d blocks.",
                       EXTRACT_BLOCKS_MAX);
    size_t kept = 0;
    for (size_t i = 0; i < b->n; i++)
        kept += b->recs[i].drop == 0;
    struct str text = b->text.len ? str_dup(a, buf_str(&b->text)) : STR_LIT("");
    out->title = str_dup(a, str_trim(title));
    out->blocks = ARENA_ARRAY(a, struct block, kept ? kept : 1);
    out->n_blocks = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct block_rec *r = &b->recs[i];
        if (r->drop == 0)
            out->blocks[out->n_blocks++] = (struct block){.kind = r->kind,
                                                          .level = r->level,
                                                          .page = r->page,
                                                          .depth = r->depth,
                                                          .text = {text.ptr + r->from, r->to - r->from}};
    }
    return ASSAY_OK;
}
