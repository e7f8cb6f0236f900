/*
 * Three steps: blocks become units (a block, or a piece of one that is too heavy), units become sections by the
 * headings, sections become chunks.
 */
#include "ingest/chunker.h"

#include <stdlib.h>
#include <string.h>

#include "ingest/ingest.h"
#include "ingest/segment.h"

enum {
    HEADING_LEVELS = 6,
    HEADING_PART_MAX = 200, /* bytes of one heading in a path; a longer one is cut: it is no heading for anybody */
    TERM_DEPTH_MAX = 4      /* terms of definition lists nested deeper are left out of the path */
};

struct unit {
    enum block_kind kind;
    int level, depth, page;
    size_t from, to, tokens;
    struct str path; /* headings and terms above it (with itself when it is a heading) */
    bool first;      /* the first piece of its block */
};

struct section {
    size_t from, to; /* units */
    size_t tokens;
    int level; /* of its heading; 0 for text before any */
    bool bare; /* nothing in it but headings */
};

struct chunker {
    struct arena *arena;
    const struct chunk_params *p;
    struct str text;
    struct unit *units;
    size_t n_units, cap_units;
    struct section *sections;
    size_t n_sections;
    struct chunk_span *spans;
    size_t n_spans, cap_spans;
    struct str heading[HEADING_LEVELS + 1];
    struct str term[TERM_DEPTH_MAX + 1];
};

static size_t limit_of(const struct chunk_params *p)
{
    return (size_t)p->target_tokens;
}

static size_t max_of(const struct chunk_params *p)
{
    return (size_t)p->max_tokens;
}

static struct str path_part(struct str s)
{
    if (s.len <= HEADING_PART_MAX)
        return s;
    size_t n = HEADING_PART_MAX;
    while (n > 0 && ((unsigned char)s.ptr[n] & 0xc0U) == 0x80)
        n--;
    return (struct str){s.ptr, n};
}

static struct str path_build(struct chunker *c)
{
    struct buf path = {0};
    const struct str *parts[] = {c->heading, c->term};
    const size_t n[] = {HEADING_LEVELS, TERM_DEPTH_MAX};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 1; i <= n[k]; i++) {
            if (parts[k][i].len == 0)
                continue;
            if (path.len)
                buf_puts(&path, " > ");
            buf_put(&path, parts[k][i].ptr, parts[k][i].len);
        }
    struct str out = path.len ? str_dup(c->arena, buf_str(&path)) : STR_LIT("");
    buf_free(&path);
    return out;
}

/* Keeps the stacks of headings and terms as the blocks go by. True when the path of what follows has changed. */
static bool path_enter(struct chunker *c, const struct canonical_block *b)
{
    bool changed = false;
    int depth = b->kind == BLOCK_HEADING ? 0 : b->depth;
    int keep = b->kind == BLOCK_TERM ? depth - 1 : depth;
    for (int i = keep < 0 ? 1 : keep + 1; i <= TERM_DEPTH_MAX; i++) {
        changed = changed || c->term[i].len;
        c->term[i] = (struct str){0};
    }
    if (b->kind == BLOCK_HEADING && b->level >= 1 && b->level <= HEADING_LEVELS) {
        c->heading[b->level] = path_part((struct str){c->text.ptr + b->from, b->to - b->from});
        for (int i = b->level + 1; i <= HEADING_LEVELS; i++)
            c->heading[i] = (struct str){0};
        changed = true;
    }
    return changed;
}

static void unit_add(struct chunker *c, struct unit u)
{
    while (u.from < u.to && (unsigned char)c->text.ptr[u.from] <= ' ' && !u.first)
        u.from++;
    while (u.to > u.from && (unsigned char)c->text.ptr[u.to - 1] <= ' ')
        u.to--;
    if (u.from == u.to)
        return;
    /* With the blanks before it, which weigh something when a piece of code was cut at a long run of them. */
    size_t gap = c->n_units ? c->units[c->n_units - 1].to : u.from;
    u.tokens = ingest_token_count((struct str){c->text.ptr + gap, u.from - gap}) +
               ingest_token_count((struct str){c->text.ptr + u.from, u.to - u.from});
    if (c->n_units == c->cap_units) {
        c->cap_units = c->cap_units ? c->cap_units * 2 : 64;
        c->units = mem_realloc(c->units, c->cap_units * sizeof *c->units);
    }
    c->units[c->n_units++] = u;
}

static bool by_line(enum block_kind k)
{
    return k == BLOCK_CODE || k == BLOCK_TABLE_ROW;
}

