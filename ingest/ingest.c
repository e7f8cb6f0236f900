#include "ingest/ingest.h"

#include <stdio.h>

#include "ingest/canonical.h"
#include "ingest/chunker.h"
#include "ingest/extract.h"

static void update_number(struct digest_ctx *d, size_t n)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%zu", n);
    digest_update_field(d, (struct str){text, (size_t)len});
}

static void version_id(const struct ingest_input *in, const struct ingest_draft *draft, struct digest *out)
{
    struct str media = in->media_name.len ? in->media_name : str_of(media_name(in->media));
    struct str metadata = in->metadata_json.len ? in->metadata_json : STR_LIT("{}");
    const struct str fields[] = {in->key,         in->uri,  draft->title, media,
                                 draft->language, metadata, in->group,    draft->canonical};
    struct digest_ctx *d = digest_begin();
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        digest_update_field(d, fields[i]);
    digest_end(d, out);
}

static void chunk_id(const struct digest *version, const struct ingest_chunk *c, const struct digest *pipeline,
                     struct digest *out)
{
    struct digest_ctx *d = digest_begin();
    digest_update_field(d, (struct str){(const char *)version->b, DIGEST_LEN});
    update_number(d, c->from);
    update_number(d, c->to);
    digest_update_field(d, (struct str){(const char *)pipeline->b, DIGEST_LEN});
    digest_end(d, out);
}

/* "en-US" and "EN_us" are "en": what is declared is more than what chunks are told by. */
static struct str primary_subtag(struct arena *a, struct str tag)
{
    size_t n = 0;
    while (n < tag.len && tag.ptr[n] != '-' && tag.ptr[n] != '_')
        n++;
    char *s = arena_strndup(a, tag.ptr, n);
    for (size_t i = 0; i < n; i++)
        if (s[i] >= 'A' && s[i] <= 'Z')
            s[i] = (char)(s[i] + ('a' - 'A'));
    return (struct str){s, n};
}

static struct str title_of(struct arena *a, const struct ingest_input *in, const struct extracted *ex)
{
    struct str title = canonical_line(a, in->title.len ? in->title : ex->title);
    return title.len ? title : canonical_line(a, in->key);
}

static enum assay_code spans_of(struct arena *a, const struct pipeline *p, const struct ingest_input *in,
                                const struct canonical *doc, struct chunk_span **spans, size_t *n, struct err *err)
{
    if (!in->single_chunk)
        return chunk_spans(a, &p->chunk, doc, spans, n, err);
    *n = doc->text.len ? 1 : 0;
    *spans = ARENA_NEW(a, struct chunk_span);
    **spans = (struct chunk_span){.to = doc->text.len,
                                  .heading = STR_LIT(""),
                                  .page = doc->n_blocks ? doc->blocks[0].page : 0,
                                  .tokens = ingest_token_count(doc->text)};
    return ASSAY_OK;
}

static void fill_chunk(struct arena *a, const struct pipeline *p, const struct ingest_draft *draft,
                       const struct chunk_span *span, struct ingest_chunk *c)
{
    *c = (struct ingest_chunk){.from = span->from,
                               .to = span->to,
                               .text = {draft->canonical.ptr + span->from, span->to - span->from},
                               .heading = span->heading,
                               .tokens = span->tokens,
                               .page = span->page};
    chunk_id(&draft->version, c, &p->id, &c->id);
    digest_sha256(c->text.ptr, c->text.len, &c->text_hash);
    struct check_input in = {.text = c->text, .from = c->from, .tokens = c->tokens, .language = draft->language};
    check_chunk(a, &p->checks, &in, &c->checks, &c->n_checks);
}

enum assay_code ingest_document(struct arena *a, const struct pipeline *p, const struct ingest_input *in,
                                struct ingest_draft *out, struct err *err)
{
    if (in->bytes.len > INGEST_BYTES_MAX)
        return err_set(err, ASSAY_TOO_LARGE, "document-too-large", "A document may have at most %d bytes.",
                       INGEST_BYTES_MAX);
    struct extracted extracted;
    struct canonical doc;
    struct chunk_span *spans = NULL;
    size_t n = 0;
    TRY(extract(a, in->media, in->bytes, &extracted, err));
    TRY(canonicalise(a, &extracted, &doc, err));
    TRY(spans_of(a, p, in, &doc, &spans, &n, err));
    *out = (struct ingest_draft){.title = title_of(a, in, &extracted), .canonical = doc.text, .n_chunks = n};
    out->language = in->language.len ? primary_subtag(a, in->language) : str_of(language_detect(doc.text));
    digest_sha256(in->bytes.len ? in->bytes.ptr : "", in->bytes.len, &out->bytes_hash);
    version_id(in, out, &out->version);
    out->chunks = ARENA_ARRAY(a, struct ingest_chunk, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        fill_chunk(a, p, out, &spans[i], &out->chunks[i]);
    return ASSAY_OK;
}
