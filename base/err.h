/*
 * Errors: one enum, one struct, one table.
 *
 * A function that can fail returns an `enum assay_code` and fills a caller-owned `struct err`.
 * `detail` is safe to show to clients; SQL text, paths and library messages go to the log only.
 * Programmer errors are assert(); operating errors are codes.
 */
#ifndef ASSAY_BASE_ERR_H
#define ASSAY_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum assay_code {
    ASSAY_OK = 0,
    ASSAY_INVALID,         /* 400: malformed syntax, wrong type, out of range */
    ASSAY_UNAUTHENTICATED, /* 401 */
    ASSAY_FORBIDDEN,       /* 403 */
    ASSAY_NOT_FOUND,       /* 404 */
    ASSAY_METHOD,          /* 405 */
    ASSAY_TIMEOUT,         /* 408: the client was too slow */
    ASSAY_CONFLICT,        /* 409 */
    ASSAY_PRECONDITION,    /* 412 */
    ASSAY_TOO_LARGE,       /* 413 */
    ASSAY_URI_TOO_LONG,    /* 414 */
    ASSAY_MEDIA_TYPE,      /* 415 */
    ASSAY_UNPROCESSABLE,   /* 422: well formed, but names something that is not there or cannot be */
    ASSAY_TOO_MANY,        /* 429 */
    ASSAY_INTERNAL,        /* 500 */
    ASSAY_UPSTREAM,        /* 502: an endpoint we call answered nonsense */
    ASSAY_UNAVAILABLE,     /* 503, sent with Retry-After */
    ASSAY_RETRY,           /* never leaves store/: serialisation failure or deadlock */
    ASSAY_DEFER,           /* never leaves server/: run this handler again on a worker thread */
    ASSAY_CODE_COUNT
};

/* One problem with one field; `pointer` is an RFC 6901 JSON Pointer, or "?name" for a query parameter. */
struct err_field {
    char pointer[128];
    char detail[160];
};

enum { ERR_FIELDS_MAX = 16 };

struct err {
    enum assay_code code;
    const char *slug;         /* static string, the tail of the problem's `type`; NULL: the code's default */
    char detail[256];         /* safe for clients */
    struct err_field *fields; /* malloc'd array of ERR_FIELDS_MAX or NULL; freed by err_clear */
    size_t n_fields;
    const char *file; /* where it was raised, for the log */
    int line;
};

/* All-zero is a valid empty error: `struct err err = {0};`. Frees `fields`, resets to empty. */
void err_clear(struct err *err);

/* Raises `code` in place of whatever `err` held, fields included. Returns `code`, so that `return err_set(err, ...)`
 * reads well. `err` may be NULL. */
enum assay_code err_set_at(struct err *err, const char *file, int line, enum assay_code code, const char *slug,
                           const char *fmt, ...) PRINTF_LIKE(6, 7);
#define err_set(err, code, slug, ...) err_set_at((err), __FILE__, __LINE__, (code), (slug), __VA_ARGS__)

/* Adds a field problem and makes the error ASSAY_INVALID if it was OK. Past ERR_FIELDS_MAX it is dropped. */
enum assay_code err_add_field(struct err *err, const char *pointer, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* HTTP status, default slug ("invalid-request") and title ("Invalid request") of a code. Total functions. */
int err_status(enum assay_code code);
const char *err_slug(const struct err *err);
const char *err_title(enum assay_code code);

/* Returns from the enclosing function unless `expr` is ASSAY_OK. Only where everything held is arena-owned. */
#define TRY(expr)                                                                                                      \
    do {                                                                                                               \
        enum assay_code try_code_ = (expr);                                                                            \
        if (try_code_ != ASSAY_OK)                                                                                     \
            return try_code_;                                                                                          \
    } while (0)

#endif
