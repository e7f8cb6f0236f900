/*
 * Static embeddings from disk, in the Model2Vec layout: a folder with model.safetensors ("embeddings" [V x D] in F32 or
 * F16, I8 as well; optionally "weights" and "mapping" by token), tokenizer.json and config.json. A text's vector is the
 * mean of its tokens' rows; unknown tokens are left out. No network, no inference: a look-up and a sum.
 *
 * The matrix is mapped read-only, so that servers on one machine share it: put another model in place by renaming a
 * folder, never by writing into its files. A model is immutable and thread-safe once open.
 */
#ifndef ASSAY_INDEX_STATIC_MODEL_H
#define ASSAY_INDEX_STATIC_MODEL_H

#include <stdbool.h>

#include "base/digest.h"
#include "base/str.h"

enum {
    STATIC_DIM_MAX = 4096,
    STATIC_LENGTH_PRESET = 512, /* tokens of a text that count, when config.json says nothing; Model2Vec's number */
    STATIC_LENGTH_MAX = 8192    /* and at most, whatever it says */
};

struct static_model;
/* Reads and checks all three files. ASSAY_NOT_FOUND when there is no such folder, ASSAY_INVALID ("model-unusable") with
 * what is wrong in it. Paths go to the log only. */
enum assay_code static_model_open(const char *folder, struct static_model **out, struct err *err) MUST_USE;
void static_model_close(struct static_model *m); /* NULL is ignored */

size_t static_model_dim(const struct static_model *m);
/* Of the three files' bytes: another digest means other vectors. */
const struct digest *static_model_digest(const struct static_model *m);

/* The unit vector of a text; false when none of its tokens is known (or their mean is zero), and out is undefined. */
bool static_model_embed(const struct static_model *m, struct str text, float *out) MUST_USE;
/* The unit vector of a chunk, from title, heading path and text as every embedder is given them (docs/embedders.md). A
 * chunk without a known token gets a fixed direction, so that every chunk has a vector. */
void static_model_embed_chunk(const struct static_model *m, struct str title, struct str heading, struct str text,
                              float *out);

#endif