/* A block as one unit, or as pieces of at most the target when it is heavier than a chunk may be. */
static void block_to_units(struct chunker *c, const struct canonical_block *b, struct str path)
{
    struct unit u = {
        .kind = b->kind, .level = b->level, .depth = b->depth, .page = b->page, .path = path, .first = true};
    size_t tokens = ingest_token_count((struct str){c->text.ptr + b->from, b->to - b->from});
    size_t at = b->from;
    /* An eighth of the maximum is left for the heading that goes with the block. */
    while (tokens > max_of(c->p) - max_of(c->p) / 8 && at < b->to) {
        size_t cut = segment_cut(c->text, at, b->to, limit_of(c->p), by_line(b->kind));
        u.from = at;
        u.to = cut;
        unit_add(c, u);
        u.first = false;
        at = cut;
    }
    if (at == b->from) {
        u.from = at;
        u.to = b->to;
        unit_add(c, u);
    }
}

static void units_build(struct chunker *c, const struct canonical *doc)
{
    struct str path = STR_LIT("");
    for (size_t i = 0; i < doc->n_blocks; i++) {
        const struct canonical_block *b = &doc->blocks[i];
        if (path_enter(c, b))
            path = path_build(c);
        block_to_units(c, b, path);
        if (b->kind == BLOCK_TERM && b->depth >= 1 && b->depth <= TERM_DEPTH_MAX) {
            c->term[b->depth] = path_part((struct str){c->text.ptr + b->from, b->to - b->from});
            path = path_build(c);
        }
    }
}

static void sections_build(struct chunker *c)
{
    c->sections = ARENA_ARRAY(c->arena, struct section, c->n_units + 1);
    struct section *s = NULL;
    for (size_t i = 0; i < c->n_units; i++) {
        const struct unit *u = &c->units[i];
        bool heading = u->kind == BLOCK_HEADING;
        if (!s || (heading && u->first && u->level <= c->p->split_level)) {
            s = &c->sections[c->n_sections++];
            *s = (struct section){.from = i, .level = heading ? u->level : 0, .bare = true};
        }
        s->to = i + 1;
        s->tokens += u->tokens;
        s->bare = s->bare && heading;
    }
}

/* Adds the chunk of units [from, to), beginning at byte `start` (before the first unit when it repeats a tail). */
static void span_add(struct chunker *c, size_t from, size_t to, size_t start)
{
    size_t body = from;
    while (body + 1 < to && c->units[body].kind == BLOCK_HEADING)
        body++;
    if (c->n_spans == c->cap_spans) {
        c->cap_spans = c->cap_spans ? c->cap_spans * 2 : 64;
        c->spans = mem_realloc(c->spans, c->cap_spans * sizeof *c->spans);
    }
    struct str text = {c->text.ptr + start, c->units[to - 1].to - start};
    c->spans[c->n_spans++] = (struct chunk_span){.from = start,
                                                 .to = start + text.len,
                                                 .heading = c->units[body].path,
                                                 .page = c->units[from].page,
                                                 .tokens = ingest_token_count(text)};
}

/* A unit that should not be the last of a chunk, since it announces the next. */
static bool announces(const struct chunker *c, size_t i)
{
    const struct unit *u = &c->units[i];
    if (u->kind == BLOCK_HEADING || u->kind == BLOCK_TERM)
        return true;
    return u->kind == BLOCK_PARAGRAPH && c->text.ptr[u->to - 1] == ':';
}

/* Whether the heading at `i` and all up to the next one weigh at most `room`. */
static bool fits(const struct chunker *c, size_t i, size_t to, size_t room)
{
    size_t tokens = c->units[i].tokens;
    while (++i < to && c->units[i].kind != BLOCK_HEADING && tokens <= room)
        tokens += c->units[i].tokens;
    return tokens <= room;
}

/* How many units from `from` on make the next chunk, when `used` tokens of it are taken by a repeated tail. */
static size_t take(const struct chunker *c, size_t from, size_t to, size_t used)
{
    size_t target = limit_of(c->p), max = max_of(c->p), tokens = used, n = 0;
    for (size_t i = from; i < to; i++, n++) {
        const struct unit *u = &c->units[i];
        bool half = tokens * 2 >= target;
        if (n > 0 && tokens + u->tokens > (half ? target : max))
            break;
        if (n > 0 && half && !announces(c, i - 1) &&
            (u->kind == BLOCK_TERM || (u->kind == BLOCK_HEADING && !fits(c, i, to, target - tokens))))
            break;
        tokens += u->tokens;
    }
    if (from + n == to)
        return n;
    size_t trimmed = n;
    while (trimmed > 1 && announces(c, from + trimmed - 1))
        trimmed--;
    return announces(c, from + trimmed - 1) ? n : trimmed;
}

