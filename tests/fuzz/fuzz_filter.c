/*
 * Parses a filter and evaluates it over a few rows. What must hold of whatever was accepted: a row matches the filter
 * or its negation, never both, and no bit beyond the last row is set.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"
#include "index/filter_tree.h"

enum { ROWS = 5, DIM = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const metadata[ROWS] = {"{\"a\":1,\"b\":[\"x\",\"y\"]}", "{\"a\":-2.5,\"c\":{\"d\":true}}",
                                           "{\"a\":\"1\",\"b\":null}", "{}", NULL};

static struct segment *make_segment(void)
{
    struct vindex_change rows[ROWS] = {0};
    const struct vindex_change *adds[ROWS];
    float vectors[ROWS * DIM];
    struct words *w = words_new();
    for (size_t i = 0; i < ROWS; i++) {
        rows[i].kind = VINDEX_ADD;
        rows[i].chunk = (int64_t)i;
        rows[i].source = (int32_t)i % 2;
        rows[i].text = STR_LIT("text");
        rows[i].key = STR_LIT("key");
        rows[i].quality = (double)i / ROWS;
        rows[i].metadata_json = str_of(metadata[i]);
        adds[i] = &rows[i];
        memcpy(vectors + i * DIM, (const float[DIM]){1}, DIM * sizeof(float));
    }
    struct segment *s = segment_build(w, adds, vectors, ROWS, DIM);
    words_free(w);
    return s;
}

static void check(struct arena *a, const struct filter *f)
{
    struct segment *s = make_segment();
    struct seg_vis vis;
    struct sources *sources = sources_new();
    bool changed = false;
    struct source one = {.id = 1, .active = true, .name = STR_LIT("one")};
    sources = sources_with(sources, &one, &changed);
    vis_init(&vis, s);
    const struct filter *kids[1] = {f};
    struct filter not = {.kind = FILTER_NOT, .n = 1, .kids = kids};
    uint64_t yes = 0, no = 0;
    filter_eval(f, s, &vis, sources, a, &yes);
    filter_eval(&not, s, &vis, sources, a, &no);
    if ((yes & no) != 0 || (yes | no) != (1U << ROWS) - 1) {
        abort();
    }
    vis_unref(&vis);
    sources_unref(sources);
    segment_unref(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct err err = {0};
    json_t *tree = NULL;
    const struct filter *f = NULL;
    if (json_parse(a, (struct str){(const char *)data, size}, &tree, &err) == ASSAY_OK) {
        enum assay_code code = filter_parse(a, tree, "/filter", &f, &err);
        if (code == ASSAY_OK) {
            check(a, f);
        } else if (code != ASSAY_INVALID || err.n_fields == 0) {
            abort();
        }
    }
    err_clear(&err);
    arena_free(a);
    return 0;
}
