/*
 * One document as received: the field table, what the table cannot say, and what follows from the content alone.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "server/intake_priv.h"

enum { BASE64_MAX = INGEST_BYTES_MAX / 3 * 4 + 4 };

#define DOC(member, kind, ...) JSON_FIELD(struct intake_document, member, kind, __VA_ARGS__)

const struct json_field intake_document_fields[] = {
    DOC(collection, JSON_FIELD_STR, .nullable = true, .max = 63),
    DOC(source, JSON_FIELD_STR, .required = true, .min = 1, .max = 128),
    DOC(id, JSON_FIELD_STR, .nullable = true, .max = INTAKE_ID_MAX),
    DOC(uri, JSON_FIELD_STR, .nullable = true, .max = INTAKE_URI_MAX),
    DOC(title, JSON_FIELD_STR, .nullable = true, .max = INTAKE_TITLE_MAX),
    DOC(text, JSON_FIELD_STR, .nullable = true, .max = INGEST_BYTES_MAX,
        .present_offset = offsetof(struct intake_document, has_text)),
    DOC(content_base64, JSON_FIELD_STR, .nullable = true, .max = BASE64_MAX,
        .present_offset = offsetof(struct intake_document, has_content)),
    DOC(media_type, JSON_FIELD_STR, .nullable = true, .max = 255),
    DOC(language, JSON_FIELD_STR, .nullable = true, .max = 35),
    DOC(group, JSON_FIELD_STR, .nullable = true, .max = 256),
    {.name = "modified_at",
     .type = JSON_FIELD_TIME,
     .offset = offsetof(struct intake_document, modified_at_us),
     .present_offset = offsetof(struct intake_document, has_modified_at),
     .nullable = true},
    DOC(metadata, JSON_FIELD_OBJECT, .nullable = true),
    DOC(acl, JSON_FIELD_STRS, .nullable = true, .min = 1, .max = INTAKE_ACL_ENTRY_MAX, .max_items = INTAKE_ACL_MAX,
        .present_offset = offsetof(struct intake_document, has_acl)),
    DOC(vector, JSON_FIELD_ANY, .nullable = true, .present_offset = offsetof(struct intake_document, has_vector)),
    JSON_FIELDS_END,
};

enum assay_code intake_document_parse(struct arena *a, struct str text, struct intake_document *d, struct err *err)
{
    static const char name[] = "\"vector\"";
    struct json_vector floats = {0};
    struct str rest = text;
    json_t *json = NULL;
    struct err ignored = {0}; /* what is wrong with the array is told from the tree */
    if (memmem(text.ptr, text.len, name, sizeof name - 1) &&
        json_vector_cut(a, text, VINDEX_DIM_MAX, &rest, &floats, &ignored) != ASSAY_OK) {
        floats = (struct json_vector){0};
        rest = text;
    }
    err_clear(&ignored);
    *d = (struct intake_document){0};
    TRY(json_parse(a, rest, &json, err));
    if (!json_is_object(json))
        return err_set(err, ASSAY_INVALID, "invalid-json", "The document is not a JSON object.");
    TRY(json_read(a, json, "", intake_document_fields, d, err));
    d->floats = floats;
    return intake_document_check(d, err);
}

static enum assay_code no_control(struct err *err, const char *pointer, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (iscntrl((unsigned char)s.ptr[i]))
            return err_add_field(err, pointer, "It must not hold control characters.");
    return ASSAY_OK;
}

/* Letters and digits in subtags of at most 8, the first of letters: the shape of BCP 47, not its registry. */
static bool language_valid(struct str s)
{
    size_t run = 0;
    bool first = true;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];
        if (ch == '-') {
            if (run == 0)
                return false;
            run = 0;
            first = false;
        } else if (!(first ? isalpha(ch) : isalnum(ch)) || ++run > 8) {
            return false;
        }
    }
    return run > 0;
}

