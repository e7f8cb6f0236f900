/*
 * The manifest of a collection, apart from where its bytes come from. Private to index/ and its tests.
 */
#ifndef ASSAY_INDEX_FILES_H
#define ASSAY_INDEX_FILES_H

#include "index/collection.h"
#include "index/segment_file.h"

typedef struct segment *files_open_fn(void *ctx, const struct segment_file *file, size_t dim, const char **why);

/* Fills an empty collection from a manifest's bytes (without their checksum), opening each segment by the function.
 * NULL, or what is wrong with them: then the collection is half filled and has to be emptied. */
const char *files_parse(struct vindex_collection *c, struct str bytes, files_open_fn *open_segment, void *ctx);

#endif
