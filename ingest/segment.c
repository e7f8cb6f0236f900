#include "ingest/segment.h"

#include <assert.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#include "ingest/ingest.h"

enum { TOKEN_CODE_POINTS = 6, BLANK_CODE_POINTS = 16 };
static_assert(SEGMENT_RUN_MAX % TOKEN_CODE_POINTS == 0 && SEGMENT_RUN_MAX % BLANK_CODE_POINTS == 0,
              "cutting a long run in parts must not change what it weighs");

static bool is_ideograph(uint32_t cp)
{
    return (cp >= 0x3040 && cp <= 0x30ff) || (cp >= 0x3400 && cp <= 0x4dbf) || (cp >= 0x4e00 && cp <= 0x9fff) ||
           (cp >= 0xac00 && cp <= 0xd7af) || (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x20000 && cp <= 0x3ffff);
}

static enum run_class class_of(uint32_t cp)
{
    if (cp < 0x80) {
        if ((cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || (cp >= '0' && cp <= '9') || cp == '_')
            return RUN_WORD;
        return cp <= ' ' || cp == 0x7f ? RUN_BLANK : RUN_PUNCT;
    }
    if (is_ideograph(cp))
        return RUN_IDEOGRAPH;
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    if (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NO)
        return RUN_WORD; /* letters, marks, numbers */
    return c >= UTF8PROC_CATEGORY_ZS && c <= UTF8PROC_CATEGORY_ZP ? RUN_BLANK : RUN_PUNCT;
}

bool segment_run(struct str text, size_t at, struct run *out)
{
    if (at >= text.len)
        return false;
    uint32_t cp;
    size_t end = at + str_utf8_next(text.ptr + at, text.len - at, &cp);
    *out = (struct run){.class = class_of(cp), .from = at, .to = end, .code_points = 1};
    if (out->class == RUN_IDEOGRAPH)
        return true;
    while (out->to < text.len && out->code_points < SEGMENT_RUN_MAX) {
        unsigned char c = (unsigned char)text.ptr[out->to];
        size_t n = 1;
        cp = c;
        if (c >= 0x80)
            n = str_utf8_next(text.ptr + out->to, text.len - out->to, &cp);
        if (class_of(cp) != out->class)
            break;
        out->to += n;
        out->code_points++;
    }
    return true;
}

size_t segment_run_tokens(const struct run *run)
{
    switch (run->class) {
    case RUN_BLANK:
        return run->code_points / BLANK_CODE_POINTS;
    case RUN_WORD:
    case RUN_PUNCT:
        return (run->code_points + TOKEN_CODE_POINTS - 1) / TOKEN_CODE_POINTS;
    case RUN_IDEOGRAPH:
        break;
    }
    return 1;
}

size_t ingest_token_count(struct str text)
{
    size_t tokens = 0;
    struct run run;
    for (size_t at = 0; segment_run(text, at, &run); at = run.to)
        tokens += segment_run_tokens(&run);
    return tokens;
}

/* Words that end in a full stop in the middle of a sentence. */
static bool is_abbreviation(struct str text, size_t stop)
{
    static const char *const words[] = {"e.g", "i.e", "etc", "vs",   "cf", "fig", "no",  "al", "approx", "dr",
                                        "mr",  "mrs", "ms",  "prof", "st", "sec", "vol", "pp", "ca",     "resp"};
    size_t start = stop;
    while (start > 0 && stop - start < 8 && text.ptr[start - 1] > ' ' && text.ptr[start - 1] != '(')
        start--;
    size_t n = stop - start;
    if (n == 1 && text.ptr[start] >= 'A' && text.ptr[start] <= 'Z')
        return true; /* an initial */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == n && strncasecmp(words[i], text.ptr + start, n) == 0)
            return true;
    return false;
}

