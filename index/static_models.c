#include "index/static_models.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"

enum { FILES = 3 };
static const char *const file_names[FILES] = {"model.safetensors", "tokenizer.json", "config.json"};

/* What tells that a file is another one than it was. */
struct mark {
    uint64_t device, inode;
    int64_t size, seconds, nanoseconds;
};

struct opened {
    char *name;
    struct mark marks[FILES];
    struct static_model *model;
};

struct static_models {
    char *dir;
    pthread_mutex_t lock;
    struct opened items[STATIC_MODELS_MAX];
    size_t n;
};

struct static_models *static_models_new(const char *dir)
{
    struct static_models *s = mem_calloc(1, sizeof(*s));
    s->dir = mem_strdup(dir != NULL ? dir : "");
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void static_models_free(struct static_models *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        static_model_close(s->items[i].model);
        free(s->items[i].name);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->dir);
    free(s);
}

bool static_models_name_valid(struct str name)
{
    return str_is_name(name, STATIC_NAME_MAX) && name.ptr[0] != '.';
}

/* A file that is not there has a mark of zeros: opening the model then says so. */
static void look(const char *folder, struct mark marks[FILES])
{
    memset(marks, 0, FILES * sizeof(*marks));
    for (size_t i = 0; i < FILES; i++) {
        char path[PATH_MAX];
        struct stat st;
        int n = snprintf(path, sizeof(path), "%s/%s", folder, file_names[i]);
        if (n > 0 && (size_t)n < sizeof(path) && stat(path, &st) == 0) {
            marks[i] = (struct mark){(uint64_t)st.st_dev, (uint64_t)st.st_ino, (int64_t)st.st_size,
                                     (int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec};
        }
    }
}

static bool same(const struct mark a[FILES], const struct mark b[FILES])
{
    for (size_t i = 0; i < FILES; i++) {
        if (a[i].device != b[i].device || a[i].inode != b[i].inode || a[i].size != b[i].size ||
            a[i].seconds != b[i].seconds || a[i].nanoseconds != b[i].nanoseconds) {
            return false;
        }
    }
    return true;
}

static enum assay_code get_locked(struct static_models *s, struct str name, const char *folder,
                                  const struct static_model **out, struct err *err)
{
    struct mark marks[FILES];
    char digest[DIGEST_HEX + 1];
    look(folder, marks);
    for (size_t i = 0; i < s->n; i++) {
        if (str_eqc(name, s->items[i].name) && same(marks, s->items[i].marks)) {
            *out = s->items[i].model;
            return ASSAY_OK;
        }
    }
    if (s->n == STATIC_MODELS_MAX) {
        return err_set(err, ASSAY_TOO_MANY, "too-many-models", "%d models are open already", STATIC_MODELS_MAX);
    }
    struct opened *o = &s->items[s->n];
    TRY(static_model_open(folder, &o->model, err));
    o->name = mem_strndup(name.ptr, name.len);
    memcpy(o->marks, marks, sizeof(marks));
    s->n++;
    *out = o->model;
    digest_hex(static_model_digest(o->model), digest);
    log_info("static model opened", "name=%s dim=%zu digest=%s", o->name, static_model_dim(o->model), digest);
    return ASSAY_OK;
}

enum assay_code static_models_get(struct static_models *s, struct str name, const struct static_model **out,
                                  struct err *err)
{
    char folder[PATH_MAX];
    if (s->dir[0] == '\0') {
        return err_set(err, ASSAY_NOT_FOUND, "unknown-model", "this server has no models: models_dir is not set");
    }
    int n = snprintf(folder, sizeof(folder), "%s/%.*s", s->dir, STR_FMT(name));
    if (!static_models_name_valid(name) || n < 0 || (size_t)n >= sizeof(folder)) {
        return err_set(err, ASSAY_NOT_FOUND, "unknown-model", "there is no such folder below models_dir");
    }
    pthread_mutex_lock(&s->lock);
    enum assay_code code = get_locked(s, name, folder, out, err);
    pthread_mutex_unlock(&s->lock);
    return code;
}
