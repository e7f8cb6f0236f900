#include "ingest/html_page.h"

#include <string.h>

/* A row of links, "Home  News  Contact": not a sentence, whose commas would show. */
void html_page_judge_block(const struct html_page *p, struct block_rec *rec)
{
    bool content = rec->mark || rec->kind == BLOCK_HEADING || rec->kind == BLOCK_TERM || rec->kind == BLOCK_CODE;
    if (content || p->links < 4 || rec->link * 10 < rec->chars * 8)
        return;
    if (!memchr(p->blocks.text.data + rec->from, ',', rec->to - rec->from))
        rec->drop |= SOFT_FARM;
}

static bool has_prose(const struct html_page *p, size_t from)
{
    enum { PROSE = 120 }; /* bytes outside links: about a sentence */
    for (size_t i = from; i < p->blocks.n; i++) {
        const struct block_rec *r = &p->blocks.recs[i];
        if (r->chars - r->link > PROSE)
            return true;
    }
    return false;
}

void html_page_judge_container(struct html_page *p, const struct html_frame *f)
{
    size_t chars = p->total_chars - f->chars, link = p->total_link - f->link, links = p->total_links - f->links;
    unsigned reason = 0;
    if (f->tag->tag == TAG_FORM)
        reason = has_prose(p, f->first_block) ? 0 : SOFT_FORM;
    else if (f->mark ? links >= 6 && link * 10 >= chars * 9
                     : (links >= 4 && link * 4 >= chars * 3) || (links >= 20 && link * 2 >= chars))
        reason = SOFT_FARM;
    /* An outer farm of farms has nothing left to mark: this keeps nested lists from costing depth times blocks. */
    size_t n = p->blocks.n;
    if (!reason || f->first_block == n ||
        ((p->blocks.recs[f->first_block].drop & reason) && (p->blocks.recs[n - 1].drop & reason)))
        return;
    for (size_t i = f->first_block; i < n; i++)
        p->blocks.recs[i].drop |= reason;
}

static size_t kept_chars(const struct html_page *p, unsigned mark)
{
    size_t chars = 0;
    for (size_t i = 0; i < p->blocks.n; i++)
        if (p->blocks.recs[i].drop == 0 && (mark == 0 || (p->blocks.recs[i].mark & mark)))
            chars += p->blocks.recs[i].chars;
    return chars;
}

static void keep_only(struct html_page *p, unsigned mark)
{
    for (size_t i = 0; i < p->blocks.n; i++)
        if (!(p->blocks.recs[i].mark & mark))
            p->blocks.recs[i].drop |= SOFT_OUTSIDE;
}

/* A heading right above dropped blocks only, "On this page", goes with them; the first heading stays. */
static void drop_orphans(struct html_page *p)
{
    struct block_rec *heading = NULL;
    bool first = true, dropped = false;
    for (size_t i = 0; i < p->blocks.n; i++) {
        struct block_rec *r = &p->blocks.recs[i];
        if (r->drop) {
            dropped = true;
            continue;
        }
        if (r->kind == BLOCK_HEADING && heading && dropped && r->level <= heading->level)
            heading->drop |= SOFT_FARM;
        heading = r->kind == BLOCK_HEADING && !first ? r : NULL;
        first = first && r->kind != BLOCK_HEADING;
        dropped = false;
    }
    if (heading && dropped)
        heading->drop |= SOFT_FARM;
}

void html_page_select(struct html_page *p)
{
    size_t all = kept_chars(p, 0), in_main = kept_chars(p, MARK_MAIN), in_article = kept_chars(p, MARK_ARTICLE);
    if (in_main >= 200 || in_main * 4 >= all + 1)
        keep_only(p, MARK_MAIN);
    else if (in_article * 2 >= all + 1)
        keep_only(p, MARK_ARTICLE);
    drop_orphans(p);
    for (unsigned reason = SOFT_OUTSIDE; reason && kept_chars(p, 0) == 0; reason >>= 1U)
        for (size_t i = 0; i < p->blocks.n; i++)
            p->blocks.recs[i].drop &= ~reason;
}

struct str html_page_first_heading(const struct html_page *p)
{
    const struct block_rec *found = NULL;
    for (size_t i = 0; i < p->blocks.n; i++) {
        const struct block_rec *r = &p->blocks.recs[i];
        if (r->kind != BLOCK_HEADING)
            continue;
        if (!found || r->level == 1)
            found = r;
        if (r->level == 1)
            break;
    }
    return found ? (struct str){p->blocks.text.data + found->from, found->to - found->from} : STR_LIT("");
}
