/* Any bytes as Markdown: refused, or blocks that hold what tests/fuzz/extract_invariants.h says. */
#include "tests/fuzz/extract_invariants.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(4096);
    struct err err = {0};
    struct str text = {(const char *)data, size};
    struct extracted ex;
    enum assay_code code = extract_markdown(a, text, &ex, &err);
    check_extracted(a, code, &ex);
    err_clear(&err);
    arena_free(a);
    return 0;
}
