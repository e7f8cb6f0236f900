/* Lines and documents of a bulk: any bytes, in pieces of any size, must give lines or problems, never a crash. */
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "server/intake_priv.h"
#include "server/ndjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t left, step;
};

static enum assay_code read_piece(void *ctx, char *to, size_t max, size_t *n, struct err *err)
{
    struct input *in = ctx;
    (void)err;
    *n = in->left < in->step ? in->left : in->step;
    *n = *n < max ? *n : max;
    if (*n > 0)
        memcpy(to, in->data, *n);
    in->data += *n;
    in->left -= *n;
    return ASSAY_OK;
}

static void take(const struct call *call, struct collection *c, struct str line)
{
    struct err err = {0};
    struct intake_document d = {0};
    struct received r;
    if (intake_document_parse(call->arena, line, &d, &err) == ASSAY_OK)
        (void)!intake_receive(call, c, &d, &r, &err);
    err_clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct input in = {data + 1, size - 1, (size_t)data[0] % 64 + 1};
    struct bulk_source from = {read_piece, &in};
    struct call call = {arena_new(4096), CLOCK_NEVER, "fuzz", "system:fuzz"};
    struct collection c = {.spec = {.kind = data[0] & 1 ? EMBEDDER_CLIENT : EMBEDDER_BUILTIN, .dim = 2}};
    struct ndjson r;
    struct err err = {0};
    enum ndjson_event event = NDJSON_LINE;
    ndjson_init(&r, &from, 4096, 0);
    while (event != NDJSON_END) {
        struct str line;
        if (ndjson_next(&r, &event, &line, &err) != ASSAY_OK)
            break;
        if (event == NDJSON_LINE)
            take(&call, &c, line);
        arena_reset(call.arena);
    }
    ndjson_free(&r);
    err_clear(&err);
    arena_free(call.arena);
    return 0;
}
