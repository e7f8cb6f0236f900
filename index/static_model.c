#include "index/static_model.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_read.h"
#include "base/log.h"
#include "index/diskfile.h"
#include "index/kernel.h"
#include "index/static_tensors.h"
#include "index/static_tokenizer.h"

enum { CONFIG_MAX = 1 << 20 };
#define MATRIX_MAX (UINT64_C(1) << 36) /* bytes of model.safetensors */

struct static_model {
    struct str file; /* model.safetensors, mapped; ptr NULL: not yet */
    struct static_tensor embeddings;
    struct static_tokenizer *tokenizer;
    size_t rows, dim, length; /* `length`: tokens that count */
    uint32_t *row_of;         /* by token; NULL: its own id */
    float *weights;           /* by token; NULL: 1 */
    struct digest digest;
};

static enum assay_code refuse(struct err *err, const char *why)
{
    return err_set(err, ASSAY_INVALID, "model-unusable", "%s", why);
}

/* ---- reading ---- */

/* Opens a file of the folder; *len is its size. */
static enum assay_code open_file(const char *folder, const char *name, uint64_t max, int *fd, uint64_t *len,
                                 struct err *err)
{
    *fd = diskfile_open(folder, name, len);
    if (*fd < 0) {
        log_warn("model file cannot be opened", "folder=%s file=%s error=\"%s\"", folder, name, strerror(errno));
        return err_set(err, ASSAY_INVALID, "model-unusable", "the model has no %s that can be read", name);
    }
    if (*len > max) {
        close(*fd);
        return err_set(err, ASSAY_INVALID, "model-unusable", "%s is larger than %llu bytes", name,
                       (unsigned long long)max);
    }
    return ASSAY_OK;
}

static enum assay_code read_file(const char *folder, const char *name, uint64_t max, struct buf *out, struct err *err)
{
    int fd = -1;
    uint64_t len = 0;
    TRY(open_file(folder, name, max, &fd, &len, err));
    bool whole = diskfile_read(fd, 0, len, out);
    close(fd);
    return whole ? ASSAY_OK : err_set(err, ASSAY_INVALID, "model-unusable", "%s cannot be read", name);
}

static enum assay_code map_file(struct static_model *m, const char *folder, struct err *err)
{
    int fd = -1;
    uint64_t len = 0;
    TRY(open_file(folder, "model.safetensors", MATRIX_MAX, &fd, &len, err));
    void *at = len > 0 ? mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    close(fd);
    if (at == MAP_FAILED) {
        return refuse(err, "model.safetensors is empty or cannot be mapped");
    }
    m->file = (struct str){at, len};
    return ASSAY_OK;
}

static enum assay_code read_config(struct static_model *m, struct arena *a, struct str text, struct err *err)
{
    json_t *json = NULL;
    struct err why = {0};
    if (json_parse(a, text, &json, &why) != ASSAY_OK || !json_is_object(json)) {
        err_clear(&why);
        return refuse(err, "config.json is not a JSON object");
    }
    /* `normalize` is of no account: the index normalises every vector. */
    const json_t *length = json_object_get(json, "max_length");
    m->length = STATIC_LENGTH_PRESET;
    if (json_is_null(length)) {
        m->length = STATIC_LENGTH_MAX;
    } else if (length != NULL) {
        if (!json_is_integer(length) || json_integer_value(length) < 1) {
            return refuse(err, "config.json: max_length is no whole number above 0");
        }
        m->length =
            json_integer_value(length) < STATIC_LENGTH_MAX ? (size_t)json_integer_value(length) : STATIC_LENGTH_MAX;
    }
    return ASSAY_OK;
}

/* ---- tensors ---- */

