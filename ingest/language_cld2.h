/*
 * CLD2 behind a C header. Private to check.c. Thread-safe: the library keeps no state.
 */
#ifndef ASSAY_INGEST_LANGUAGE_CLD2_H
#define ASSAY_INGEST_LANGUAGE_CLD2_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The code of the language of valid UTF-8 text ("en", "zh"), static; NULL when CLD2 does not call its guess reliable.
 */
const char *language_cld2(const char *text, size_t n);

#ifdef __cplusplus
}
#endif

#endif
