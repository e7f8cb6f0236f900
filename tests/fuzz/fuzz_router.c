/* The request line and what hangs on it: routing, path parameters, query, cursor, headers that are parsed. The first
 * line of the input is the method, the second the request target, the third a header's value. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "server/dispatch.h"
#include "server/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str next_line(struct str *rest)
{
    const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
    struct str line = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    size_t step = line.len + (end != NULL);
    rest->ptr += step;
    rest->len -= step;
    return line;
}

static void parse_headers(struct request *req, struct str value)
{
    struct err err = {0};
    struct str out = {0};
    int64_t revision = 0;
    struct arena *a = req->call.arena;
    if (dispatch_idempotency_key(a, value, &out, &err) == ASSAY_OK)
        assert(out.len >= 1 && out.len <= 255);
    const char *trace = request_trace(a, value);
    assert(!trace || strlen(trace) == 55);
    req->headers[HEADER_IF_MATCH] = value;
    if (request_if_match(req, &revision, &err) == ASSAY_OK)
        assert(revision >= 0);
    if (request_cursor(req, value, &out, &err) == ASSAY_OK && value.len > 0) {
        /* What was accepted is a cursor of this list: it leads to the same place when it is made again. */
        struct str again = {0};
        enum assay_code code = request_cursor(req, str_of(request_cursor_make(req, out)), &again, &err);
        assert(code == ASSAY_OK && str_eq(again, out));
    }
    (void)dispatch_is_json(value);
    (void)request_id_valid(value);
    err_clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(4096);
    struct request req = {.call = {.arena = a, .request_id = "fuzz", .actor = "fuzz"}, .operation = "fuzz"};
    struct err err = {0};
    struct str rest = {(const char *)data, size};
    struct str method = next_line(&rest), target = next_line(&rest), value = next_line(&rest);
    const char *mark = target.len ? memchr(target.ptr, '?', target.len) : NULL;
    struct str path = {target.ptr, mark ? (size_t)(mark - target.ptr) : target.len};
    const struct route *route = NULL;
    const char *allow = NULL;
    enum assay_code code = router_match(a, method, path, &route, req.params, &allow, &err);
    assert((code == ASSAY_OK) == (route != NULL));
    assert((code == ASSAY_METHOD) == (allow != NULL && code != ASSAY_OK && code != ASSAY_INVALID));
    for (size_t i = 0; i < REQUEST_PATH_PARAMS_MAX; i++)
        assert(code != ASSAY_OK || str_utf8_valid(req.params[i]));
    if (mark && request_parse_query(&req, (struct str){mark + 1, target.len - path.len - 1}, &err) == ASSAY_OK)
        assert(req.n_query <= REQUEST_QUERY_MAX);
    parse_headers(&req, value);
    err_clear(&err);
    arena_free(a);
    return 0;
}
