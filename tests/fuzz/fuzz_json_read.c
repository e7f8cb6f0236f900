/*
 * Parses JSON strictly, reads it through a table with every type, and checks what must hold of whatever was accepted:
 * the canonical form parses again and is its own canonical form.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"

struct target {
    int unused;
    struct str text;
    int64_t k, at, age;
    double weight;
    bool exact;
    int mode;
    struct str_list groups;
    json_t *filter, *rows, *any;
};

static const char *const modes[] = {"hybrid", "vector", "lexical", NULL};

static const struct json_field fields[] = {
    JSON_FIELD(struct target, text, JSON_FIELD_STR, .min = 1, .max = 100),
    JSON_FIELD(struct target, k, JSON_FIELD_INT, .min = 1, .max = 1000),
    JSON_FIELD(struct target, at, JSON_FIELD_TIME),
    JSON_FIELD(struct target, age, JSON_FIELD_DURATION, .nullable = true),
    JSON_FIELD(struct target, weight, JSON_FIELD_DOUBLE, .min = 0, .max = 1),
    JSON_FIELD(struct target, exact, JSON_FIELD_BOOL),
    JSON_FIELD(struct target, mode, JSON_FIELD_ENUM, .names = modes),
    JSON_FIELD(struct target, groups, JSON_FIELD_STRS, .max = 20, .max_items = 8),
    JSON_FIELD(struct target, filter, JSON_FIELD_OBJECT),
    JSON_FIELD(struct target, rows, JSON_FIELD_ARRAY),
    JSON_FIELD(struct target, any, JSON_FIELD_ANY),
    JSON_FIELDS_END,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_canonical(struct arena *a, const json_t *v)
{
    struct buf once = {0}, twice = {0};
    json_t *again;
    json_canonical(v, &once);
    if (json_parse(a, buf_str(&once), &again, NULL) != ASSAY_OK)
        abort();
    json_canonical(again, &twice);
    if (!str_eq(buf_str(&once), buf_str(&twice)))
        abort();
    buf_free(&once);
    buf_free(&twice);
}

/* Read as a query string: name=value pairs between '&'. */
static void read_as_params(struct arena *a, struct str text)
{
    enum { MAX = 16 };
    struct json_param params[MAX];
    size_t n = 0;
    while (text.len > 0 && n < MAX) {
        const char *amp = memchr(text.ptr, '&', text.len);
        struct str pair = {text.ptr, amp ? (size_t)(amp - text.ptr) : text.len};
        const char *eq = pair.len ? memchr(pair.ptr, '=', pair.len) : NULL;
        size_t name_len = eq ? (size_t)(eq - pair.ptr) : pair.len;
        size_t value_at = eq ? name_len + 1 : pair.len;
        if (str_url_decode(a, (struct str){pair.ptr, name_len}, true, &params[n].name) &&
            str_url_decode(a, (struct str){pair.ptr + value_at, pair.len - value_at}, true, &params[n].value))
            n++;
        size_t used = amp ? pair.len + 1 : pair.len;
        text = (struct str){text.ptr + used, text.len - used};
    }
    struct target t = {0};
    struct err err = {0};
    enum assay_code code = json_read_params(a, params, n, fields, &t, &err);
    if ((code == ASSAY_OK) != (err.n_fields == 0))
        abort();
    err_clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str text = {(const char *)data, size};
    struct err err = {0};
    json_t *v;
    if (json_parse(a, text, &v, &err) == ASSAY_OK) {
        struct target t = {0};
        if ((json_read(a, v, "", fields, &t, &err) == ASSAY_OK) != (err.n_fields == 0))
            abort();
        for (size_t i = 0; i < err.n_fields; i++) {
            if (!str_utf8_valid(str_of(err.fields[i].pointer)) || !str_utf8_valid(str_of(err.fields[i].detail)))
                abort();
        }
        check_canonical(a, v);
    } else if (!str_utf8_valid(str_of(err.detail))) {
        abort();
    }
    err_clear(&err);
    read_as_params(a, text);
    arena_free(a);
    return 0;
}
