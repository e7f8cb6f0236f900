/*
 * A segment's file: a header, then the sections as they are in memory, each at a multiple of 64 bytes (large ones: of a
 * page), the graph's links last. It never changes once written, and is served as it lies there: mapped, not copied. Of
 * the machine's own byte order and layout: a file from another kind of machine is refused, and the index rebuilt.
 */
#ifndef ASSAY_INDEX_SEGMENT_FILE_H
#define ASSAY_INDEX_SEGMENT_FILE_H

#include "index/segment.h"

enum { SEGMENT_FILE_NAME = 40 };
void segment_file_name(uint64_t number, char out[SEGMENT_FILE_NAME]);

/* Writes the segment as file->number and fills in the rest of `file`. */
enum assay_code segment_file_write(const struct segment *s, const char *dir, struct segment_file *file,
                                   struct err *err) MUST_USE;

/* Maps it, its checksum checked first. `cold`: where there is a graph, the vectors are not to be kept in memory;
 * NULL when missing, damaged or not what the manifest says (then *why says what, a
 * static string). Damage that happens to the disk later is found at the next start. */
struct segment *segment_file_read(const char *dir, const struct segment_file *file, size_t dim, bool cold,
                                  const char **why);
/* The same for a file that this process has just written: what it holds is in the page cache, its checksum known. */
struct segment *segment_file_reopen(const char *dir, const struct segment_file *file, size_t dim, bool cold,
                                    const char **why);

/* The same from memory, without a checksum: for the fuzzer. `bytes` is taken over. */
struct segment *segment_file_parse(struct buf *bytes, size_t dim, const char **why);

#endif
