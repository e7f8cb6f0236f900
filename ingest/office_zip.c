#include "ingest/office_zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

static enum assay_code unreadable(struct err *err)
{
    return err_set(err, ASSAY_UNPROCESSABLE, "unreadable-document", "The office document is damaged or encrypted.");
}

/* Inflates the current entry into `out`. */
static enum assay_code read_entry(struct archive *zip, struct buf *out, size_t *budget, struct err *err)
{
    enum { STEP = 64 << 10 };
    for (;;) {
        buf_reserve(out, STEP);
        la_ssize_t n = archive_read_data(zip, out->data + out->len, STEP);
        if (n < 0)
            return unreadable(err);
        if (n == 0)
            return ASSAY_OK;
        if ((size_t)n > *budget)
            return err_set(err, ASSAY_TOO_LARGE, "document-too-large",
                           "The office document inflates to more than %d bytes.", OFFICE_INFLATED_MAX);
        *budget -= (size_t)n;
        out->len += (size_t)n;
    }
}

static struct office_member *wanted(struct office_member *members, size_t n, const char *name)
{
    for (size_t i = 0; name && i < n; i++)
        if (!members[i].found && strcmp(members[i].name, name) == 0)
            return &members[i];
    return NULL;
}

enum assay_code office_zip_read(struct str zip, struct office_member *members, size_t n, struct err *err)
{
    enum assay_code code = ASSAY_OK;
    size_t budget = OFFICE_INFLATED_MAX, entries = 0;
    struct archive *a = archive_read_new();
    if (!a)
        return err_set(err, ASSAY_INTERNAL, NULL, "No archive reader could be had.");
    if (archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        archive_read_open_memory(a, zip.ptr, zip.len) != ARCHIVE_OK) {
        code = unreadable(err);
        goto cleanup;
    }
    struct archive_entry *entry;
    int status;
    while ((status = archive_read_next_header(a, &entry)) == ARCHIVE_OK || status == ARCHIVE_WARN) {
        if (++entries > OFFICE_ENTRIES_MAX) {
            code = err_set(err, ASSAY_TOO_LARGE, "document-too-large", "The office document has more than %d members.",
                           OFFICE_ENTRIES_MAX);
            goto cleanup;
        }
        struct office_member *m = wanted(members, n, archive_entry_pathname(entry));
        if (!m)
            continue; /* the seekable reader goes on by the directory: what is not wanted is not inflated */
        if (archive_entry_is_encrypted(entry)) {
            code = unreadable(err);
            goto cleanup;
        }
        m->found = true;
        code = read_entry(a, &m->bytes, &budget, err);
        if (code != ASSAY_OK)
            goto cleanup;
    }
    if (status != ARCHIVE_EOF)
        code = unreadable(err);
cleanup:
    archive_read_free(a);
    return code;
}
