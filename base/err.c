#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"

struct err_row {
    int status;
    const char *slug;
    const char *title;
};

static const struct err_row err_table[ASSAY_CODE_COUNT] = {
    [ASSAY_OK] = {200, "ok", "OK"},
    [ASSAY_INVALID] = {400, "invalid-request", "Invalid request"},
    [ASSAY_UNAUTHENTICATED] = {401, "unauthenticated", "Authentication required"},
    [ASSAY_FORBIDDEN] = {403, "forbidden", "Forbidden"},
    [ASSAY_NOT_FOUND] = {404, "not-found", "Not found"},
    [ASSAY_METHOD] = {405, "method-not-allowed", "Method not allowed"},
    [ASSAY_TIMEOUT] = {408, "request-timeout", "Request timeout"},
    [ASSAY_CONFLICT] = {409, "conflict", "Conflict"},
    [ASSAY_PRECONDITION] = {412, "precondition-failed", "Precondition failed"},
    [ASSAY_TOO_LARGE] = {413, "too-large", "Content too large"},
    [ASSAY_URI_TOO_LONG] = {414, "uri-too-long", "URI too long"},
    [ASSAY_MEDIA_TYPE] = {415, "unsupported-media-type", "Unsupported media type"},
    [ASSAY_UNPROCESSABLE] = {422, "unprocessable", "Unprocessable content"},
    [ASSAY_TOO_MANY] = {429, "too-many-requests", "Too many requests"},
    [ASSAY_INTERNAL] = {500, "internal", "Internal error"},
    [ASSAY_UPSTREAM] = {502, "upstream", "Bad answer from upstream"},
    [ASSAY_UNAVAILABLE] = {503, "unavailable", "Service unavailable"},
    /* These two stay inside the process; one that escapes all the same is a fault of ours. */
    [ASSAY_RETRY] = {500, "internal", "Internal error"},
    [ASSAY_DEFER] = {500, "internal", "Internal error"},
};

static const struct err_row *err_row(enum assay_code code)
{
    return (unsigned)code < ASSAY_CODE_COUNT ? &err_table[code] : &err_table[ASSAY_INTERNAL];
}

/* Formats into a fixed buffer; a cut never leaves half a code point behind. */
static void format_bounded(char *out, size_t size, const char *fmt, va_list args)
{
    int n = vsnprintf(out, size, fmt, args);
    if (n < 0)
        out[0] = '\0';
    else if ((size_t)n >= size)
        out[str_utf8_cut((struct str){out, size - 1})] = '\0';
}

void err_clear(struct err *err)
{
    if (!err)
        return;
    free(err->fields);
    *err = (struct err){0};
}

enum assay_code err_set_at(struct err *err, const char *file, int line, enum assay_code code, const char *slug,
                           const char *fmt, ...)
{
    if (!err)
        return code;
    /* The arguments may point into the old error, so the new one is built aside. */
    struct err fresh = {.code = code, .slug = slug, .file = file, .line = line};
    va_list args;
    va_start(args, fmt);
    format_bounded(fresh.detail, sizeof fresh.detail, fmt, args);
    va_end(args);
    err_clear(err);
    *err = fresh;
    return code;
}

enum assay_code err_add_field(struct err *err, const char *pointer, const char *fmt, ...)
{
    if (!err)
        return ASSAY_INVALID;
    if (err->code == ASSAY_OK)
        err->code = ASSAY_INVALID;
    if (err->n_fields == ERR_FIELDS_MAX)
        return err->code;
    if (!err->fields)
        err->fields = mem_calloc(ERR_FIELDS_MAX, sizeof *err->fields);
    struct err_field *field = &err->fields[err->n_fields++];
    size_t keep = strlen(pointer);
    if (keep >= sizeof field->pointer)
        keep = str_utf8_cut((struct str){pointer, sizeof field->pointer - 1});
    memcpy(field->pointer, pointer, keep);
    field->pointer[keep] = '\0';
    va_list args;
    va_start(args, fmt);
    format_bounded(field->detail, sizeof field->detail, fmt, args);
    va_end(args);
    if (err->detail[0] == '\0')
        (void)snprintf(err->detail, sizeof err->detail, "One or more fields are not valid; see `errors`.");
    return err->code;
}

int err_status(enum assay_code code)
{
    return err_row(code)->status;
}

const char *err_slug(const struct err *err)
{
    return err->slug ? err->slug : err_row(err->code)->slug;
}

const char *err_title(enum assay_code code)
{
    return err_row(code)->title;
}
