/* What every list takes: an opaque cursor and a limit. */
#ifndef ASSAY_HANDLERS_PAGE_H
#define ASSAY_HANDLERS_PAGE_H

#include "base/json_read.h"

enum { PAGE_DEFAULT = 100, PAGE_MAX = 1000, PAGE_CURSOR_MAX = 4096 };

/* The rows of a field table for `struct str cursor` and `int64_t limit` (set to PAGE_DEFAULT beforehand) of `st`. */
#define PAGE_FIELDS(st)                                                                                                \
    JSON_FIELD(st, cursor, JSON_FIELD_STR, .max = PAGE_CURSOR_MAX),                                                    \
        JSON_FIELD(st, limit, JSON_FIELD_INT, .min = 1, .max = PAGE_MAX)

/* The query of a list that takes nothing else. */
struct page_query {
    struct str cursor;
    int64_t limit;
};
extern const struct json_field page_fields[];

/* A list reads one row more than the page holds, to know whether another page follows: cuts *n to the limit and says
 * so. */
static inline bool page_cut(size_t *n, int64_t limit)
{
    bool more = *n > (size_t)limit;
    if (more)
        *n = (size_t)limit;
    return more;
}

#endif