/* True when the punctuation run ends a sentence that a blank (or, for ideographic stops, nothing) follows. */
static bool ends_sentence(struct str text, const struct run *run)
{
    bool stop = false;
    for (size_t i = run->from; i < run->to;) {
        uint32_t cp;
        size_t n = str_utf8_next(text.ptr + i, run->to - i, &cp);
        if (cp == 0x3002 || cp == 0xff01 || cp == 0xff1f)
            return true;
        stop =
            cp == '.' || cp == '!' || cp == '?' || cp == 0x2026 ||
            (stop && (cp == '"' || cp == '\'' || cp == ')' || cp == ']' || cp == 0x201d || cp == 0x2019 || cp == 0xbb));
        i += n;
    }
    if (!stop || (run->to < text.len && (unsigned char)text.ptr[run->to] > ' '))
        return false;
    if (text.ptr[run->from] == '.' && run->code_points == 1 && is_abbreviation(text, run->from))
        return false;
    /* "3 p.m. on", "etc. and": a small letter goes on with the sentence. */
    size_t next = run->to + 1;
    return next >= text.len || !(text.ptr[next] >= 'a' && text.ptr[next] <= 'z');
}

/* Walks the runs of a text and tells where sentences and lines end. */
struct walk {
    struct str text; /* cut off at the end of the range */
    bool by_line, sentence_over;
};

/* What kind of start the run after `run` is. */
enum start { START_RUN, START_WORD, START_LINE, START_SENTENCE };
static enum start start_after(struct walk *w, const struct run *run)
{
    if (run->class == RUN_PUNCT) {
        w->sentence_over = !w->by_line && ends_sentence(w->text, run);
        bool ideographic = w->sentence_over && run->to < w->text.len && (unsigned char)w->text.ptr[run->to] > ' ';
        return ideographic ? START_SENTENCE : START_RUN;
    }
    if (run->class != RUN_BLANK) {
        w->sentence_over = false;
        return run->class == RUN_IDEOGRAPH ? START_WORD : START_RUN;
    }
    const char *line = memchr(w->text.ptr + run->from, '\n', run->to - run->from);
    bool block = line && line + 1 < w->text.ptr + run->to && line[1] == '\n';
    enum start s = START_WORD;
    if (w->sentence_over || block || (line && w->by_line))
        s = START_SENTENCE;
    else if (line)
        s = START_LINE;
    w->sentence_over = false;
    return s;
}

/* At most `limit` tokens of a run too heavy for a piece of its own. */
static size_t cut_run(struct str text, const struct run *run, size_t limit)
{
    size_t per_token = run->class == RUN_BLANK ? BLANK_CODE_POINTS : TOKEN_CODE_POINTS;
    size_t left = (limit ? limit : 1) * per_token, at = run->from;
    uint32_t cp;
    while (left-- > 0 && at < run->to)
        at += str_utf8_next(text.ptr + at, run->to - at, &cp);
    return at;
}

size_t segment_cut(struct str text, size_t from, size_t to, size_t limit, bool by_line)
{
    struct walk w = {.text = {text.ptr, to}, .by_line = by_line};
    size_t best[] = {[START_RUN] = from, [START_WORD] = from, [START_LINE] = from, [START_SENTENCE] = from};
    size_t tokens = 0;
    struct run run;
    size_t at = from;
    for (; segment_run(w.text, at, &run); at = run.to) {
        size_t weight = segment_run_tokens(&run);
        if (tokens + weight > limit)
            break;
        tokens += weight;
        enum start s = start_after(&w, &run);
        bool light = tokens * 2 < limit; /* an early end of a sentence is as good as that of any word */
        best[light && s > START_WORD ? START_WORD : s] = run.to;
    }
    if (at >= to)
        return to;
    for (int s = START_SENTENCE; s >= START_RUN; s--)
        if (best[s] > from)
            return best[s];
    return cut_run(w.text, &run, limit);
}

size_t segment_tail(struct str text, size_t from, size_t to, size_t limit, bool by_line)
{
    struct str range = {text.ptr, to};
    size_t total = ingest_token_count((struct str){text.ptr + from, to - from});
    struct walk w = {.text = range, .by_line = by_line};
    size_t word = to, line = to, before = 0;
    struct run run;
    for (size_t at = from; segment_run(range, at, &run); at = run.to) {
        before += segment_run_tokens(&run);
        enum start s = start_after(&w, &run);
        if (before + limit < total || run.to == to)
            continue;
        if (s == START_SENTENCE)
            return run.to;
        if (s == START_LINE && line == to)
            line = run.to;
        if (s == START_WORD && word == to)
            word = run.to;
    }
    if (line < to)
        return line;
    return by_line ? to : word;
}
