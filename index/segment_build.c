/*
 * Making segments: from a batch of changes, and from other segments.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "index/attrs.h"
#include "index/bits.h"
#include "index/segment.h"

static struct segment *segment_new(size_t n, size_t dim)
{
    struct segment *s = mem_calloc(1, sizeof(*s));
    atomic_init(&s->refs, 1);
    s->n = n;
    s->dim = dim;
    s->cold.fd = -1;
    return s;
}

static void take_inverted(struct segment *s, size_t first, const struct inverted_owned *o)
{
    const struct buf parts[] = {o->prefix, o->key_at, o->keys, o->post_at, o->rows, o->freq};
    size_t n = o->v.freq != NULL || first == SEC_TERMS ? 6 : 5;
    memcpy(&s->sec[first], parts, n * sizeof(parts[0]));
}

/* ---- from changes ---- */

struct by_doc_key {
    int64_t document;
    uint32_t row;
};

static int by_doc_cmp(const void *pa, const void *pb)
{
    const struct by_doc_key *a = pa, *b = pb;
    if (a->document != b->document) {
        return a->document < b->document ? -1 : 1;
    }
    return (a->row > b->row) - (a->row < b->row);
}

static void put_by_doc(struct segment *s)
{
    const int64_t *document = (const int64_t *)(const void *)s->sec[SEC_DOCUMENT].data;
    struct by_doc_key *keys = mem_alloc((s->n + 1) * sizeof(*keys));
    for (size_t i = 0; i < s->n; i++) {
        keys[i] = (struct by_doc_key){document[i], (uint32_t)i};
    }
    qsort(keys, s->n, sizeof(*keys), by_doc_cmp);
    buf_reserve(&s->sec[SEC_BY_DOC], s->n * sizeof(uint32_t));
    for (size_t i = 0; i < s->n; i++) {
        buf_put(&s->sec[SEC_BY_DOC], &keys[i].row, sizeof(keys[i].row));
    }
    free(keys);
}

static void put_row(struct segment *s, const struct vindex_change *c)
{
    const struct str strings[SEG_STRINGS] = {c->key,           c->uri,        c->title,    c->text, c->heading,
                                             c->metadata_json, c->media_type, c->language, c->run,  c->group};
    struct seg_row row = {.chunk = c->chunk_id,
                          .version = c->version,
                          .pipeline = c->pipeline,
                          .at = s->sec[SEC_HEAP].len,
                          .from = c->from,
                          .to = c->to,
                          .page = c->page};
    for (size_t i = 0; i < SEG_STRINGS; i++) {
        assert(strings[i].len < SEG_ABSENT);
        row.len[i] = strings[i].ptr == NULL ? SEG_ABSENT : (uint32_t)strings[i].len;
        buf_put(&s->sec[SEC_HEAP], strings[i].ptr != NULL ? strings[i].ptr : "", strings[i].len);
    }
    buf_put(&s->sec[SEC_ROWS], &row, sizeof(row));
    buf_put(&s->sec[SEC_CHUNK], &c->chunk, sizeof(c->chunk));
    buf_put(&s->sec[SEC_DOCUMENT], &c->document, sizeof(c->document));
    buf_put(&s->sec[SEC_SOURCE], &c->source, sizeof(c->source));
    buf_put(&s->sec[SEC_QUALITY], &c->quality, sizeof(c->quality));
}

/* Where the words so far end and the next row's begin. */
static void put_word_end(struct segment *s)
{
    uint64_t at = s->sec[SEC_WORDS].len / sizeof(uint16_t);
    buf_put(&s->sec[SEC_WORD_AT], &at, sizeof(at));
}

/* Collects the terms of one row. */
struct term_sink {
    struct words *words;
    struct inverted_builder *out;
    struct buf *sequence;
    unsigned lang;
    uint32_t row, length;
    uint16_t weight;
};

static void sink_word(void *ctx, const struct word *word)
{
    struct term_sink *t = ctx;
    struct str stem = words_stem(t->words, t->lang, word);
    if (stem.len > 0) {
        uint16_t place = segment_word(stem);
        inverted_add(t->out, stem, t->row, t->weight);
        if (!word->part) {
            buf_put(t->sequence, &place, sizeof(place));
        }
        t->length = t->length > UINT32_MAX - t->weight ? UINT32_MAX : t->length + t->weight;
    }
}

static void sink_text(struct term_sink *t, struct str text, uint16_t weight)
{
    const uint16_t gap = SEG_BREAK;
    t->weight = weight;
    words_each(t->words, text, sink_word, t);
    buf_put(t->sequence, &gap, sizeof(gap));
}

static void put_terms(struct segment *s, struct words *w, struct inverted_builder *terms, const struct vindex_change *c,
                      uint32_t row)
{
    struct term_sink t = {
        .words = w, .out = terms, .sequence = &s->sec[SEC_WORDS], .lang = words_lang(c->language), .row = row};
    uint8_t lang = (uint8_t)t.lang;
    s->langs |= UINT32_C(1) << lang;
    buf_put(&s->sec[SEC_LANG], &lang, sizeof(lang));
    put_word_end(s);
    sink_text(&t, c->title, SEG_UNIT_TITLE);
    sink_text(&t, c->heading, SEG_UNIT_HEADING);
    sink_text(&t, c->text, SEG_UNIT);
    buf_put(&s->sec[SEC_LENGTH], &t.length, sizeof(t.length));
}

