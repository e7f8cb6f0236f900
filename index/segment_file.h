/*
 * A segment's file: a header, then the sections as they are in memory, each at a multiple of 64 bytes, the graph last.
 * Of the machine's own byte order and layout: a file from another kind of machine is refused, and the index rebuilt.
 */
#ifndef ASSAY_INDEX_SEGMENT_FILE_H
#define ASSAY_INDEX_SEGMENT_FILE_H

#include "index/diskfile.h"
#include "index/segment.h"

enum { SEGMENT_FILE_NAME = 40 };
void segment_file_name(uint64_t number, char out[SEGMENT_FILE_NAME]);

/* Writes the segment as file `number` and notes there what was written. */
enum assay_code segment_file_write(struct segment *s, const char *dir, uint64_t number, struct err *err) MUST_USE;

/* What the manifest knows of a file. */
struct segment_file {
    uint64_t number, len;
    struct filesum sum;
};
/* Loads it; NULL when missing, damaged or not what the manifest says (then *why says what, a static string). */
struct segment *segment_file_read(const char *dir, const struct segment_file *file, size_t dim, const char **why);

/* The same from memory, without a checksum and without a graph: for the fuzzer. `bytes` is taken over. */
struct segment *segment_file_parse(struct buf *bytes, size_t dim, const char **why);

#endif
