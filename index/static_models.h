/*
 * The static models that the process has open, by the name of their folder below one directory. A model stays open, and
 * pointers to it valid, until the whole is freed. Thread-safe.
 */
#ifndef ASSAY_INDEX_STATIC_MODELS_H
#define ASSAY_INDEX_STATIC_MODELS_H

#include "index/static_model.h"

enum { STATIC_MODELS_MAX = 256, STATIC_NAME_MAX = 128 };

struct static_models;
/* `dir` is copied; "" or NULL: there are none. */
struct static_models *static_models_new(const char *dir);
void static_models_free(struct static_models *s); /* NULL is ignored */

/* A name is a plain file name (letters, digits, '.', '_', '-') that does not begin with a dot. */
bool static_models_name_valid(struct str name);
/* Opens the model unless it is open already and its files are as they were then. Reads files: not on a thread that must
 * not wait. As static_model_open; ASSAY_NOT_FOUND ("unknown-model") too when no directory is set, and ASSAY_TOO_MANY
 * beyond STATIC_MODELS_MAX. */
enum assay_code static_models_get(struct static_models *s, struct str name, const struct static_model **out,
                                  struct err *err) MUST_USE;

#endif
