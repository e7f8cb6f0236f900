#include "ingest/language_cld2.h"

#include <climits>
#include <cstdio> // the library's header uses FILE without saying so

#include <cld2/public/compact_lang_det.h>

extern "C" const char *language_cld2(const char *text, size_t n)
{
    if (n > static_cast<size_t>(INT_MAX))
        n = static_cast<size_t>(INT_MAX);
    bool reliable = false;
    CLD2::Language language = CLD2::DetectLanguage(text, static_cast<int>(n), true, &reliable);
    return reliable && language != CLD2::UNKNOWN_LANGUAGE ? CLD2::LanguageCode(language) : nullptr;
}
