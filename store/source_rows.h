/* Internal to store/: sources within a transaction. */
#ifndef ASSAY_STORE_SOURCE_ROWS_H
#define ASSAY_STORE_SOURCE_ROWS_H

#include "store/sources.h"
#include "store/writer.h"

/* ASSAY_NOT_FOUND "unknown-source". The counts are left 0. */
enum assay_code source_read(struct tx *tx, int32_t collection, struct str name, struct source_row *out,
                            struct err *err) MUST_USE;
/* Notes the source as it now is in the change log. */
void source_note(struct writer *w, const struct source_row *s);

#endif
