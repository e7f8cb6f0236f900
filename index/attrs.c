#include "index/attrs.h"

#include <string.h>

#include "base/digest.h"

void attr_key_prefix(struct buf *out, struct str path, enum attr_type type)
{
    buf_put(out, path.ptr, path.len);
    buf_putc(out, '\0');
    buf_putc(out, (char)type);
}

void attr_key_number(struct buf *out, struct str path, double v)
{
    attr_key_prefix(out, path, ATTR_NUMBER);
    uint64_t bits = 0;
    v = v == 0 ? 0 : v; /* -0 is 0 */
    memcpy(&bits, &v, sizeof(bits));
    bits = bits >> 63 ? ~bits : bits | (UINT64_C(1) << 63);
    for (int shift = 56; shift >= 0; shift -= 8) {
        buf_putc(out, (char)(unsigned char)(bits >> shift));
    }
}

void attr_key_string(struct buf *out, struct str path, struct str v)
{
    attr_key_prefix(out, path, ATTR_STRING);
    if (v.len <= ATTR_VALUE_MAX) {
        buf_put(out, v.ptr, v.len);
        return;
    }
    struct digest d;
    digest_sha256(v.ptr, v.len, &d);
    buf_put(out, v.ptr, ATTR_VALUE_MAX);
    buf_putc(out, '\0');
    buf_put(out, d.b, sizeof(d.b));
}

void attr_key_bool(struct buf *out, struct str path, bool v)
{
    attr_key_prefix(out, path, ATTR_BOOL);
    buf_putc(out, v ? 1 : 0);
}

/* Where a walk over metadata stands. */
struct walk {
    struct inverted_builder *out;
    struct buf key;
    uint32_t row;
    size_t values, depth;
};

static void walk_add(struct walk *w)
{
    if (w->values++ < ATTR_ROW_MAX) {
        inverted_add(w->out, buf_str(&w->key), w->row, 1);
    }
    w->key.len = 0;
}

static void walk_value(struct walk *w, struct str path, const json_t *v);

static void walk_object(struct walk *w, struct str path, const json_t *object)
{
    const char *name = NULL;
    json_t *member = NULL;
    char joined[ATTR_PATH_MAX];
    /* Jansson's iteration takes no const object though it changes nothing. */
    json_t *open = json_incref((json_t *)(uintptr_t)object);
    json_object_foreach(open, name, member) {
        size_t len = strlen(name), dot = path.len > 0 ? 1 : 0;
        if (path.len + dot + len > sizeof(joined) || len == 0 || (unsigned char)name[0] < 0x20) {
            continue;
        }
        memcpy(joined, path.ptr, path.len);
        memcpy(joined + path.len, ".", dot);
        memcpy(joined + path.len + dot, name, len);
        walk_value(w, (struct str){joined, path.len + dot + len}, member);
    }
    json_decref(open);
}

static void walk_value(struct walk *w, struct str path, const json_t *v)
{
    if (w->depth >= ATTR_DEPTH_MAX) {
        return;
    }
    w->depth++;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        attr_key_prefix(&w->key, path, ATTR_OBJECT);
        walk_add(w);
        walk_object(w, path, v);
        break;
    case JSON_ARRAY:
        attr_key_prefix(&w->key, path, ATTR_ARRAY);
        walk_add(w);
        for (size_t i = 0; i < json_array_size(v); i++) {
            walk_value(w, path, json_array_get(v, i));
        }
        break;
    case JSON_STRING:
        attr_key_string(&w->key, path, (struct str){json_string_value(v), json_string_length(v)});
        walk_add(w);
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        attr_key_number(&w->key, path, json_number_value(v));
        walk_add(w);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        attr_key_bool(&w->key, path, json_is_true(v));
        walk_add(w);
        break;
    case JSON_NULL:
        attr_key_prefix(&w->key, path, ATTR_NULL);
        walk_add(w);
        break;
    default:
        break;
    }
    w->depth--;
}

void attrs_add_metadata(struct inverted_builder *b, struct str metadata_json, uint32_t row)
{
    if (metadata_json.len <= 2) {
        return;
    }
    json_t *root = json_loadb(metadata_json.ptr, metadata_json.len, 0, NULL);
    if (json_is_object(root)) {
        struct walk w = {.out = b, .row = row};
        walk_object(&w, STR_LIT(""), root);
        buf_free(&w.key);
    }
    json_decref(root);
}

void attrs_add_string(struct inverted_builder *b, const char *path, struct str v, uint32_t row)
{
    if (v.ptr == NULL) {
        return;
    }
    struct buf key = {0};
    attr_key_string(&key, str_of(path), v);
    inverted_add(b, buf_str(&key), row, 1);
    buf_free(&key);
}

void attrs_add_number(struct inverted_builder *b, const char *path, double v, uint32_t row)
{
    struct buf key = {0};
    attr_key_number(&key, str_of(path), v);
    inverted_add(b, buf_str(&key), row, 1);
    buf_free(&key);
}
