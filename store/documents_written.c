/* What a put wrote, in the words of the change log. It has to be what store_changes_read would give. */
#include <string.h>

#include "base/clock.h"
#include "store/put.h"

void put_note_written(struct put *p, const struct put_doc *d, const struct put_chunk *c)
{
    if (p->n_added == p->cap_added) {
        size_t cap = p->cap_added ? p->cap_added * 2 : 256;
        struct put_added *grown = ARENA_ARRAY(p->arena, struct put_added, cap);
        if (p->n_added)
            memcpy(grown, p->added, p->n_added * sizeof *grown);
        p->added = grown;
        p->cap_added = cap;
    }
    p->added[p->n_added++] = (struct put_added){d, c};
}

/* As it comes back from a column that is never NULL. */
static struct str present(struct str s)
{
    return s.len ? s : STR_LIT("");
}

static void describe(const struct put *p, const struct change_note *n, const struct put_added *from, struct str run,
                     struct vindex_change *out)
{
    const struct document_put *d = from->doc->in;
    const struct chunk_put *c = from->chunk->in;
    *out = (struct vindex_change){
        .kind = n->kind,
        .state = n->state,
        .chunk = n->chunk,
        .document = n->document,
        .source = n->source,
        .chunk_id = c->id,
        .version = d->version,
        .pipeline = p->in->pipeline,
        .key = present(d->key),
        .uri = present(d->uri),
        .title = present(d->title),
        .text = present(c->text),
        .heading = present(c->heading),
        .metadata_json = d->metadata_json.len ? d->metadata_json : STR_LIT("{}"),
        .media_type = present(d->media_type),
        .language = present(d->language),
        .run = run,
        .group = present(d->group),
        .from = c->from,
        .to = c->to,
        .page = c->page,
        .quality = c->quality,
        .embedding = c->embedding,
        .has_acl = n->has_acl,
        .acl = n->acl,
        .modified_at_us = n->modified_at_us,
        .source_name = present(d->source),
        .max_age_us = n->max_age_us,
    };
}

void put_tell_written(struct put *p)
{
    struct documents_written *out = p->in->written;
    const struct writer *w = &p->w;
    if (!out)
        return;
    *out = (struct documents_written){0};
    if (p->n_added == 0 || p->n_added != w->n_notes)
        return; /* what was stored before is changed as well: its rows have to be read */
    struct str run = str_dup(p->arena, w->run);
    out->commit = p->commit->id;
    out->embedder = p->in->embedder;
    out->upto = w->head_seq;
    out->from = w->head_seq - (int64_t)w->n_notes;
    out->n = w->n_notes;
    out->changes = ARENA_ARRAY(p->arena, struct vindex_change, out->n);
    for (size_t i = 0; i < out->n; i++) {
        describe(p, &w->notes[i], &p->added[i], run, &out->changes[i]);
        out->changes[i].seq = out->from + 1 + (int64_t)i;
    }
}
