/*
 * Words of a text, for the lexical leg and the built-in embedder: runs of letters, marks and digits; case and
 * compatibility forms folded (NFKC_Casefold in spirit, utf8proc); identifiers such as max_connections or 15.3 kept
 * whole and split as well; scripts that write no blanks (Han, Kana, Hangul, Thai, ...) as pairs of characters.
 *
 * A context owns the stemmers (libstemmer's are not thread-safe) and one buffer: one thread at a time.
 */
#ifndef ASSAY_INDEX_WORDS_H
#define ASSAY_INDEX_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { WORDS_LEN_MAX = 64 /* bytes of a folded word; what is longer is cut */, WORDS_LANGS_MAX = 32 };

struct words;
struct words *words_new(void);
void words_free(struct words *w); /* NULL is ignored */

/* The stemmer of a language: ISO 639-1 code or BCP 47 tag ("de", "de-AT"). A language that is absent or "und" counts as
 * English; one without a stemmer gets WORDS_LANG_NONE (folding alone). Below WORDS_LANGS_MAX, and fixed for good: it is
 * part of the index's files. */
enum { WORDS_LANG_ENGLISH = 0, WORDS_LANG_NONE = 1 };
unsigned words_lang(struct str language);

struct word {
    struct str folded; /* valid during the call */
    size_t from, to;   /* the bytes of the text that it stands for */
    bool part;         /* a piece of an identifier that was given whole before it */
    bool pair;         /* characters of a script without blanks: never stemmed */
};
typedef void words_fn(void *ctx, const struct word *word);
/* Calls fn for each word in the order of the text. Invalid UTF-8 separates words. */
void words_each(struct words *w, struct str text, words_fn *fn, void *ctx);

/* The stem of a folded word, accents of the Latin, Greek and Cyrillic scripts removed. Valid until the next call. */
struct str words_stem(struct words *w, unsigned lang, const struct word *word);

/* Whether an (English) folded word carries no meaning of its own: dropped from queries that have others. */
bool words_stop(struct str folded);
/* The same in a language by its words_lang(); false for one without a list. */
bool words_stop_in(unsigned lang, struct str folded);

#endif
