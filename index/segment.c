#include "index/segment.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/arena.h"

uint16_t segment_word(struct str stem)
{
    uint16_t h = (uint16_t)XXH3_64bits(stem.ptr, stem.len);
    return h != SEG_BREAK ? h : 1;
}

void segment_ref(struct segment *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void segment_unref(struct segment *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    graph_free(s->graph);
    if (s->cold.fd >= 0) {
        close(s->cold.fd);
    }
    bounds_free(s->bounds);
    if (s->map.at != NULL) {
        diskfile_unmap(&s->map);
    } else if (s->blob.data != NULL) {
        buf_free(&s->blob);
    } else {
        for (size_t i = 0; i < SEC_COUNT; i++) {
            buf_free(&s->sec[i]);
        }
    }
    free(s);
}

struct str segment_string(const struct segment *s, size_t row, enum seg_string which)
{
    const struct seg_row *r = &s->rows[row];
    if (r->len[which] == SEG_ABSENT) {
        return (struct str){NULL, 0};
    }
    uint64_t at = r->at;
    for (size_t i = 0; i < which; i++) {
        at += r->len[i] == SEG_ABSENT ? 0 : r->len[i];
    }
    return (struct str){s->heap + at, r->len[which]};
}

bool segment_find(const struct segment *s, int64_t chunk, size_t *row)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->chunk[mid] < chunk) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *row = lo;
    return lo < s->n && s->chunk[lo] == chunk;
}

static size_t by_doc_lower(const struct segment *s, int64_t document, bool past)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int64_t d = s->document[s->by_doc[mid]];
        if (d < document || (past && d == document)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

void segment_document(const struct segment *s, int64_t document, size_t *from, size_t *to)
{
    *from = by_doc_lower(s, document, false);
    *to = by_doc_lower(s, document, true);
}

size_t segment_heap_bytes(const struct segment *s)
{
    size_t n = sizeof(*s) + graph_bytes(s->graph) + bounds_bytes(s->bounds);
    for (size_t i = 0; i < SEC_COUNT && s->map.at == NULL; i++) {
        n += s->sec[i].len;
    }
    return n;
}

size_t segment_mapped_bytes(const struct segment *s)
{
    return s->map.len - (s->cold.fd >= 0 ? s->sec[SEC_VECTORS].len : 0);
}

/* Buffers come from malloc, and sections of a file start at multiples of 64 bytes: aligned for any of these types. */
static const void *section(const struct segment *s, size_t i)
{
    return s->sec[i].data;
}

void segment_use_codes(struct segment *s)
{
    if (s->sec[SEC_CODES].len > 0) {
        s->codes = section(s, SEC_CODES);
        s->code_rows = section(s, SEC_CODE_ROWS);
        if (s->graph != NULL) {
            graph_use_codes(s->graph, s->codes, s->code_rows);
        }
    }
}

/* ---- binding ---- */

static bool bind_inverted(struct segment *s, size_t first, bool with_freq, struct inverted *v)
{
    const struct buf *sec = &s->sec[first];
    size_t n_keys = sec[0].len / 8, n_posts = sec[4].len / 4;
    if (sec[0].len != n_keys * 8 || sec[1].len != (n_keys + 1) * 8 || sec[3].len != (n_keys + 1) * 8 ||
        sec[4].len != n_posts * 4 || (with_freq && sec[5].len != n_posts * 2)) {
        return false;
    }
    *v = (struct inverted){.n_keys = n_keys,
                           .n_posts = n_posts,
                           .prefix = section(s, first),
                           .key_at = section(s, first + 1),
                           .keys = section(s, first + 2),
                           .post_at = section(s, first + 3),
                           .rows = section(s, first + 4),
                           .freq = with_freq ? section(s, first + 5) : NULL};
    return inverted_valid(v, sec[2].len, s->n);
}

static bool rows_valid(const struct segment *s)
{
    for (size_t i = 0; i < s->n; i++) {
        uint64_t end = s->rows[i].at;
        if (end > s->sec[SEC_HEAP].len) {
            return false;
        }
        for (size_t k = 0; k < SEG_STRINGS; k++) {
            end += s->rows[i].len[k] == SEG_ABSENT ? 0 : s->rows[i].len[k];
        }
        if (end > s->sec[SEC_HEAP].len || (i > 0 && s->chunk[i] <= s->chunk[i - 1]) || s->by_doc[i] >= s->n ||
            (i > 0 && s->document[s->by_doc[i]] < s->document[s->by_doc[i - 1]])) {
            return false;
        }
    }
    return true;
}

static bool words_valid(const struct segment *s)
{
    if (s->word_at[0] != 0 || s->word_at[s->n] != s->sec[SEC_WORDS].len / sizeof(uint16_t)) {
        return false;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (s->word_at[i] > s->word_at[i + 1] || s->lang[i] >= WORDS_LANGS_MAX || (s->langs >> s->lang[i] & 1) == 0) {
            return false;
        }
    }
    return true;
}

static bool codes_valid(const struct segment *s)
{
    size_t codes = s->sec[SEC_CODES].len, rows = s->sec[SEC_CODE_ROWS].len;
    return codes == 0 ? rows == 0 : codes == s->n * code8_stride(s->dim) && rows == s->n * sizeof(struct code8_row);
}

bool segment_bind(struct segment *s)
{
    const struct {
        enum seg_section sec;
        size_t size;
    } columns[] = {{SEC_CHUNK, 8},           {SEC_DOCUMENT, 8}, {SEC_BY_DOC, 4}, {SEC_SOURCE, 4},
                   {SEC_QUALITY, 8},         {SEC_LENGTH, 4},   {SEC_LANG, 1},   {SEC_ROWS, sizeof(struct seg_row)},
                   {SEC_VECTORS, s->dim * 4}};
    if (s->n == 0 || s->n >= INVERTED_DROPPED || s->dim == 0 || s->dim > VINDEX_DIM_MAX) {
        return false;
    }
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        if (s->sec[columns[i].sec].len != s->n * columns[i].size) {
            return false;
        }
    }
    if (s->sec[SEC_WORD_AT].len != (s->n + 1) * sizeof(uint64_t) || s->sec[SEC_WORDS].len % sizeof(uint16_t) != 0) {
        return false;
    }
    s->chunk = section(s, SEC_CHUNK);
    s->document = section(s, SEC_DOCUMENT);
    s->by_doc = section(s, SEC_BY_DOC);
    s->source = section(s, SEC_SOURCE);
    s->quality = section(s, SEC_QUALITY);
    s->length = section(s, SEC_LENGTH);
    s->lang = section(s, SEC_LANG);
    s->word_at = section(s, SEC_WORD_AT);
    s->words = section(s, SEC_WORDS);
    s->rows = section(s, SEC_ROWS);
    s->heap = section(s, SEC_HEAP);
    s->vectors = section(s, SEC_VECTORS);
    if (!rows_valid(s) || !words_valid(s) || !codes_valid(s) || !bind_inverted(s, SEC_TERMS, true, &s->terms) ||
        !bind_inverted(s, SEC_ATTRS, false, &s->attrs)) {
        return false;
    }
    s->bounds = bounds_new(&s->terms, s->length, s->n);
    return true;
}
