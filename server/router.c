#include "server/router.h"

#include <string.h>

/* The next segment of a path or pattern, without its '/'; *at moves past it. False at the end. */
static bool next_segment(struct str path, size_t *at, struct str *out)
{
    if (*at >= path.len)
        return false;
    const char *from = path.ptr + *at + 1; /* past the '/' */
    size_t left = path.len - *at - 1;
    const char *slash = memchr(from, '/', left);
    out->ptr = from;
    out->len = slash ? (size_t)(slash - from) : left;
    *at += 1 + out->len;
    return true;
}

/* Raw matches: what stands where a {name} is. False when the path is not of this pattern. */
static bool pattern_match(const char *pattern, struct str path, struct str raw[REQUEST_PATH_PARAMS_MAX], size_t *n)
{
    struct str want = str_of(pattern), w, p;
    size_t at_want = 0, at_path = 0;
    *n = 0;
    for (;;) {
        bool more_want = next_segment(want, &at_want, &w);
        bool more_path = next_segment(path, &at_path, &p);
        if (!more_want || !more_path)
            return more_want == more_path;
        if (w.len > 0 && w.ptr[0] == '{') {
            if (p.len == 0 || *n == REQUEST_PATH_PARAMS_MAX)
                return false;
            raw[(*n)++] = p;
        } else if (!str_eq(w, p)) {
            return false;
        }
    }
}

static enum assay_code decode_params(struct arena *a, const struct str *raw, size_t n,
                                     struct str params[REQUEST_PATH_PARAMS_MAX], struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!str_url_decode(a, raw[i], false, &params[i]) || !str_utf8_valid(params[i]))
            return err_set(err, ASSAY_INVALID, "bad-path", "Part %zu of the path is not percent-encoded UTF-8.", i + 1);
    }
    return ASSAY_OK;
}

/* "GET, HEAD, POST": a GET row answers HEAD too. */
static void allow_add(struct arena *a, const char **allow, const char *method)
{
    bool get = strcmp(method, "GET") == 0;
    *allow = arena_printf(a, "%s%s%s%s", *allow ? *allow : "", *allow ? ", " : "", method, get ? ", HEAD" : "");
}

enum assay_code router_match(struct arena *a, struct str method, struct str path, const struct route **out,
                             struct str params[REQUEST_PATH_PARAMS_MAX], const char **allow, struct err *err)
{
    struct str wanted = str_eqc(method, "HEAD") ? STR_LIT("GET") : method;
    *out = NULL;
    *allow = NULL;
    if (path.len > 0 && path.ptr[0] == '/') {
        for (const struct route *r = routes; r->method; r++) {
            struct str raw[REQUEST_PATH_PARAMS_MAX];
            size_t n = 0;
            if (!pattern_match(r->pattern, path, raw, &n))
                continue;
            if (!str_eqc(wanted, r->method)) {
                allow_add(a, allow, r->method);
                continue;
            }
            *allow = NULL;
            TRY(decode_params(a, raw, n, params, err));
            *out = r;
            return ASSAY_OK;
        }
    }
    if (*allow)
        return err_set(err, ASSAY_METHOD, NULL, "This path answers %s.", *allow);
    return err_set(err, ASSAY_NOT_FOUND, "unknown-path", "There is nothing at this path.");
}
