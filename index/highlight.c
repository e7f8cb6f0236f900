#include "index/search.h"

enum { SPANS_MAX = 1000 /* of a hit */ };

struct marker {
    const struct search *s;
    unsigned lang;
    struct vindex_span *spans;
    size_t n;
};

static bool asked(const struct marker *m, const struct word *word)
{
    struct words *w = m->s->scratch->words;
    struct str stem = words_stem(w, m->lang, word);
    bool prefixes = false;
    for (size_t i = 0; i < m->s->n_terms; i++) {
        const struct term *t = &m->s->terms[i];
        prefixes = prefixes || t->prefix.ptr != NULL;
        if (t->prefix.ptr == NULL && (t->langs >> m->lang & 1) != 0 && str_eq(t->stem, stem)) {
            return true;
        }
    }
    struct str folded = prefixes ? words_stem(w, WORDS_LANG_NONE, word) : (struct str){NULL, 0};
    for (size_t i = 0; prefixes && i < m->s->n_terms; i++) {
        struct str p = m->s->terms[i].prefix;
        if (p.ptr != NULL && folded.len >= p.len && memcmp(folded.ptr, p.ptr, p.len) == 0) {
            return true;
        }
    }
    return false;
}

/* Words come in the order of the text, a part of one after the whole: a span that meets the last one makes it longer.
 */
static void mark(void *ctx, const struct word *word)
{
    struct marker *m = ctx;
    if (!asked(m, word)) {
        return;
    }
    if (m->n > 0 && word->from < m->spans[m->n - 1].to) {
        size_t to = m->spans[m->n - 1].to;
        m->spans[m->n - 1].to = word->to > to ? word->to : to;
    } else if (m->n < SPANS_MAX) {
        m->spans[m->n++] = (struct vindex_span){word->from, word->to};
    }
}

void highlight_hits(struct search *s, struct vindex_result *out)
{
    struct marker m = {.s = s, .spans = NULL};
    for (size_t i = 0; i < out->n && s->q->highlight && s->n_terms > 0; i++) {
        struct vindex_hit *h = &out->hits[i];
        struct vindex_span spans[SPANS_MAX];
        m.spans = spans;
        m.n = 0;
        m.lang = words_lang(h->language);
        words_each(s->scratch->words, h->text, mark, &m);
        struct vindex_span *kept = ARENA_ARRAY(s->arena, struct vindex_span, m.n + 1);
        memcpy(kept, spans, m.n * sizeof(*kept));
        h->highlights = kept;
        h->n_highlights = m.n;
    }
}