static enum assay_code take_matrix(struct static_model *m, const struct static_tensor *t, struct err *err)
{
    if (t->data == NULL || t->dims != 2) {
        return refuse(err, "model.safetensors: there is no tensor \"embeddings\" of two dimensions");
    }
    if (t->type != STATIC_F32 && t->type != STATIC_F16 && t->type != STATIC_I8) {
        return refuse(err, "model.safetensors: \"embeddings\" is neither F32 nor F16 nor I8");
    }
    if (t->shape[0] < 1 || t->shape[0] > STATIC_VOCABULARY_MAX || t->shape[1] < 1 || t->shape[1] > STATIC_DIM_MAX) {
        return refuse(err, "model.safetensors: \"embeddings\" has no rows, too many, or a dimension beyond 4096");
    }
    m->embeddings = *t;
    m->rows = (size_t)t->shape[0];
    m->dim = (size_t)t->shape[1];
    for (size_t i = 0; i < m->rows * m->dim; i++) {
        if (!isfinite(static_tensor_float(t, i))) {
            return refuse(err, "model.safetensors: \"embeddings\" holds a number that is not finite");
        }
    }
    return ASSAY_OK;
}

static enum assay_code take_weights(struct static_model *m, const struct static_tensor *t, size_t tokens,
                                    struct err *err)
{
    if (t->data == NULL) {
        return ASSAY_OK;
    }
    if (t->dims != 1 || t->shape[0] < tokens ||
        (t->type != STATIC_F64 && t->type != STATIC_F32 && t->type != STATIC_F16)) {
        return refuse(err, "model.safetensors: \"weights\" is not one floating-point number for each token");
    }
    m->weights = mem_calloc(tokens, sizeof(*m->weights));
    for (size_t i = 0; i < tokens; i++) {
        m->weights[i] = static_tensor_float(t, i);
        if (!isfinite(m->weights[i])) {
            return refuse(err, "model.safetensors: \"weights\" holds a number that is not finite");
        }
    }
    return ASSAY_OK;
}

static enum assay_code take_mapping(struct static_model *m, const struct static_tensor *t, size_t tokens,
                                    struct err *err)
{
    if (t->data == NULL) {
        return tokens <= m->rows ? ASSAY_OK : refuse(err, "the tokenizer has more tokens than the matrix has rows");
    }
    if (t->dims != 1 || t->shape[0] < tokens || (t->type != STATIC_I64 && t->type != STATIC_I32)) {
        return refuse(err, "model.safetensors: \"mapping\" is not one whole number for each token");
    }
    m->row_of = mem_calloc(tokens, sizeof(*m->row_of));
    for (size_t i = 0; i < tokens; i++) {
        int64_t row = static_tensor_int(t, i);
        if (row < 0 || (uint64_t)row >= m->rows) {
            return refuse(err, "model.safetensors: \"mapping\" names a row that is not there");
        }
        m->row_of[i] = (uint32_t)row;
    }
    return ASSAY_OK;
}

static enum assay_code read_model(struct static_model *m, struct arena *a, const char *folder, struct buf *tokenizer,
                                  struct buf *config, struct err *err)
{
    struct static_tensors t;
    TRY(read_file(folder, "config.json", CONFIG_MAX, config, err));
    TRY(read_file(folder, "tokenizer.json", STATIC_JSON_MAX, tokenizer, err));
    TRY(map_file(m, folder, err));
    TRY(read_config(m, a, buf_str(config), err));
    TRY(static_tensors_read(a, m->file, &t, err));
    TRY(static_tokenizer_read(buf_str(tokenizer), &m->tokenizer, err));
    size_t tokens = static_tokenizer_size(m->tokenizer);
    TRY(take_matrix(m, &t.embeddings, err));
    TRY(take_weights(m, &t.weights, tokens, err));
    TRY(take_mapping(m, &t.mapping, tokens, err));
    struct digest_ctx *ctx = digest_begin();
    digest_update_field(ctx, m->file);
    digest_update_field(ctx, buf_str(tokenizer));
    digest_update_field(ctx, buf_str(config));
    digest_end(ctx, &m->digest);
    return ASSAY_OK;
}

