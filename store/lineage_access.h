/* Who may see which nodes of the lineage graph: the same rule as for documents, whichever way one comes to them. */
#ifndef ASSAY_STORE_LINEAGE_ACCESS_H
#define ASSAY_STORE_LINEAGE_ACCESS_H

#include "store/lineage.h"

struct lineage_reader {
    struct str_list groups; /* that it sees documents by */
    struct str key_id;      /* whose receipts are its own */
};
/* visible[i] says whether nodes[i] may be shown (in the call's arena). Documents, versions and chunks are shown when
 * the document's ACL allows one of the groups; a version that several documents share only when all of them are;
 * receipts only to the key that got them. Sources, pipelines, runs and foreign nodes are open to all. One statement. */
enum assay_code store_lineage_visible(struct store *s, const struct call *call, const struct lineage_reader *reader,
                                      const struct lineage_node *nodes, size_t n, bool **visible,
                                      struct err *err) MUST_USE;

#endif
