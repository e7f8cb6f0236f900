/*
 * JSON text to tree and back: the strict parser and the canonical form. The reading of trees is in json_read.c.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"
#include "base/json_write.h"

/* Walks the text without recursion and measures what the tree would cost, so that hostile nesting or a flood of tiny
 * values is refused before anything is allocated. Syntax is left to the parser. */
static enum assay_code check_shape(struct str text, size_t values_max, struct err *err)
{
    size_t depth = 0, values = 0, line = 1, line_start = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n') {
            line++;
            line_start = i + 1;
        } else if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            depth++;
            values++;
        } else if (c == ',' || c == ':') {
            values++;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
        if (depth > JSON_DEPTH_MAX)
            return err_set(err, ASSAY_INVALID, "invalid-json",
                           "JSON is nested deeper than %d levels at line %zu, column %zu.", JSON_DEPTH_MAX, line,
                           i - line_start + 1);
        if (values > values_max)
            return err_set(err, ASSAY_INVALID, "invalid-json", "JSON has more than %zu values at line %zu, column %zu.",
                           values_max, line, i - line_start + 1);
    }
    return ASSAY_OK;
}

/* Jansson's own text repeats what stood in the body, so only its code is used. */
static const char *problem_text(enum json_error_code code)
{
    switch (code) {
    case json_error_premature_end_of_input:
        return "JSON ends too early";
    case json_error_end_of_input_expected:
        return "There is more after the end of the JSON value";
    case json_error_invalid_utf8:
        return "JSON is not valid UTF-8";
    case json_error_duplicate_key:
        return "JSON has an object with a repeated member name";
    case json_error_numeric_overflow:
        return "JSON has a number out of range";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "JSON has a NUL character in a string";
    case json_error_unknown:
    case json_error_out_of_memory:
    case json_error_stack_overflow:
    case json_error_cannot_open_file:
    case json_error_invalid_argument:
    case json_error_invalid_syntax:
    case json_error_invalid_format:
    case json_error_wrong_type:
    case json_error_null_value:
    case json_error_item_not_found:
    case json_error_index_out_of_range:
        break;
    }
    return "JSON is not well formed";
}

static void free_tree(void *tree)
{
    json_decref(tree);
}

enum assay_code json_parse_large(struct arena *a, struct str text, size_t values_max, json_t **out, struct err *err)
{
    if (text.len == 0)
        return err_set(err, ASSAY_INVALID, "invalid-json", "JSON is expected, but there is none.");
    TRY(check_shape(text, values_max, err));
    json_error_t why;
    json_t *tree = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!tree)
        return err_set(err, ASSAY_INVALID, "invalid-json", "%s at line %d, column %d.",
                       problem_text(json_error_code(&why)), why.line, why.column);
    arena_defer(a, free_tree, tree);
    *out = tree;
    return ASSAY_OK;
}

enum assay_code json_parse(struct arena *a, struct str text, json_t **out, struct err *err)
{
    return json_parse_large(a, text, JSON_VALUES_MAX, out, err);
}

struct member {
    const char *name;
    const json_t *value;
};

static int member_order(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return strcmp(x->name, y->name); /* names hold no NUL; byte order of UTF-8 is code point order */
}

static void canonical_object(const json_t *v, struct buf *out)
{
    size_t n = 0;
    struct member *members = mem_calloc(json_object_size(v), sizeof *members);
    /* The iterator API takes a mutable object but does not change it. */
    json_t *obj = (json_t *)(uintptr_t)v;
    for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it))
        members[n++] = (struct member){json_object_iter_key(it), json_object_iter_value(it)};
    qsort(members, n, sizeof *members, member_order);
    buf_putc(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(out, ',');
        jsonw_escape(out, str_of(members[i].name));
        buf_putc(out, ':');
        json_canonical(members[i].value, out);
    }
    buf_putc(out, '}');
    free(members);
}

void json_canonical(const json_t *v, struct buf *out)
{
    char number[JSONW_DOUBLE_TEXT];
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        canonical_object(v, out);
        break;
    case JSON_ARRAY:
        buf_putc(out, '[');
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i)
                buf_putc(out, ',');
            json_canonical(json_array_get(v, i), out);
        }
        buf_putc(out, ']');
        break;
    case JSON_STRING:
        jsonw_escape(out, (struct str){json_string_value(v), json_string_length(v)});
        break;
    case JSON_INTEGER:
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL:
        buf_put(out, number, jsonw_double_text(json_real_value(v), number));
        break;
    case JSON_TRUE:
        buf_puts(out, "true");
        break;
    case JSON_FALSE:
        buf_puts(out, "false");
        break;
    case JSON_NULL:
        buf_puts(out, "null");
        break;
    }
}
