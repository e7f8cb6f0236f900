#include "handlers/search_batch.h"

#include <string.h>

#include "base/json_read.h"
#include "base/json_scan.h"

struct batch_in {
    json_t *queries;
};
static const struct json_field batch_fields[] = {
    JSON_FIELD(struct batch_in, queries, JSON_FIELD_ARRAY, .required = true, .max_items = SEARCH_BATCH_MAX),
    JSON_FIELDS_END,
};

static enum assay_code too_many(struct err *err)
{
    return err_add_field(err, "/queries", "must have at most %d items", SEARCH_BATCH_MAX);
}

/* Behind the value that starts at p: at the comma or bracket that ends it, or at the end. */
static const char *skip_value(const char *p, const char *end)
{
    int depth = 0;
    while (p < end && (depth > 0 || (*p != ',' && *p != ']'))) {
        if (*p == '"') {
            p = json_scan_string(p, end);
            continue;
        }
        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        p++;
    }
    return p;
}

/* The items behind '['; *p then stands at the closing bracket, or at the end of a text that has none. */
static enum assay_code cut(const char **p, const char *end, struct str items[SEARCH_BATCH_MAX], size_t *n,
                           struct err *err)
{
    const char *at = json_scan_space(*p, end);
    bool more = at < end && *at != ']';
    while (more) {
        const char *stop = skip_value(at, end);
        struct str item = str_trim((struct str){at, (size_t)(stop - at)});
        if (*n == SEARCH_BATCH_MAX)
            return too_many(err);
        if (item.len == 0) {
            char pointer[32];
            (void)snprintf(pointer, sizeof pointer, "/queries/%zu", *n);
            return err_add_field(err, pointer, "must be a value");
        }
        items[(*n)++] = item;
        more = stop < end && *stop == ',';
        at = more ? stop + 1 : stop;
    }
    *p = at;
    return ASSAY_OK;
}

/* A key spelt with escapes: rare enough to go through the tree. */
static void from_tree(struct arena *a, const json_t *queries, struct str items[SEARCH_BATCH_MAX], size_t *n)
{
    for (size_t i = 0; i < json_array_size(queries); i++) {
        struct buf text = {0};
        json_canonical(json_array_get(queries, i), &text);
        items[(*n)++] = str_dup(a, buf_str(&text));
        buf_free(&text);
    }
}

enum assay_code search_batch_read(struct arena *a, struct str body, struct str items[SEARCH_BATCH_MAX], size_t *n,
                                  struct err *err)
{
    struct batch_in in = {0};
    struct str rest = body;
    json_t *tree;
    const char *open = json_scan_array(body, "queries");
    *n = 0;
    if (open) {
        const char *end = body.ptr + body.len, *close = open + 1;
        TRY(cut(&close, end, items, n, err));
        size_t before = (size_t)(open + 1 - body.ptr), after = (size_t)(end - close);
        char *text = arena_alloc(a, before + after);
        memcpy(text, body.ptr, before);
        memcpy(text + before, close, after);
        rest = (struct str){text, before + after};
    }
    TRY(json_parse(a, rest, &tree, err));
    TRY(json_read(a, tree, "", batch_fields, &in, err));
    if (!open)
        from_tree(a, in.queries, items, n);
    return *n > 0 ? ASSAY_OK : err_add_field(err, "/queries", "must not be empty");
}
