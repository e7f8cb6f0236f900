/*
 * The bodies of POST /search and POST /search/batch. What must hold of whatever was accepted: a search has k, a mode
 * and something to search by, all within their bounds; and a batch whose whole text is JSON has the items that the tree
 * has.
 */
#include <math.h>
#include <stdlib.h>

#include "handlers/search_batch.h"
#include "handlers/search_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_search(const struct search_request *r)
{
    if (r->k < 1 || r->k > VINDEX_K_MAX || r->context < 0 || r->context > VINDEX_CONTEXT_MAX)
        abort();
    if (!r->has_query && !r->vector)
        abort();
    for (size_t i = 0; r->vector && i < r->dim; i++)
        if (!isfinite(r->vector[i]))
            abort();
}

static void try_search(struct str body)
{
    struct arena *a = arena_new(4096);
    struct search_request r;
    struct err err = {0};
    if (search_request_read(a, body, &r, &err) == ASSAY_OK)
        check_search(&r);
    err_clear(&err);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size};
    struct str items[SEARCH_BATCH_MAX];
    struct arena *a = arena_new(4096);
    struct err err = {0};
    size_t n = 0;
    json_t *tree = NULL;
    try_search(body);
    if (search_batch_read(a, body, items, &n, &err) == ASSAY_OK) {
        if (n == 0 || n > SEARCH_BATCH_MAX)
            abort();
        if (json_parse(a, body, &tree, NULL) == ASSAY_OK && json_array_size(json_object_get(tree, "queries")) != n)
            abort();
        for (size_t i = 0; i < n; i++)
            try_search(items[i]);
    }
    err_clear(&err);
    arena_free(a);
    return 0;
}
