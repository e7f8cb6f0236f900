#include "server/request.h"

#include <string.h>
#include <strings.h>

#include "base/digest.h"

enum { CURSOR_MAX = 4096 };

const char *const request_header_names[REQUEST_HEADER_COUNT] = {
    [HEADER_ACCEPT] = "accept",
    [HEADER_AUTHORIZATION] = "authorization",
    [HEADER_CONTENT_ENCODING] = "content-encoding",
    [HEADER_CONTENT_TYPE] = "content-type",
    [HEADER_IDEMPOTENCY_KEY] = "idempotency-key",
    [HEADER_IF_MATCH] = "if-match",
    [HEADER_IF_NONE_MATCH] = "if-none-match",
    [HEADER_LAST_EVENT_ID] = "last-event-id",
    [HEADER_TRACEPARENT] = "traceparent",
    [HEADER_X_REQUEST_ID] = "x-request-id",
};

static void json_release(void *json)
{
    json_decref(json);
}

enum assay_code request_json_tree(struct request *req, json_t **out, struct err *err)
{
    if (str_trim(req->body).len == 0) {
        json_t *empty = json_object();
        if (!empty)
            return err_set(err, ASSAY_INTERNAL, NULL, "No memory for an empty object.");
        arena_defer(req->call.arena, json_release, empty);
        *out = empty;
        return ASSAY_OK;
    }
    TRY(json_parse(req->call.arena, req->body, out, err));
    if (!json_is_object(*out))
        return err_set(err, ASSAY_INVALID, NULL, "The body must be a JSON object.");
    return ASSAY_OK;
}

enum assay_code request_json(struct request *req, const struct json_field *fields, void *target, struct err *err)
{
    json_t *tree = NULL;
    TRY(request_json_tree(req, &tree, err));
    return json_read(req->call.arena, tree, "", fields, target, err);
}

enum assay_code request_query(struct request *req, const struct json_field *fields, void *target, struct err *err)
{
    return json_read_params(req->call.arena, req->query, req->n_query, fields, target, err);
}

enum assay_code request_no_query(struct request *req, struct err *err)
{
    static const struct json_field none[] = {JSON_FIELDS_END};
    return request_query(req, none, NULL, err);
}

enum assay_code request_parse_query(struct request *req, struct str query, struct err *err)
{
    while (query.len > 0) {
        const char *amp = memchr(query.ptr, '&', query.len);
        struct str pair = {query.ptr, amp ? (size_t)(amp - query.ptr) : query.len};
        size_t step = pair.len + (amp != NULL);
        query.ptr += step;
        query.len -= step;
        if (pair.len == 0)
            continue;
        if (req->n_query == REQUEST_QUERY_MAX)
            return err_set(err, ASSAY_INVALID, NULL, "More than %d query parameters.", REQUEST_QUERY_MAX);
        const char *eq = memchr(pair.ptr, '=', pair.len);
        struct str name = {pair.ptr, eq ? (size_t)(eq - pair.ptr) : pair.len};
        struct str value = eq ? (struct str){eq + 1, pair.len - name.len - 1} : STR_LIT("");
        struct json_param *p = &req->query[req->n_query];
        if (!str_url_decode(req->call.arena, name, true, &p->name) ||
            !str_url_decode(req->call.arena, value, true, &p->value) || !str_utf8_valid(p->name) ||
            !str_utf8_valid(p->value))
            return err_set(err, ASSAY_INVALID, NULL, "Query parameter %zu is not percent-encoded UTF-8.",
                           req->n_query + 1);
        req->n_query++;
    }
    return ASSAY_OK;
}

struct str request_header(const struct request *req, const char *name)
{
    for (size_t i = 0; i < REQUEST_HEADER_COUNT; i++)
        if (strcasecmp(name, request_header_names[i]) == 0)
            return req->headers[i];
    return (struct str){0};
}

enum assay_code request_if_match(const struct request *req, int64_t *revision, struct err *err)
{
    struct str tag = str_trim(req->headers[HEADER_IF_MATCH]);
    *revision = 0;
    if (!tag.ptr || str_eqc(tag, "*"))
        return ASSAY_OK;
    bool quoted = tag.len >= 3 && tag.ptr[0] == '"' && tag.ptr[tag.len - 1] == '"';
    struct str digits = quoted ? (struct str){tag.ptr + 1, tag.len - 2} : (struct str){0};
    if (!quoted || digits.ptr[0] < '0' || digits.ptr[0] > '9' || !str_to_i64(digits, revision) || *revision <= 0) {
        *revision = 0;
        return err_set(err, ASSAY_INVALID, NULL,
                       "If-Match must be one strong entity tag as ETag gave it, such as \"3\" with its quotes, or *.");
    }
    return ASSAY_OK;
}

