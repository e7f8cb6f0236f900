#include "handlers/settle.h"

#include "server/server.h"
#include "store/changes.h"

static enum assay_code head_of(struct request *req, const struct collection *c, int64_t *seq, struct err *err)
{
    struct change_head *heads;
    size_t n;
    *seq = 0;
    TRY(store_change_heads(req->server->store, &req->call, &heads, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (heads[i].collection == c->id)
            *seq = heads[i].seq;
    }
    return ASSAY_OK;
}

enum assay_code settle(struct request *req, struct collection *c, const struct store_commit *commit, struct err *err)
{
    int64_t seq = commit->seq;
    if (seq == 0)
        TRY(head_of(req, c, &seq, err));
    follower_notify(req->server->follower);
    if (collection_wait(c, seq, req->call.deadline_us))
        return ASSAY_OK;
    return err_set(err, ASSAY_UNAVAILABLE, "not-indexed-yet",
                   "the change is stored, but the index has not applied it in time; ask again to wait for it");
}

struct collection *settle_collection(struct catalog *catalog, int32_t id)
{
    struct collection *c;
    for (size_t i = 0; (c = catalog_at(catalog, i)); i++) {
        if (c->id == id)
            return c;
    }
    return NULL;
}

void settle_write(struct jsonw *w, const struct store_commit *commit)
{
    jsonw_key(w, "commit");
    if (commit->seq)
        jsonw_digest(w, &commit->id);
    else
        jsonw_null(w);
}