/* Where the chunk of the units from `next` on begins, to repeat the end of the chunk before it. */
static size_t overlap_start(const struct chunker *c, size_t next, size_t *used)
{
    const struct unit *u = &c->units[next], *last = &c->units[next - 1];
    const struct chunk_span *before = &c->spans[c->n_spans - 1];
    size_t limit = (size_t)c->p->overlap_tokens,
           room = max_of(c->p) - (u->tokens < max_of(c->p) ? u->tokens : max_of(c->p));
    *used = 0;
    if (limit > room)
        limit = room;
    if (limit == 0 || u->kind == BLOCK_TERM || u->kind == BLOCK_HEADING)
        return u->from;
    size_t from = before->from > last->from ? before->from : last->from;
    /* A light last unit is not enough of a tail: then the whole chunk before is searched. */
    if (last->tokens < limit)
        from = before->from;
    size_t start = segment_tail(c->text, from, before->to, limit, by_line(last->kind));
    if (start >= before->to)
        return u->from;
    *used = ingest_token_count((struct str){c->text.ptr + start, before->to - start});
    return start;
}

/* The units [from, to) of one section (or of several light ones) as chunks. */
static void section_to_spans(struct chunker *c, size_t from, size_t to)
{
    size_t at = from, start = c->units[from].from, used = 0;
    while (at < to) {
        size_t n = take(c, at, to, used);
        size_t rest = 0;
        for (size_t i = at + n; i < to && rest * 4 < limit_of(c->p); i++)
            rest += c->units[i].tokens;
        size_t taken = used;
        for (size_t i = at; i < at + n; i++)
            taken += c->units[i].tokens;
        /* A light remainder is better off here than alone. */
        if (rest > 0 && rest * 4 < limit_of(c->p) && taken + rest <= max_of(c->p))
            n = to - at;
        span_add(c, at, at + n, start);
        at += n;
        if (at < to)
            start = overlap_start(c, at, &used);
    }
}

/* Whether section b may share a chunk with the section a before it (and what was joined to that): siblings and
 * children may, when one of the two is light and both fit, or is tiny; a bare heading goes with its first child always.
 */
static bool may_join(const struct chunker *c, const struct section *first, const struct section *a,
                     const struct section *b, size_t tokens)
{
    size_t target = limit_of(c->p);
    bool light = tokens * 3 < target || b->tokens * 3 < target;
    bool tiny = tokens * 8 < target || b->tokens * 8 < target;
    bool related = b->level >= a->level || b->level >= first->level;
    return related && (tiny || (light && tokens + b->tokens <= target));
}

static void sections_to_spans(struct chunker *c)
{
    for (size_t i = 0; i < c->n_sections;) {
        size_t end = i + 1, tokens = c->sections[i].tokens;
        bool bare = c->sections[i].bare;
        while (end < c->n_sections) {
            const struct section *last = &c->sections[end - 1], *next = &c->sections[end];
            bool title_of_next = bare && next->level > last->level;
            if (!title_of_next && !may_join(c, &c->sections[i], last, next, tokens))
                break;
            tokens += next->tokens;
            bare = bare && next->bare;
            end++;
        }
        section_to_spans(c, c->sections[i].from, c->sections[end - 1].to);
        i = end;
    }
}

enum assay_code chunk_spans(struct arena *a, const struct chunk_params *p, const struct canonical *doc,
                            struct chunk_span **out, size_t *n_out, struct err *err)
{
    struct chunker c = {.arena = a, .p = p, .text = doc->text};
    enum assay_code code = ASSAY_OK;
    units_build(&c, doc);
    sections_build(&c);
    sections_to_spans(&c);
    if (c.n_spans > INGEST_CHUNKS_MAX) {
        code = err_set(err, ASSAY_TOO_LARGE, "document-too-large", "The document would have more than %d chunks.",
                       INGEST_CHUNKS_MAX);
    } else {
        *out = ARENA_ARRAY(a, struct chunk_span, c.n_spans + 1);
        if (c.n_spans)
            memcpy(*out, c.spans, c.n_spans * sizeof **out);
        *n_out = c.n_spans;
    }
    free(c.units);
    free(c.spans);
    return code;
}