/* ---- identity of a request ---- */

bool request_id_valid(struct str s)
{
    return str_is_name(s, 64);
}

/* Lower-case hexadecimal digits, not all of them zero when `nonzero`. */
static bool is_hex(const char *p, size_t n, bool nonzero)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
        any = any || p[i] != '0';
    }
    return any || !nonzero;
}

/* W3C Trace Context, section 3.2: version "-" trace id (32) "-" parent id (16) "-" flags (2). A later version may have
 * more after another "-"; version ff is forbidden. */
const char *request_trace(struct arena *a, struct str traceparent)
{
    enum { LEN = 55, TRACE_AT = 3, TRACE_LEN = 32, SPAN_AT = 36, SPAN_LEN = 16, FLAGS_AT = 53 };
    struct str t = str_trim(traceparent);
    if (t.len < LEN || t.ptr[2] != '-' || t.ptr[35] != '-' || t.ptr[52] != '-')
        return NULL;
    bool first_version = memcmp(t.ptr, "00", 2) == 0;
    bool length_ok = first_version ? t.len == LEN : t.len == LEN || t.ptr[LEN] == '-';
    if (!length_ok || !is_hex(t.ptr, 2, false) || memcmp(t.ptr, "ff", 2) == 0 ||
        !is_hex(t.ptr + TRACE_AT, TRACE_LEN, true) || !is_hex(t.ptr + SPAN_AT, SPAN_LEN, true) ||
        !is_hex(t.ptr + FLAGS_AT, 2, false))
        return NULL;
    uint8_t span[SPAN_LEN / 2];
    digest_random(span, sizeof span);
    span[0] |= 1; /* never all zero */
    char hex[SPAN_LEN + 1];
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof span; i++) {
        hex[2 * i] = digits[span[i] >> 4];
        hex[2 * i + 1] = digits[span[i] & 15];
    }
    hex[SPAN_LEN] = '\0';
    return arena_printf(a, "00-%.32s-%s-%.2s", t.ptr + TRACE_AT, hex, t.ptr + FLAGS_AT);
}

/* ---- cursors ---- */

char *request_cursor_make(struct request *req, struct str keyset)
{
    size_t op = strlen(req->operation);
    size_t n = op + 1 + keyset.len;
    char *plain = arena_alloc(req->call.arena, n + 1);
    memcpy(plain, req->operation, op);
    plain[op] = '\n';
    if (keyset.len)
        memcpy(plain + op + 1, keyset.ptr, keyset.len);
    size_t size = (n + 2) / 3 * 4 + 1;
    char *out = arena_alloc(req->call.arena, size);
    base64url_encode(plain, n, out, size);
    return out;
}

enum assay_code request_cursor(struct request *req, struct str cursor, struct str *keyset, struct err *err)
{
    *keyset = STR_LIT("");
    if (cursor.len == 0)
        return ASSAY_OK;
    struct str plain = {0};
    bool ok = cursor.len <= CURSOR_MAX && cursor.len % 4 != 1;
    if (ok) {
        char *padded = arena_alloc(req->call.arena, cursor.len + 4);
        size_t n = 0;
        for (; n < cursor.len; n++) {
            char c = cursor.ptr[n];
            ok = ok && c != '+' && c != '/' && c != '=';
            padded[n] = c;
            if (c == '-')
                padded[n] = '+';
            else if (c == '_')
                padded[n] = '/';
        }
        while (n % 4 != 0)
            padded[n++] = '=';
        ok = ok && base64_decode(req->call.arena, (struct str){padded, n}, &plain);
    }
    size_t op = strlen(req->operation);
    ok = ok && plain.len > op && memcmp(plain.ptr, req->operation, op) == 0 && plain.ptr[op] == '\n';
    struct str rest = ok ? (struct str){plain.ptr + op + 1, plain.len - op - 1} : (struct str){0};
    if (!ok || !str_utf8_valid(rest) || (rest.len && memchr(rest.ptr, '\0', rest.len))) {
        err_set(err, ASSAY_INVALID, NULL, "The cursor is not one that this list gave.");
        return err_add_field(err, "?cursor", "not a cursor of this list");
    }
    *keyset = rest;
    return ASSAY_OK;
}
