#include "ingest/html_text.h"

#include <string.h>

#include "ingest/html_entities.h"
#include "ingest/html_tags.h"

void html_text(struct str html, struct buf *out)
{
    struct html_scan scan = {.in = html};
    struct html_token tok;
    for (html_next(&scan, &tok); tok.event != HTML_END; html_next(&scan, &tok)) {
        if (tok.event == HTML_TEXT) {
            html_decode(tok.text, out);
            continue;
        }
        const struct html_tag_info *t = html_tag_of(tok.name);
        if (t->tag == TAG_BR || (t->flags & HTML_BLOCK))
            buf_putc(out, '\n');
    }
}