enum assay_code static_model_open(const char *folder, struct static_model **out, struct err *err)
{
    struct stat st;
    if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return err_set(err, ASSAY_NOT_FOUND, "unknown-model", "there is no such folder below models_dir");
    }
    struct static_model *m = mem_calloc(1, sizeof(*m));
    struct buf tokenizer = {0}, config = {0};
    struct arena *a = arena_new(4096);
    enum assay_code code = read_model(m, a, folder, &tokenizer, &config, err);
    arena_free(a);
    buf_free(&tokenizer);
    buf_free(&config);
    if (code == ASSAY_OK) {
        *out = m;
    } else {
        static_model_close(m);
    }
    return code;
}

void static_model_close(struct static_model *m)
{
    if (m == NULL) {
        return;
    }
    if (m->file.ptr != NULL && munmap((void *)(uintptr_t)m->file.ptr, m->file.len) != 0) {
        log_warn("model cannot be unmapped", "error=\"%s\"", strerror(errno));
    }
    static_tokenizer_free(m->tokenizer);
    free(m->row_of);
    free(m->weights);
    free(m);
}

size_t static_model_dim(const struct static_model *m)
{
    return m->dim;
}

const struct digest *static_model_digest(const struct static_model *m)
{
    return &m->digest;
}

/* ---- embedding ---- */

/* Adds a row to `sum`. Rows of the file are not aligned: they are copied element by element, which costs nothing. */
static void add_row(const struct static_model *m, size_t row, float weight, float *sum)
{
    const uint8_t *at = m->embeddings.data;
    size_t dim = m->dim;
    if (m->embeddings.type == STATIC_F32) {
        at += row * dim * sizeof(float);
        for (size_t i = 0; i < dim; i++) {
            float x;
            memcpy(&x, at + i * sizeof(x), sizeof(x));
            sum[i] += weight * x;
        }
    } else if (m->embeddings.type == STATIC_F16) {
        at += row * dim * sizeof(uint16_t);
        for (size_t i = 0; i < dim; i++) {
            uint16_t x;
            memcpy(&x, at + i * sizeof(x), sizeof(x));
            sum[i] += weight * static_half(x);
        }
    } else {
        for (size_t i = 0; i < dim; i++) {
            sum[i] += weight * (float)(int8_t)at[row * dim + i];
        }
    }
}

/* As Model2Vec does before it looks at a text: no more characters than the tokens that count would have. */
static struct str cut(const struct static_model *m, struct str text)
{
    size_t most = m->length * static_tokenizer_median(m->tokenizer), n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (((unsigned char)text.ptr[i] & 0xc0) != 0x80 && n++ == most) {
            return (struct str){text.ptr, i};
        }
    }
    return text;
}

bool static_model_embed(const struct static_model *m, struct str text, float *out)
{
    uint32_t ids[STATIC_LENGTH_MAX];
    uint32_t unknown = static_tokenizer_unknown(m->tokenizer);
    size_t n = static_tokenizer_encode(m->tokenizer, cut(m, text), m->length, ids), known = 0;
    memset(out, 0, m->dim * sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        if (ids[i] != unknown) {
            add_row(m, m->row_of != NULL ? m->row_of[ids[i]] : ids[i], m->weights != NULL ? m->weights[ids[i]] : 1,
                    out);
            known++;
        }
    }
    /* The mean has the sum's direction, and only that is kept. */
    return known > 0 && kernel_normalise(out, m->dim, out, NULL) == ASSAY_OK;
}

void static_model_embed_chunk(const struct static_model *m, struct str title, struct str heading, struct str text,
                              float *out)
{
    struct buf whole = {0};
    buf_put(&whole, title.ptr, title.len);
    buf_puts(&whole, title.len > 0 ? "\n" : "");
    buf_put(&whole, heading.ptr, heading.len);
    buf_puts(&whole, heading.len > 0 ? "\n\n" : title.len > 0 ? "\n" : "");
    buf_put(&whole, text.ptr, text.len);
    if (!static_model_embed(m, buf_str(&whole), out)) {
        memset(out, 0, m->dim * sizeof(*out));
        out[0] = 1;
    }
    buf_free(&whole);
}