static bool is_text(enum media_type m)
{
    return m == MEDIA_TEXT || m == MEDIA_MARKDOWN || m == MEDIA_HTML;
}

static enum assay_code unprocessable(struct err *err, const char *slug, const char *pointer, const char *detail)
{
    err_set(err, ASSAY_UNPROCESSABLE, slug, "%s", detail);
    err_add_field(err, pointer, "%s", detail);
    return ASSAY_UNPROCESSABLE;
}

static enum assay_code check_media(const struct intake_document *d, struct err *err)
{
    enum media_type m = media_from_name(d->media_type);
    if (d->media_type.len == 0)
        return ASSAY_OK;
    if (m == MEDIA_UNKNOWN)
        return unprocessable(err, "unsupported-media-type", "/media_type",
                             "This media type is not read; text, Markdown, HTML, PDF, docx and odt are.");
    if (d->has_text && !is_text(m))
        return unprocessable(err, "unsupported-media-type", "/media_type",
                             "A document of this type comes as content_base64, not as text.");
    return ASSAY_OK;
}

enum assay_code intake_document_check(const struct intake_document *d, struct err *err)
{
    if (d->has_text == d->has_content)
        err_add_field(err, d->has_text ? "/content_base64" : "/text",
                      "Exactly one of text and content_base64 must be given.");
    if (d->id.len == 0 && d->uri.len == 0)
        err_add_field(err, "/id", "An id or a uri must be given.");
    (void)no_control(err, "/id", d->id);
    (void)no_control(err, "/uri", d->uri);
    (void)no_control(err, "/title", d->title);
    (void)no_control(err, "/group", d->group);
    (void)no_control(err, "/source", d->source);
    for (size_t i = 0; i < d->acl.n; i++)
        (void)no_control(err, "/acl", d->acl.items[i]);
    if (d->language.len > 0 && !language_valid(d->language))
        err_add_field(err, "/language", "It must be a language tag such as en or pt-BR.");
    if (err->code != ASSAY_OK)
        return err->code;
    if (d->has_modified_at && d->modified_at_us > clock_now_us() + CLOCK_DAY)
        return unprocessable(err, "modified-in-future", "/modified_at",
                             "It lies more than a day ahead of the server's clock.");
    return check_media(d, err);
}

struct str intake_document_key(struct arena *a, const struct intake_document *d)
{
    if (d->id.len > 0)
        return d->id;
    if (d->uri.len <= INTAKE_ID_MAX)
        return d->uri;
    struct digest hash;
    char hex[DIGEST_HEX + 1];
    digest_sha256(d->uri.ptr, d->uri.len, &hash);
    digest_hex(&hash, hex);
    return str_of(arena_printf(a, "uri:%s", hex));
}

static int depth_of(const json_t *v, int limit)
{
    int deepest = 0;
    if (limit == 0)
        return 1;
    if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            int d = depth_of(json_array_get(v, i), limit - 1);
            deepest = d > deepest ? d : deepest;
        }
        return 1 + deepest;
    }
    for (void *it = json_object_iter((json_t *)(uintptr_t)v); it;
         it = json_object_iter_next((json_t *)(uintptr_t)v, it)) {
        int d = depth_of(json_object_iter_value(it), limit - 1);
        deepest = d > deepest ? d : deepest;
    }
    return json_is_object(v) ? 1 + deepest : 0;
}

static enum assay_code receive_metadata(struct arena *a, const json_t *metadata, struct str *out, struct err *err)
{
    *out = STR_LIT("{}");
    if (!metadata)
        return ASSAY_OK;
    if (depth_of(metadata, INTAKE_METADATA_DEPTH + 1) > INTAKE_METADATA_DEPTH)
        return err_add_field(err, "/metadata", "It is nested deeper than %d levels.", INTAKE_METADATA_DEPTH);
    struct buf text = {0};
    json_canonical(metadata, &text);
    bool fits = text.len <= INTAKE_METADATA_MAX;
    if (fits)
        *out = str_dup(a, buf_str(&text));
    buf_free(&text);
    return fits ? ASSAY_OK : err_add_field(err, "/metadata", "It is larger than %d bytes.", INTAKE_METADATA_MAX);
}

