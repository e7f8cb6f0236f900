/* Pipelines: declarations by their id, as collections have used them. */
#include "handlers/handlers.h"
#include "handlers/page.h"
#include "server/server.h"
#include "store/collections.h"

/* {"id","pipeline":{...},"created_at"}: the declaration as it is hashed, with its id. */
static void write_pipeline(struct jsonw *w, const struct pipeline_row *row)
{
    jsonw_object(w);
    jsonw_kdigest(w, "id", &row->id);
    jsonw_kraw(w, "pipeline", row->json);
    jsonw_ktime(w, "created_at", row->created_at_us);
    jsonw_object_end(w);
}

enum assay_code handle_pipelines_list(struct request *req, struct reply *reply, struct err *err)
{
    struct page_query q = {.limit = PAGE_DEFAULT};
    struct digest after;
    struct str keyset = {0};
    struct pipeline_row *rows;
    size_t n;
    struct jsonw w;
    char hex[DIGEST_HEX + 1];
    const char *next = NULL;
    TRY(request_query(req, page_fields, &q, err));
    if (q.cursor.len > 0) {
        TRY(request_cursor(req, q.cursor, &keyset, err));
        if (!digest_from_hex(keyset, &after))
            return err_add_field(err, "?cursor", "It is not a cursor of this list.");
    }
    TRY(store_pipeline_list(req->server->store, &req->call, keyset.len > 0 ? &after : NULL, (size_t)q.limit + 1, &rows,
                            &n, err));
    bool more = page_cut(&n, q.limit);
    reply_list(reply, &w);
    for (size_t i = 0; i < n; i++)
        write_pipeline(&w, &rows[i]);
    if (more) {
        digest_hex(&rows[n - 1].id, hex);
        next = request_cursor_make(req, str_of(hex));
    }
    reply_list_end(&w, next);
    return ASSAY_OK;
}

enum assay_code handle_pipelines_get(struct request *req, struct reply *reply, struct err *err)
{
    struct digest id;
    struct pipeline_row row;
    struct jsonw w;
    TRY(request_no_query(req, err));
    if (!digest_from_hex(req->params[0], &id))
        return err_set(err, ASSAY_NOT_FOUND, "unknown-pipeline", "There is no such pipeline.");
    TRY(store_pipeline_get(req->server->store, &req->call, &id, &row, err));
    reply_json(reply, 200, &w);
    write_pipeline(&w, &row);
    return ASSAY_OK;
}
