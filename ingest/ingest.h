/*
 * From bytes to checked chunks: extract -> normalise -> chunk -> check. Pure: no I/O, no clock, no globals.
 *
 * The caller turns PDF into text first (outbound/pdf.h), since that needs a process of its own. Everything a call
 * returns lives in the caller's arena. Thread-safe.
 */
#ifndef ASSAY_INGEST_INGEST_H
#define ASSAY_INGEST_INGEST_H

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"
#include "ingest/canonical.h"
#include "ingest/check.h"
#include "ingest/media.h"
#include "ingest/pipeline.h"

enum {
    INGEST_BYTES_MAX = 64 << 20,          /* one document as received */
    INGEST_CANONICAL_MAX = CANONICAL_MAX, /* its canonical text */
    INGEST_CHUNKS_MAX = 100000            /* chunks of one document */
};

/* What a version is made of. Every str is valid UTF-8 except `bytes`. */
struct ingest_input {
    struct str key;   /* the document's id within its collection */
    struct str uri;   /* may be absent */
    struct str title; /* may be absent: then the extracted title, or the key */
    struct str bytes; /* the document as received (for PDF: what pdftotext printed, pages parted by \f) */
    enum media_type media;
    struct str media_name;    /* as recorded, e.g. "text/html" */
    struct str metadata_json; /* canonical JSON object, "{}" when empty */
    struct str group;         /* may be absent */
    struct str language;      /* declared by the client (BCP 47), may be absent: then detected */
    bool single_chunk;        /* the whole text is one chunk (client vectors: one vector a document) */
};

struct ingest_chunk {
    struct digest
        id; /* SHA-256 over version, from, to, pipeline id (digest_update_field of each, numbers as decimal text) */
    size_t from, to;         /* byte offsets into canonical; always on code point boundaries, from < to */
    struct str text;         /* canonical[from:to], a view */
    struct str heading;      /* path of headings above, joined by " > ", may be "" */
    struct digest text_hash; /* SHA-256 of text: equal text is embedded once, and recognised as duplicate */
    size_t tokens;           /* estimated, see ingest_token_count */
    int page;                /* 1-based for paged formats, 0 otherwise */
    struct check_result *checks;
    size_t n_checks;
};

struct ingest_draft {
    struct digest
        version; /* SHA-256 over key, uri, title, media, language, metadata, group, canonical (digest_update_field) */
    struct digest bytes_hash; /* SHA-256 of `bytes` as received */
    struct str title;
    struct str canonical; /* NFC, \n line ends, blocks parted by a blank line */
    struct str language;  /* ISO 639-1, or "und" */
    struct ingest_chunk *chunks;
    size_t n_chunks;
};

/* Runs the pure part of a pipeline over one document. A document without any text gives n_chunks == 0 and no error:
 * the caller decides (a document-level check says so). ASSAY_UNPROCESSABLE with slug "unreadable-document" when the
 * bytes are not what the media type says, ASSAY_TOO_LARGE past the limits above. */
enum assay_code ingest_document(struct arena *a, const struct pipeline *p, const struct ingest_input *in,
                                struct ingest_draft *out, struct err *err) MUST_USE;

/* Estimate of model tokens in a text: words and punctuation runs by Unicode class, long runs counted once per 6 code
 * points, blanks once per 16, ideographs and Hangul syllables one each. Deterministic; used for chunk sizes and the
 * cost view. Cutting a text in two never lowers the sum, but within a run of blanks. A token has at most 64 bytes.
 * Input must be valid UTF-8. */
size_t ingest_token_count(struct str text);

#endif
