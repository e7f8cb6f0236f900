/*
 * What a Hugging Face tokenizer does to a text before its model sees it: normalisers, then pre-tokenisers. Read from
 * the members `normalizer` and `pre_tokenizer` of tokenizer.json; what cannot be done as it is asked for is refused
 * when the tokenizer is read, never skipped. One exception: `Precompiled` (SentencePiece's own table) is done as NFKC
 * with SentencePiece's treatment of white space and control characters. Pure; what was read is immutable and
 * thread-safe.
 */
#ifndef ASSAY_INDEX_STATIC_TEXT_H
#define ASSAY_INDEX_STATIC_TEXT_H

#include <jansson.h>

#include "base/arena.h"
#include "base/str.h"

enum {
    STATIC_STEPS_MAX = 256,   /* steps of each kind, sequences unfolded */
    STATIC_GROWTH = 16,       /* times as long as it was may a text become (and 1 KiB) */
    STATIC_TEXT_MAX = 1 << 18 /* bytes of a text on its way; what would go beyond is left out */
};

/* ---- classes of code points, as the tokenizers library has them ---- */
bool static_is_space(uint32_t cp);
bool static_is_punctuation(uint32_t cp); /* BERT's: ASCII punctuation and symbols, and Unicode punctuation */
bool static_is_word(uint32_t cp);        /* \w of Unicode regular expressions */

/* ---- normalisers ---- */
struct static_normaliser;
/* NULL or null is no step. In `keep`. ASSAY_INVALID with the name of what is not supported. */
enum assay_code static_normaliser_read(struct arena *keep, const json_t *json, const struct static_normaliser **out,
                                       struct err *err) MUST_USE;
/* `text` (valid UTF-8) is replaced by its normal form; `spare` is working space. */
void static_normalise(const struct static_normaliser *n, struct buf *text, struct buf *spare);

/* ---- pre-tokenisers ---- */
struct static_span {
    size_t from, to;
};
struct static_spans {
    struct static_span *items;
    size_t n, cap;
};
struct static_pieces {
    struct buf text;
    struct static_spans spans; /* of `text`, in order, none empty */
    struct buf spare;          /* working space, as the next */
    struct static_spans spare_spans;
};
void static_pieces_free(struct static_pieces *p);

struct static_splitter;
enum assay_code static_splitter_read(struct arena *keep, const json_t *json, const struct static_splitter **out,
                                     struct err *err) MUST_USE;
/* Splits p->text. `first`: the text begins where the whole input begins. */
void static_split(const struct static_splitter *s, struct static_pieces *p, bool first);

/* ---- shared by both readers ---- */
const char *static_member_text(const json_t *json, const char *name); /* NULL when absent or no string */
bool static_member_bool(const json_t *json, const char *name, bool preset);
/* Appends a code point or bytes, up to STATIC_TEXT_MAX. */
void static_put_char(struct buf *out, uint32_t cp);
void static_put(struct buf *out, const char *p, size_t n);

#endif
