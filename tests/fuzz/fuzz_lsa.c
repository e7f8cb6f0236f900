/*
 * Reads what claims to be a learned embedder. Whatever is accepted is then used: texts are folded in by it, and what
 * comes out has length 1.
 */
#include <math.h>
#include <string.h>

#include "index/lsa.h"

enum { DIM = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str stems[] = {STR_LIT("a"), STR_LIT("bc"), STR_LIT("car")};
    struct buf copy = {0};
    float v[DIM] = {0};
    buf_put(&copy, data, size);
    struct lsa *l = lsa_parse(&copy, DIM);
    if (l == NULL) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(stems) / sizeof(stems[0]); i++) {
        lsa_query_term(l, stems[i], 1, v);
    }
    if (lsa_query_finish(l, v)) {
        double sum = 0;
        for (size_t i = 0; i < DIM; i++) {
            sum += (double)v[i] * (double)v[i];
        }
        if (!(fabs(sum - 1) < 1e-3)) {
            __builtin_trap();
        }
    }
    lsa_unref(l);
    return 0;
}
