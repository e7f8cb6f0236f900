/*
 * Chunking by structure and size: a chunk does not cross a heading of level <= split_level, closes at paragraph ends,
 * splits paragraphs that are too long at sentence ends (and sentences at words), and starts `overlap` tokens before the
 * end of the one before when the section goes on. Tiny sections are joined with the next of the same parent up to the
 * target, so that a manual page of one-line sections does not become one-line chunks. Pure.
 */
#ifndef ASSAY_INGEST_CHUNKER_H
#define ASSAY_INGEST_CHUNKER_H

#include "ingest/canonical.h"
#include "ingest/pipeline.h"

struct chunk_span {
    size_t from, to;
    struct str heading; /* path " > " */
    int page;
    size_t tokens;
};
enum assay_code chunk_spans(struct arena *a, const struct chunk_params *p, const struct canonical *doc,
                            struct chunk_span **out, size_t *n_out, struct err *err) MUST_USE;

#endif
