/*
 * Text of a PDF by poppler's pdftotext, as a process of its own: poppler is GPL, and PDFs are hostile.
 */
#ifndef ASSAY_OUTBOUND_PDF_H
#define ASSAY_OUTBOUND_PDF_H

#include "base/call.h"
#include "base/err.h"
#include "base/str.h"

enum {
    PDF_TEXT_MAX = 32 << 20, /* bytes of text; as the canonical text of a document */
    PDF_SECONDS_MAX = 60,    /* wall clock; half of it is the limit on CPU time */
    PDF_MEMORY_MAX = 1 << 30 /* bytes of address space of the process */
};

/* Appends the text to `out`: UTF-8, pages ended by \f, in reading order. The program is looked up in PATH, gets the PDF
 * on its standard input, an empty environment, a session and limits of its own, and none of our file descriptors; it is
 * killed when the call's deadline or a limit has passed. What `out` holds after an error means nothing.
 * ASSAY_UNPROCESSABLE ("unreadable-document") for a damaged or encrypted PDF and one that needs more than the limits,
 * ASSAY_TOO_LARGE ("document-too-large"), ASSAY_UNAVAILABLE when the program cannot be run or the deadline has passed.
 * Thread-safe; blocks, so it is not for the threads that serve HTTP. */
enum assay_code pdf_to_text(const struct call *call, struct str pdf, struct buf *out, struct err *err) MUST_USE;

#endif
