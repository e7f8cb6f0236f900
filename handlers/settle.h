/* What handlers of governing writes share: finding a collection, and not answering before searches obey. */
#ifndef ASSAY_HANDLERS_SETTLE_H
#define ASSAY_HANDLERS_SETTLE_H

#include "base/json_write.h"
#include "server/catalog.h"
#include "server/request.h"
#include "store/store.h"

/* Wakes the follower and waits until this server's index stands at the commit, so that no search that begins after the
 * reply sees what was before it. A commit without number (nothing was written) waits for the change log's head: an
 * earlier write with the same effect may still be on its way. ASSAY_UNAVAILABLE "not-indexed-yet" when the call's
 * deadline comes first: the write is stored, and asking again waits again. Blocks. */
enum assay_code settle(struct request *req, struct collection *c, const struct store_commit *commit,
                       struct err *err) MUST_USE;

/* By the store's number; NULL when this server does not know it (yet). */
struct collection *settle_collection(struct catalog *catalog, int32_t id);

/* Writes `"commit"`: the commit's id, null when nothing was written. */
void settle_write(struct jsonw *w, const struct store_commit *commit);

#endif
