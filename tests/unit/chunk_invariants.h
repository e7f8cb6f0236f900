/*
 * What must hold of any document's chunks, whatever the text: for unit tests and the fuzzer. Aborts when it does not.
 */
#ifndef ASSAY_TESTS_CHUNK_INVARIANTS_H
#define ASSAY_TESTS_CHUNK_INVARIANTS_H

#include <stdio.h>
#include <stdlib.h>

#include "ingest/canonical.h"
#include "ingest/chunker.h"
#include "ingest/ingest.h"

#define MUST_HOLD(what)                                                                                                \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline bool on_boundary(struct str text, size_t at)
{
    return at == text.len || ((unsigned char)text.ptr[at] & 0xc0U) != 0x80;
}

static inline bool only_white_space(struct str text, size_t from, size_t to)
{
    return from >= to || str_trim((struct str){text.ptr + from, to - from}).len == 0;
}

/* Spans lie on code points, go forward, leave no text out, and weigh what they should. */
static inline void check_spans(const struct canonical *doc, const struct chunk_params *p,
                               const struct chunk_span *spans, size_t n)
{
    size_t covered = 0;
    for (size_t i = 0; i < n; i++) {
        const struct chunk_span *s = &spans[i];
        MUST_HOLD(s->from < s->to && s->to <= doc->text.len);
        MUST_HOLD(on_boundary(doc->text, s->from) && on_boundary(doc->text, s->to));
        MUST_HOLD(i == 0 || (s->from > spans[i - 1].from && s->to > spans[i - 1].to));
        MUST_HOLD(only_white_space(doc->text, covered, s->from));
        MUST_HOLD(s->tokens == ingest_token_count((struct str){doc->text.ptr + s->from, s->to - s->from}));
        MUST_HOLD(s->tokens <= (size_t)p->max_tokens);
        MUST_HOLD(str_utf8_valid(s->heading));
        if (s->from < covered)
            MUST_HOLD(ingest_token_count((struct str){doc->text.ptr + s->from, covered - s->from}) <=
                      (size_t)p->overlap_tokens);
        covered = s->to;
    }
    MUST_HOLD(only_white_space(doc->text, covered, doc->text.len));
}

/* Canonical text is valid UTF-8 without control characters, its blocks cover it, and making it canonical again changes
 * nothing. */
static inline void check_canonical(struct arena *a, const struct canonical *doc)
{
    MUST_HOLD(str_utf8_valid(doc->text));
    struct block *blocks = ARENA_ARRAY(a, struct block, doc->n_blocks + 1);
    size_t at = 0;
    for (size_t i = 0; i < doc->n_blocks; i++) {
        const struct canonical_block *b = &doc->blocks[i];
        MUST_HOLD(b->from < b->to && b->to <= doc->text.len && only_white_space(doc->text, at, b->from));
        MUST_HOLD(i == 0 ? b->from == 0 : b->from > at);
        blocks[i] = (struct block){.kind = b->kind,
                                   .level = b->level,
                                   .page = b->page,
                                   .depth = b->depth,
                                   .text = {doc->text.ptr + b->from, b->to - b->from}};
        at = b->to;
    }
    MUST_HOLD(at == doc->text.len);
    for (size_t i = 0; i < doc->text.len; i++) {
        unsigned char c = (unsigned char)doc->text.ptr[i];
        MUST_HOLD((c >= ' ' && c != 0x7f) || c == '\n' || c == '\t');
    }
    struct extracted again = {.title = STR_LIT(""), .blocks = blocks, .n_blocks = doc->n_blocks};
    struct canonical twice;
    MUST_HOLD(canonicalise(a, &again, &twice, NULL) == ASSAY_OK);
    MUST_HOLD(str_eq(twice.text, doc->text) && twice.n_blocks == doc->n_blocks);
}

#endif