static enum assay_code receive_vector(struct arena *a, const struct collection *c, const struct intake_document *d,
                                      struct received *r, struct err *err)
{
    bool wanted = c->spec.kind == EMBEDDER_CLIENT;
    if (d->has_vector != wanted)
        return unprocessable(err, wanted ? "vector-required" : "vector-refused", "/vector",
                             wanted ? "This collection takes the client's vectors, and none was given."
                                    : "This collection computes its vectors itself.");
    if (!wanted)
        return ASSAY_OK;
    struct json_vector read = d->floats;
    size_t dim = (size_t)c->spec.dim;
    if (!read.v)
        TRY(json_vector_read(a, d->vector, VINDEX_DIM_MAX, &read, err));
    if (read.n != dim)
        return err_add_field(err, "/vector", "It must hold %zu numbers; it holds %zu.", dim, read.n);
    double norm = 0;
    for (size_t i = 0; i < dim; i++)
        norm += (double)read.v[i] * (double)read.v[i];
    if (!isfinite(norm) || norm <= 0)
        return err_add_field(err, "/vector", "It must be finite and not all zero.");
    digest_sha256(read.v, dim * sizeof *read.v, &r->vector_hash);
    r->vector = read.v;
    return ASSAY_OK;
}

static enum assay_code receive_media(const struct intake_document *d, struct received *r, struct err *err)
{
    r->media =
        d->media_type.len > 0 ? media_from_name(d->media_type) : media_sniff(r->bytes, d->uri.len > 0 ? d->uri : d->id);
    if (d->has_text && !is_text(r->media))
        r->media = MEDIA_TEXT; /* it came as JSON text, whatever its first bytes look like */
    if (r->media == MEDIA_UNKNOWN)
        return unprocessable(err, "unsupported-media-type", "/media_type",
                             "The content's type was not declared and is not recognised.");
    return ASSAY_OK;
}

/* Over everything the client sent that decides version and chunks. Not over source, acl and modified_at: they may
 * change without a new version, and the store compares them itself. */
static void hash_request(const struct collection *c, const struct intake_document *d, struct received *r)
{
    struct digest_ctx *ctx = digest_begin();
    digest_update_field(ctx, STR_LIT("assay-request-1"));
    digest_update(ctx, c->pipeline.id.b, DIGEST_LEN);
    digest_update(ctx, r->vector_hash.b, DIGEST_LEN);
    digest_update_field(ctx, r->key);
    digest_update_field(ctx, d->uri);
    digest_update_field(ctx, d->title);
    digest_update_field(ctx, str_of(media_name(r->media)));
    digest_update_field(ctx, d->language);
    digest_update_field(ctx, d->group);
    digest_update_field(ctx, r->metadata_json);
    digest_update_field(ctx, r->bytes);
    digest_end(ctx, &r->request_hash);
}

enum assay_code intake_receive(const struct call *call, const struct collection *c, const struct intake_document *d,
                               struct received *r, struct err *err)
{
    *r = (struct received){.key = intake_document_key(call->arena, d), .bytes = d->text};
    if (d->has_content && !base64_decode(call->arena, d->content_base64, &r->bytes))
        return err_add_field(err, "/content_base64", "It is not base64 (RFC 4648, with padding).");
    if (r->bytes.len > INGEST_BYTES_MAX)
        return err_set(err, ASSAY_TOO_LARGE, "document-too-large", "The document is larger than %d bytes.",
                       INGEST_BYTES_MAX);
    TRY(receive_media(d, r, err));
    TRY(receive_metadata(call->arena, d->metadata, &r->metadata_json, err));
    TRY(receive_vector(call->arena, c, d, r, err));
    hash_request(c, d, r);
    r->usable = true;
    return ASSAY_OK;
}
