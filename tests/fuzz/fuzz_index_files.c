/*
 * Reads what claims to be a segment's file (first byte 's') or a manifest ('m'), checksums left aside. Whatever is
 * accepted is then used: every string read, every term looked up, every row's visibility asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "index/files.h"

enum { DIM = 4, ROWS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct segment *make_segment(void *ctx, const struct segment_file *file, size_t dim, const char **why)
{
    struct vindex_change rows[ROWS] = {0};
    const struct vindex_change *adds[ROWS];
    float vectors[ROWS * DIM] = {0};
    struct words *w = words_new();
    (void)ctx;
    (void)file;
    *why = "";
    for (size_t i = 0; i < ROWS; i++) {
        rows[i].chunk = (int64_t)i;
        rows[i].source = 1;
        rows[i].text = STR_LIT("some text");
        adds[i] = &rows[i];
        vectors[i * DIM] = 1;
    }
    struct segment *s = segment_build(w, adds, vectors, ROWS, dim);
    words_free(w);
    return s;
}

static void use_graph(const struct segment *s)
{
    const float query[DIM] = {1};
    int64_t rows[ROWS];
    float scores[ROWS];
    struct arena *a = arena_new(4096);
    size_t n = graph_search(s->graph, query, ROWS, ROWS, NULL, a, rows, scores);
    for (size_t i = 0; i < n; i++) {
        if (rows[i] < 0 || (size_t)rows[i] >= s->n) {
            abort();
        }
    }
    arena_free(a);
}

static void use_segment(const struct segment *s)
{
    size_t bytes = 0, at = 0, to = 0;
    for (size_t row = 0; row < s->n; row++) {
        for (int k = 0; k < SEG_STRINGS; k++) {
            struct str text = segment_string(s, row, (enum seg_string)k);
            for (size_t i = 0; i < text.len; i++) {
                bytes += (unsigned char)text.ptr[i];
            }
        }
        segment_document(s, s->document[row], &at, &to);
        if (!segment_find(s, s->chunk[row], &at) || at != row) {
            abort();
        }
    }
    for (size_t i = 0; i < s->terms.n_keys; i++) {
        if (!inverted_find(&s->terms, inverted_key(&s->terms, i), &at) || at != i) {
            abort();
        }
    }
    if (s->graph != NULL) {
        use_graph(s);
    }
    if (bytes == SIZE_MAX) {
        abort(); /* keeps the reads */
    }
}

static void use_manifest(struct str bytes)
{
    struct vindex_collection c = {.spec = {.id = 1, .kind = EMBEDDER_CLIENT, .dim = DIM}, .sources = sources_new()};
    const char *why = files_parse(&c, bytes, make_segment, NULL);
    const struct viewer who = {.now_us = 1};
    for (size_t i = 0; i < c.n && why == NULL; i++) {
        for (size_t row = 0; row < ROWS; row++) {
            bool sees = vis_may_see(&c.segs[i].vs.vis, c.segs[i].vs.seg, row, c.sources, &who);
            if (sees && c.segs[i].vs.vis.rows->state[row] != CHUNK_ACTIVE) {
                abort();
            }
        }
    }
    collection_empty(&c);
    sources_unref(c.sources);
    free(c.segs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct str bytes = {(const char *)data + 1, size - 1};
    if (data[0] == 'm') {
        use_manifest(bytes);
    } else {
        struct buf copy = {0};
        const char *why = NULL;
        buf_put(&copy, bytes.ptr, bytes.len);
        struct segment *s = segment_file_parse(&copy, DIM, &why);
        if (s != NULL) {
            use_segment(s);
        }
        segment_unref(s);
    }
    return 0;
}