static void put_attrs(struct inverted_builder *attrs, const struct vindex_change *c, uint32_t row)
{
    attrs_add_number(attrs, ATTR_SOURCE, c->source, row);
    attrs_add_string(attrs, ATTR_DOCUMENT, c->key, row);
    attrs_add_string(attrs, ATTR_URI, c->uri, row);
    attrs_add_string(attrs, ATTR_MEDIA_TYPE, c->media_type, row);
    attrs_add_string(attrs, ATTR_LANGUAGE, c->language, row);
    attrs_add_metadata(attrs, c->metadata_json, row);
}

struct segment *segment_build(struct words *w, const struct vindex_change *const *adds, const float *vectors, size_t n,
                              size_t dim)
{
    assert(n > 0 && n < INVERTED_DROPPED);
    struct segment *s = segment_new(n, dim);
    struct inverted_builder *terms = inverted_builder_new(), *attrs = inverted_builder_new();
    for (size_t i = 0; i < n; i++) {
        put_row(s, adds[i]);
        put_terms(s, w, terms, adds[i], (uint32_t)i);
        put_attrs(attrs, adds[i], (uint32_t)i);
    }
    put_word_end(s);
    buf_put(&s->sec[SEC_VECTORS], vectors, n * dim * sizeof(float));
    put_by_doc(s);
    struct inverted_owned o;
    inverted_finish(terms, true, &o);
    take_inverted(s, SEC_TERMS, &o);
    inverted_finish(attrs, false, &o);
    take_inverted(s, SEC_ATTRS, &o);
    inverted_builder_free(terms);
    inverted_builder_free(attrs);
    bool ok = segment_bind(s);
    assert(ok);
    (void)ok;
    return s;
}

/* ---- from segments ---- */

struct placed {
    int64_t chunk;
    struct seg_origin o;
};

static int placed_cmp(const void *pa, const void *pb)
{
    const struct placed *a = pa, *b = pb;
    return (a->chunk > b->chunk) - (a->chunk < b->chunk);
}

/* The kept rows of all inputs in ascending order of chunk number. */
static struct seg_origin *collect(struct segment *const *in, const uint64_t *const *keep, size_t n, size_t *total)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += bits_count(keep[i], in[i]->n);
    }
    struct placed *all = mem_alloc((count + 1) * sizeof(*all));
    size_t at = 0;
    bool ascending = true;
    for (size_t i = 0; i < n; i++) {
        BITS_EACH(keep[i], in[i]->n, row)
        {
            all[at] = (struct placed){in[i]->chunk[row], {(uint32_t)i, (uint32_t)row}};
            ascending = ascending && (at == 0 || all[at - 1].chunk < all[at].chunk);
            at++;
        }
    }
    if (!ascending) {
        qsort(all, count, sizeof(*all), placed_cmp);
    }
    struct seg_origin *origins = mem_alloc((count + 1) * sizeof(*origins));
    for (size_t i = 0; i < count; i++) {
        origins[i] = all[i].o;
    }
    free(all);
    *total = count;
    return origins;
}

static void copy_row(struct segment *s, const struct segment *from, size_t row)
{
    struct seg_row r = from->rows[row];
    uint64_t len = 0;
    for (size_t k = 0; k < SEG_STRINGS; k++) {
        len += r.len[k] == SEG_ABSENT ? 0 : r.len[k];
    }
    uint64_t at = r.at;
    r.at = s->sec[SEC_HEAP].len;
    buf_put(&s->sec[SEC_HEAP], from->heap + at, (size_t)len);
    buf_put(&s->sec[SEC_ROWS], &r, sizeof(r));
    buf_put(&s->sec[SEC_CHUNK], &from->chunk[row], sizeof(*from->chunk));
    buf_put(&s->sec[SEC_DOCUMENT], &from->document[row], sizeof(*from->document));
    buf_put(&s->sec[SEC_SOURCE], &from->source[row], sizeof(*from->source));
    buf_put(&s->sec[SEC_QUALITY], &from->quality[row], sizeof(*from->quality));
    buf_put(&s->sec[SEC_LENGTH], &from->length[row], sizeof(*from->length));
    buf_put(&s->sec[SEC_LANG], &from->lang[row], sizeof(*from->lang));
    put_word_end(s);
    buf_put(&s->sec[SEC_WORDS], from->words + from->word_at[row],
            (size_t)(from->word_at[row + 1] - from->word_at[row]) * sizeof(*from->words));
    buf_put(&s->sec[SEC_VECTORS], from->vectors + row * from->dim, from->dim * sizeof(float));
    static const float zeroes[VINDEX_DIM_MAX];
    buf_put(&s->sec[SEC_VECTORS], zeroes, (s->dim - from->dim) * sizeof(float));
}

