#include "ingest/extract.h"

#include <string.h>

static struct str without_bom(struct str s)
{
    if (s.len >= 3 && memcmp(s.ptr, "\xef\xbb\xbf", 3) == 0)
        return (struct str){s.ptr + 3, s.len - 3};
    return s;
}

enum assay_code extract(struct arena *a, enum media_type media, struct str bytes, struct extracted *out,
                        struct err *err)
{
    *out = (struct extracted){.title = STR_LIT("")};
    if (!bytes.ptr)
        bytes = STR_LIT("");
    switch (media) {
    case MEDIA_TEXT:
        return extract_text(a, without_bom(bytes), out, err);
    case MEDIA_MARKDOWN:
        return extract_markdown(a, without_bom(bytes), out, err);
    case MEDIA_HTML:
        return extract_html(a, without_bom(bytes), out, err);
    case MEDIA_PDF:
        return extract_pdf_text(a, without_bom(bytes), out, err);
    case MEDIA_DOCX:
    case MEDIA_ODT:
        return extract_office(a, media, bytes, out, err);
    case MEDIA_UNKNOWN:
        break;
    }
    return err_set(err, ASSAY_MEDIA_TYPE, "unknown-media-type",
                   "The document's media type is neither declared nor recognisable.");
}
