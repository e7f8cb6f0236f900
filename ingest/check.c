#include "ingest/check.h"

#include <string.h>
#include <utf8proc.h>

#include "ingest/language_cld2.h"

enum { CHECKS_MAX = 5 };

const char *check_outcome_name(enum check_outcome o)
{
    static const char *const names[] = {"pass", "warn", "fail"};
    return names[o];
}

const char *language_detect(struct str text)
{
    /* Enough to tell by; what CLD2 costs is proportional to the length. */
    enum { SAMPLE = 32 << 10 };
    size_t n = text.len;
    if (n > SAMPLE)
        for (n = SAMPLE; n > 0 && ((unsigned char)text.ptr[n] & 0xc0U) == 0x80;)
            n--;
    const char *code = n ? language_cld2(text.ptr, n) : NULL;
    /* CLD2 has codes of its own for a few: "xx-Qaai" for scripts, "zzp" for play languages. */
    if (!code || strncmp(code, "xx", 2) == 0 || strcmp(code, "zzp") == 0 || strcmp(code, "un") == 0)
        return "und";
    if (strcmp(code, "iw") == 0)
        return "he";
    return strncmp(code, "zh", 2) == 0 ? "zh" : code;
}

/* What one pass over the text finds out. */
struct stats {
    size_t visible, alnum, replaced;
    size_t replaced_at;
};

static struct stats stats_of(struct str s)
{
    struct stats t = {.replaced_at = s.len};
    for (size_t i = 0; i < s.len;) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x80) {
            t.visible += c > ' ';
            t.alnum += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
            i++;
            continue;
        }
        uint32_t cp;
        size_t n = str_utf8_next(s.ptr + i, s.len - i, &cp);
        utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)cp);
        t.visible++;
        t.alnum += k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO;
        if (cp == 0xfffd && t.replaced++ == 0)
            t.replaced_at = i;
        i += n;
    }
    return t;
}

struct checker {
    struct arena *arena;
    const struct check_params *p;
    const struct check_input *in;
    bool valid; /* UTF-8 */
    struct stats stats;
    struct check_result *results;
    size_t n;
};

static struct check_result *result(struct checker *c, const char *name, enum check_outcome outcome)
{
    struct check_result *r = &c->results[c->n++];
    *r = (struct check_result){
        .check = name, .outcome = outcome, .from = c->in->from, .to = c->in->from + c->in->text.len};
    return r;
}

static void check_not_empty(struct checker *c)
{
    bool any = !c->valid || c->stats.visible > 0;
    struct check_result *r = result(c, "not_empty", any ? CHECK_PASS : CHECK_FAIL);
    r->expected = STR_LIT("text");
    r->actual = any ? STR_LIT("text") : STR_LIT("nothing but white space");
}

/* Well-formed UTF-8; U+FFFD warns, as it stands for characters that were lost before the text came here. */
static void check_utf8(struct checker *c)
{
    enum check_outcome outcome = !c->valid ? CHECK_FAIL : c->stats.replaced ? CHECK_WARN : CHECK_PASS;
    struct check_result *r = result(c, "utf8", outcome);
    r->expected = STR_LIT("well-formed UTF-8 without replacement characters");
    r->actual = STR_LIT("well-formed UTF-8");
    if (!c->valid) {
        r->actual = STR_LIT("malformed UTF-8");
    } else if (c->stats.replaced) {
        r->actual = str_of(arena_printf(c->arena, "%zu replacement characters", c->stats.replaced));
        r->from = c->in->from + c->stats.replaced_at;
        r->to = r->from + 3;
    }
}

static void check_length(struct checker *c)
{
    int64_t tokens = (int64_t)c->in->tokens;
    bool fits = tokens >= c->p->min_tokens && tokens <= c->p->max_tokens;
    struct check_result *r = result(c, "length", fits ? CHECK_PASS : CHECK_FAIL);
    r->expected =
        str_of(arena_printf(c->arena, "%lld..%lld tokens", (long long)c->p->min_tokens, (long long)c->p->max_tokens));
    r->actual = str_of(arena_printf(c->arena, "%lld token%s", (long long)tokens, tokens == 1 ? "" : "s"));
}

/* Passes when the chunk's own language is told; warns when only the document's is (code, tables and names have none);
 * fails when neither is. */
static void check_language(struct checker *c)
{
    const char *found = c->valid ? language_detect(c->in->text) : "und";
    bool document_known = c->in->language.len > 0 && !str_eqc(c->in->language, "und");
    enum check_outcome outcome = strcmp(found, "und") != 0 ? CHECK_PASS : document_known ? CHECK_WARN : CHECK_FAIL;
    struct check_result *r = result(c, "language", outcome);
    r->expected = STR_LIT("a language that can be told");
    r->actual = str_of(found);
}

/* Letters and digits over all that is not blank: rules, dumps of symbols and damaged text have few. */
static void check_symbols(struct checker *c)
{
    double ratio = c->valid && c->stats.visible ? (double)c->stats.alnum / (double)c->stats.visible : 0.0;
    struct check_result *r = result(c, "symbols", ratio >= c->p->min_alpha_ratio ? CHECK_PASS : CHECK_FAIL);
    r->expected = str_of(arena_printf(c->arena, "at least %.2f letters and digits", c->p->min_alpha_ratio));
    r->actual = str_of(arena_printf(c->arena, "%.2f", ratio));
}

void check_chunk(struct arena *a, const struct check_params *p, const struct check_input *in, struct check_result **out,
                 size_t *n_out)
{
    struct checker c = {.arena = a,
                        .p = p,
                        .in = in,
                        .valid = str_utf8_valid(in->text),
                        .results = ARENA_ARRAY(a, struct check_result, CHECKS_MAX)};
    if (c.valid)
        c.stats = stats_of(in->text);
    if (p->not_empty)
        check_not_empty(&c);
    if (p->utf8)
        check_utf8(&c);
    if (p->length)
        check_length(&c);
    if (p->language_known)
        check_language(&c);
    if (p->symbols)
        check_symbols(&c);
    *out = c.results;
    *n_out = c.n;
}
