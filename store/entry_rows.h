/* Internal to store/: quarantine entries as rows. */
#ifndef ASSAY_STORE_ENTRY_ROWS_H
#define ASSAY_STORE_ENTRY_ROWS_H

#include "store/quarantine.h"
#include "store/tx.h"

/* By id (uuid text), in any collection. ASSAY_NOT_FOUND "unknown-entry". */
enum assay_code entry_read(struct tx *tx, struct str id, int32_t *collection, struct quarantine_row *out,
                           struct err *err) MUST_USE;

#endif
