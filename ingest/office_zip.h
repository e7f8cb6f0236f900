/*
 * Members of a zip container in memory, for office files. Private to ingest/.
 */
#ifndef ASSAY_INGEST_OFFICE_ZIP_H
#define ASSAY_INGEST_OFFICE_ZIP_H

#include "base/err.h"
#include "base/str.h"

enum {
    OFFICE_INFLATED_MAX = 64 << 20, /* all wanted members together, inflated */
    OFFICE_ENTRIES_MAX = 10000      /* entries looked at */
};

struct office_member {
    const char *name; /* wanted */
    struct buf bytes; /* caller frees, whatever is returned */
    bool found;
};

/* Reads the wanted members; what is not there stays empty. ASSAY_UNPROCESSABLE ("unreadable-document") when it is no
 * readable zip file or encrypted, ASSAY_TOO_LARGE past the limits above: nothing is inflated beyond them. */
enum assay_code office_zip_read(struct str zip, struct office_member *members, size_t n, struct err *err) MUST_USE;

#endif
