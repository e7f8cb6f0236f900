/* Any bytes as an office file: refused, or blocks that hold what tests/fuzz/extract_invariants.h says. */
#include "tests/fuzz/extract_invariants.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(4096);
    struct err err = {0};
    struct str text = {(const char *)data, size};
    struct extracted ex;
    enum assay_code code = extract_office(a, size % 2 ? MEDIA_DOCX : MEDIA_ODT, text, &ex, &err);
    check_extracted(a, code, &ex);
    err_clear(&err);
    arena_free(a);
    return 0;
}
