/*
 * The background builder: one thread for the process that merges segments and builds their graphs. A collection has at
 * most one job at a time and takes its result over itself, on the writer's thread.
 */
#ifndef ASSAY_INDEX_BUILDER_H
#define ASSAY_INDEX_BUILDER_H

#include <stdatomic.h>

#include "index/segment.h"

struct build_job {
    size_t n;
    struct segment **in; /* n, referenced */
    uint64_t **keep;     /* for each: the rows that were live when the job was ordered */
    bool merge;          /* of sealed segments; otherwise the head is sealed */
    struct graph_params params;
    /* Where a result of write_bytes or more is written at once, so that it is served from its file and no checkpoint
     * has to wait for it; dir is the collection's, NULL: not at all. The number does not change: files.c knows it by
     * that. */
    const char *dir;
    size_t write_bytes;
    bool cold; /* as segment_file_read has it */
    struct segment_file file;
    atomic_bool cancel, done;
    /* the result, once done */
    enum assay_code code;
    struct segment *out; /* NULL: no row was live, or failed */
    struct seg_origin *origins;
    void (*work)(struct build_job *); /* what to do instead of merging; sets `code` */
    void *ctx;                        /* its */
    struct build_job *next;
};
void build_job_free(struct build_job *job);

struct builder;
struct builder *builder_new(void);    /* NULL when the thread cannot be started */
void builder_free(struct builder *b); /* NULL is ignored; the queue must be empty */
void builder_submit(struct builder *b, struct build_job *job);
void builder_wait(struct builder *b, struct build_job *job); /* until it is done */

#endif