static void merge_inverted(struct segment *s, struct segment *const *in, uint32_t *const *maps, size_t n)
{
    struct inverted_input *inputs = mem_calloc(n, sizeof(*inputs));
    struct inverted_owned o;
    for (size_t i = 0; i < n; i++) {
        inputs[i] = (struct inverted_input){&in[i]->terms, maps[i]};
    }
    inverted_merge(inputs, n, true, &o);
    take_inverted(s, SEC_TERMS, &o);
    for (size_t i = 0; i < n; i++) {
        inputs[i].from = &in[i]->attrs;
    }
    inverted_merge(inputs, n, false, &o);
    take_inverted(s, SEC_ATTRS, &o);
    free(inputs);
}

struct segment *segment_merge(struct segment *const *in, const uint64_t *const *keep, size_t n,
                              struct seg_origin **origins)
{
    size_t total = 0;
    *origins = collect(in, keep, n, &total);
    if (total == 0) {
        return NULL;
    }
    assert(total < INVERTED_DROPPED);
    struct segment *s = segment_new(total, in[0]->dim);
    uint32_t **maps = mem_calloc(n, sizeof(*maps));
    for (size_t i = 0; i < n; i++) {
        s->dim = in[i]->dim > s->dim ? in[i]->dim : s->dim;
        s->langs |= in[i]->langs;
        maps[i] = mem_alloc((in[i]->n + 1) * sizeof(uint32_t));
        memset(maps[i], 0xff, in[i]->n * sizeof(uint32_t));
    }
    buf_reserve(&s->sec[SEC_VECTORS], total * s->dim * sizeof(float));
    for (size_t i = 0; i < total; i++) {
        struct seg_origin o = (*origins)[i];
        copy_row(s, in[o.input], o.row);
        maps[o.input][o.row] = (uint32_t)i;
    }
    put_word_end(s);
    put_by_doc(s);
    merge_inverted(s, in, maps, n);
    for (size_t i = 0; i < n; i++) {
        free(maps[i]);
    }
    free(maps);
    bool ok = segment_bind(s);
    assert(ok);
    (void)ok;
    return s;
}

float *segment_redim(struct segment *s, size_t dim)
{
    struct buf *vectors = &s->sec[SEC_VECTORS];
    buf_free(vectors);
    buf_reserve(vectors, s->n * dim * sizeof(float));
    vectors->len = s->n * dim * sizeof(float);
    s->dim = dim;
    s->vectors = (float *)(void *)vectors->data;
    return (float *)(void *)vectors->data;
}

/* The largest input with a graph of this m whose rows are all there; n: none. */
static uint32_t find_base(struct segment *const *in, size_t n, const struct seg_origin *origins, size_t rows, int m)
{
    size_t *kept = mem_calloc(n + 1, sizeof(*kept));
    uint32_t best = (uint32_t)n;
    for (size_t i = 0; i < rows; i++) {
        kept[origins[i].input]++;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (in[i]->graph != NULL && graph_m(in[i]->graph) == m && kept[i] == in[i]->n &&
            (best == n || in[i]->n > in[best]->n)) {
            best = i;
        }
    }
    free(kept);
    return best;
}

/* Place of each row when the base's come first; NULL when they do. */
static int64_t *base_order(const struct seg_origin *origins, size_t rows, uint32_t base, size_t base_rows)
{
    int64_t *order = mem_alloc((rows + 1) * sizeof(*order)), next = (int64_t)base_rows;
    bool same = true;
    for (size_t i = 0; i < rows; i++) {
        order[i] = origins[i].input == base ? (int64_t)origins[i].row : next++;
        same = same && order[i] == (int64_t)i;
    }
    if (same) {
        free(order);
        return NULL;
    }
    return order;
}

void segment_code(struct segment *s)
{
    struct buf *codes = &s->sec[SEC_CODES], *rows = &s->sec[SEC_CODE_ROWS];
    codes->len = codes->cap = s->n * code8_stride(s->dim);
    codes->data = mem_aligned(CODE8_ALIGN, codes->len);
    rows->len = rows->cap = s->n * sizeof(struct code8_row);
    rows->data = mem_alloc(rows->len);
    code8_rows(s->vectors, s->n, s->dim, (uint8_t *)codes->data, (struct code8_row *)(void *)rows->data);
    segment_use_codes(s);
}

enum assay_code segment_seal(struct segment *s, struct segment *const *in, size_t n, const struct seg_origin *origins,
                             const struct graph_params *params, const atomic_bool *cancel, struct err *err)
{
    uint32_t at = n > 0 ? find_base(in, n, origins, s->n, params->m) : 0;
    struct graph_base base = {NULL, NULL};
    int64_t *order = NULL;
    if (at < n) {
        order = base_order(origins, s->n, at, in[at]->n);
        base = (struct graph_base){in[at]->graph, order};
    }
    segment_code(s);
    const struct graph_rows over = {s->vectors, s->n, s->dim, s->codes, s->code_rows};
    enum assay_code code = graph_build(&over, at < n ? &base : NULL, params, cancel, &s->graph, err);
    free(order);
    return code;
}
