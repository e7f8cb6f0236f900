/*
 * Internal to store/: statements, their binary parameters and results.
 *
 * Parameters and COPY rows are built in a struct buf by the wire_* functions, each of which appends one value as a
 * big-endian length and the bytes of PostgreSQL's binary format; the same functions therefore fill parameter lists,
 * arrays and COPY rows. Types are exact: an integer parameter of a statement takes wire_i32, a bigint wire_i64.
 *
 * Results are binary too, belong to the call's arena, and are read column by column with a struct row.
 */
#ifndef ASSAY_STORE_PQ_H
#define ASSAY_STORE_PQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/json_read.h"
#include "base/str.h"
#include "store/store.h"

/* One named statement; it is prepared on a connection when it first runs there, and all of them when one opens in the
 * tests (store_prepare_all). Declared `static const` directly above the one function that runs it and listed in the
 * file's NULL-terminated store_<file>_stmts, which stmts.c collects. */
struct store_stmt {
    const char *name;
    const char *sql;
    int nparams;
};
extern const struct store_stmt *const *const store_stmt_lists[]; /* NULL-terminated */

/* ---- values out ---- */
enum {
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_FLOAT8 = 701,
    PG_BOOL = 16,
    PG_TIME = 1184
};

void wire_null(struct buf *b);
void wire_i16(struct buf *b, int v);
void wire_i32(struct buf *b, int32_t v);
void wire_i64(struct buf *b, int64_t v);
void wire_f64(struct buf *b, double v);
void wire_bool(struct buf *b, bool v);
void wire_str(struct buf *b, struct str s); /* text, json; absent is written as '' */
void wire_cstr(struct buf *b, const char *s);
void wire_bytes(struct buf *b, const void *p, size_t n);
void wire_digest(struct buf *b, const struct digest *d);
void wire_time(struct buf *b, int64_t us);                 /* CLOCK_NEVER as NULL */
void wire_uuid(struct buf *b, struct str text);            /* NULL unless a valid UUID */
void wire_floats(struct buf *b, const float *v, size_t n); /* bytea of little-endian float32; NULL pointer as NULL */
/* An array of n values, each written by a wire_ function between begin and end. */
size_t wire_array(struct buf *b, uint32_t element, size_t n);
void wire_array_end(struct buf *b, size_t mark);
void wire_texts(struct buf *b, struct str_list list);
/* The start of a COPY row of n columns. */
void wire_row(struct buf *b, int n);

/* ---- values in ---- */
struct pg_result;
struct rows {
    struct pg_result *result;
    int n;            /* rows returned */
    int64_t affected; /* rows touched by INSERT, UPDATE, DELETE */
};
struct row {
    const struct rows *rows;
    int row, col; /* col advances with each read */
    struct arena *arena;
};
struct row rows_at(const struct rows *r, int i, struct arena *a);
bool row_null(const struct row *r);       /* does not advance */
int64_t row_int(struct row *r);           /* smallint, integer, bigint; NULL gives 0 */
double row_f64(struct row *r);            /* NULL gives 0 */
bool row_bool(struct row *r);             /* NULL gives false */
struct str row_str(struct row *r);        /* text, json, bytea; a view that lives as long as the arena; NULL: absent */
struct digest row_digest(struct row *r);  /* NULL: zero */
int64_t row_time(struct row *r);          /* NULL: CLOCK_NEVER */
struct str_list row_texts(struct row *r); /* NULL: empty */
const float *row_floats(struct row *r, size_t *n); /* aligned; NULL: NULL */

#endif
