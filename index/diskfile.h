/*
 * Files that are there whole or not at all: written under a temporary name with a running checksum (XXH3, 128 bits),
 * fsynced, renamed. Private to index/.
 */
#ifndef ASSAY_INDEX_DISKFILE_H
#define ASSAY_INDEX_DISKFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct filesum {
    uint64_t h[2];
};
struct filesum filesum_of(struct str bytes);

struct diskfile; /* one being written */
/* ASSAY_UNAVAILABLE when the disk will not have it (the reason goes to the log). */
enum assay_code diskfile_create(const char *dir, const char *name, struct diskfile **out, struct err *err) MUST_USE;
void diskfile_put(struct diskfile *f, const void *p, size_t n); /* a failure is remembered for diskfile_commit */
uint64_t diskfile_len(const struct diskfile *f);
/* fsyncs and renames; frees f either way. On failure nothing of it remains. */
enum assay_code diskfile_commit(struct diskfile *f, struct filesum *sum, struct err *err) MUST_USE;
enum assay_code diskfile_sync_dir(const char *dir, struct err *err) MUST_USE;

/* Reads the bytes from..to of a file into `out` (emptied first). False, with errno, when it cannot be read so far. */
bool diskfile_read(int fd, uint64_t from, uint64_t to, struct buf *out) MUST_USE;
/* The checksum of the first `len` bytes, read piece by piece. False, with errno, when it cannot be read so far. */
bool diskfile_sum(int fd, uint64_t len, struct filesum *sum) MUST_USE;

/* A file's bytes as memory that is read only. The file must not be changed or cut short while it is mapped (reading
 * past its end is SIGBUS); it may be unlinked. */
struct mapping {
    const char *at; /* NULL: nothing is mapped */
    size_t len;
};
bool diskfile_map(int fd, uint64_t len, struct mapping *out) MUST_USE;
void diskfile_unmap(struct mapping *m);
/* What was read of it so far need not stay in the process's memory. */
void diskfile_forget(const struct mapping *m);

/* Opens a regular file below dir; -1 with errno. *len is its size. */
int diskfile_open(const char *dir, const char *name, uint64_t *len) MUST_USE;

#endif
