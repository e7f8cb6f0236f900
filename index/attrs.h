/*
 * Metadata values as keys of a dictionary, so that a filter is a few look-ups and every range of values is a range of
 * keys: path, NUL, type, value. Numbers are eight bytes in an order-preserving form; strings are themselves (a long one
 * ends in its digest instead); an array yields its elements under its own path; objects and arrays leave a mark for
 * $exists. Built-in keys have a path that starts with byte 1, which no filter of a client can name.
 */
#ifndef ASSAY_INDEX_ATTRS_H
#define ASSAY_INDEX_ATTRS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/str.h"
#include "index/inverted.h"

enum { ATTR_PATH_MAX = 512, ATTR_VALUE_MAX = 1024, ATTR_DEPTH_MAX = 32, ATTR_ROW_MAX = 4096 };

#define ATTR_SOURCE "\1source"
#define ATTR_DOCUMENT "\1document"
#define ATTR_URI "\1uri"
#define ATTR_MEDIA_TYPE "\1media_type"
#define ATTR_LANGUAGE "\1language"

enum attr_type {
    ATTR_ARRAY = 'a',
    ATTR_BOOL = 'b',
    ATTR_NUMBER = 'n',
    ATTR_OBJECT = 'o',
    ATTR_STRING = 's',
    ATTR_NULL = 'z'
};

/* Each appends a key to `out`. */
void attr_key_prefix(struct buf *out, struct str path, enum attr_type type);
void attr_key_number(struct buf *out, struct str path, double v);
void attr_key_string(struct buf *out, struct str path, struct str v);
void attr_key_bool(struct buf *out, struct str path, bool v);

/* Adds every value of a row's metadata (a JSON object as text; absent or malformed: none). Beyond ATTR_ROW_MAX values,
 * or a path longer than ATTR_PATH_MAX, the rest is kept and returned but cannot be filtered by. */
void attrs_add_metadata(struct inverted_builder *b, struct str metadata_json, uint32_t row);
/* Adds a built-in string; an absent one adds nothing. */
void attrs_add_string(struct inverted_builder *b, const char *path, struct str v, uint32_t row);
void attrs_add_number(struct inverted_builder *b, const char *path, double v, uint32_t row);

#endif
