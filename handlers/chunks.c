/* Chunks: one passage with everything that is known of it. */
#include "base/clock.h"
#include "base/node_id.h"
#include "handlers/document_view.h"
#include "handlers/handlers.h"
#include "ingest/check.h"
#include "server/access.h"
#include "server/server.h"
#include "store/quarantine.h"

enum { ENTRIES_MAX = 100 };

static void write_checks(struct jsonw *w, const struct chunk_row *c)
{
    jsonw_key(w, "checks");
    jsonw_array(w);
    for (size_t i = 0; i < c->n_checks; i++) {
        const struct check_put *k = &c->checks[i];
        jsonw_object(w);
        jsonw_kstr(w, "check", k->check);
        jsonw_kcstr(w, "outcome", check_outcome_name((enum check_outcome)k->outcome));
        jsonw_kstr(w, "expected", k->expected);
        jsonw_kstr(w, "actual", k->actual);
        jsonw_kspan(w, "span", k->from, k->to);
        jsonw_object_end(w);
    }
    jsonw_array_end(w);
}

/* Notes and evidence are the stewards' business; why a chunk is held is everyone's. */
static void write_entries(struct jsonw *w, const struct quarantine_row *rows, size_t n, bool steward)
{
    jsonw_key(w, "quarantine");
    jsonw_array(w);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(w);
        jsonw_kstr(w, "id", rows[i].id);
        jsonw_kcstr(w, "reason", quarantine_reason_names[rows[i].reason]);
        jsonw_ktime(w, "opened_at", rows[i].opened_at_us);
        if (steward) {
            jsonw_kstr(w, "opened_by", rows[i].opened_by);
            jsonw_kstr(w, "note", rows[i].note);
            jsonw_kraw(w, "evidence", rows[i].evidence_json.len > 0 ? rows[i].evidence_json : STR_LIT("{}"));
        }
        jsonw_object_end(w);
    }
    jsonw_array_end(w);
}

static void write_node_id(struct jsonw *w, const struct collection *c, const struct digest *chunk)
{
    char hex[DIGEST_HEX + 1];
    struct buf id = {0};
    digest_hex(chunk, hex);
    node_id_format(&id, NODE_CHUNK, c->name, str_of(hex));
    jsonw_kstr(w, "node_id", buf_str(&id));
    buf_free(&id);
}

/* Would a search return it to this caller? Only then is its text for everyone. */
static bool is_served(const struct chunk_row *ch, const struct document_row *d)
{
    return ch->state == CHUNK_ACTIVE && !d->deleted && d->source_active && ch->fresh_until_us > clock_now_us();
}

static void write_chunk(struct jsonw *w, const struct collection *c, const struct chunk_row *ch,
                        const struct document_row *d, bool text_shown)
{
    jsonw_kdigest(w, "chunk", &ch->chunk);
    jsonw_kstr(w, "collection", c->name);
    jsonw_kstr(w, "document", ch->document_key);
    jsonw_kdigest(w, "version", &ch->version);
    jsonw_kstr(w, "uri", d->uri.len > 0 ? d->uri : (struct str){0});
    jsonw_kstr(w, "title", d->title.len > 0 ? d->title : (struct str){0});
    jsonw_kspan(w, "span", ch->from, ch->to);
    jsonw_key(w, "page");
    if (ch->page > 0)
        jsonw_int(w, ch->page);
    else
        jsonw_null(w);
    jsonw_kstr(w, "heading", text_shown ? ch->heading : (struct str){0});
    jsonw_kstr(w, "text", text_shown ? ch->text : (struct str){0});
    jsonw_kint(w, "tokens", (int64_t)ch->tokens);
    jsonw_kcstr(w, "state", chunk_state_name(ch->state));
    jsonw_kdouble(w, "quality", ch->quality);
    jsonw_ktime(w, "fresh_until", ch->fresh_until_us);
    jsonw_kstr(w, "source", ch->source);
    jsonw_kcstr(w, "source_state", d->source_active ? "active" : "blocked");
    jsonw_kdigest(w, "pipeline", &ch->pipeline);
    jsonw_kstr(w, "run", ch->run);
    write_node_id(w, c, &ch->chunk);
    write_checks(w, ch);
}

enum assay_code handle_chunks_get(struct request *req, struct reply *reply, struct err *err)
{
    struct collection *c;
    struct digest id;
    struct chunk_row ch;
    struct document_row doc;
    struct quarantine_row *entries;
    size_t n;
    struct jsonw w;
    TRY(document_view_collection(req, &c, err));
    if (!digest_from_hex(req->params[0], &id))
        return err_set(err, ASSAY_NOT_FOUND, "unknown-chunk", "There is no such chunk.");
    TRY(store_chunk_get(req->server->store, &req->call, c->id, &id, &ch, err));
    TRY(store_document_get(req->server->store, &req->call, c->id, ch.document_key, &doc, err));
    bool steward = access_steward(&req->actor);
    if (!access_allows(&req->actor, ch.has_acl, &ch.acl) || (doc.deleted && !steward))
        return err_set(err, ASSAY_NOT_FOUND, "unknown-chunk", "There is no such chunk.");
    struct quarantine_query q = {.collection = c->id,
                                 .reason = -1,
                                 .source = STR_LIT(""),
                                 .document = STR_LIT(""),
                                 .has_chunk = true,
                                 .chunk = id,
                                 .state = ENTRY_OPEN,
                                 .before = INT64_MAX,
                                 .limit = ENTRIES_MAX};
    TRY(store_quarantine_list(req->server->store, &req->call, &q, &entries, &n, err));
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    write_chunk(&w, c, &ch, &doc, steward || is_served(&ch, &doc));
    write_entries(&w, entries, n, steward);
    jsonw_object_end(&w);
    return ASSAY_OK;
}
