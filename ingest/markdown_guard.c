#include "ingest/markdown_guard.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Bytes of the container marker at s ('>', or a bullet or number with a blank behind it); 0 when there is none. */
static size_t marker_at(struct str s)
{
    if (s.len == 0)
        return 0;
    if (s.ptr[0] == '>')
        return 1;
    size_t n = 0;
    if (s.ptr[0] == '-' || s.ptr[0] == '+' || s.ptr[0] == '*') {
        n = 1;
    } else {
        while (n < s.len && n < 9 && s.ptr[n] >= '0' && s.ptr[n] <= '9')
            n++;
        if (n == 0 || n == s.len || (s.ptr[n] != '.' && s.ptr[n] != ')'))
            return 0;
        n++;
    }
    return n < s.len && is_blank(s.ptr[n]) ? n : 0;
}

/* Copies the markers at the start of a line, those past the limit as blanks; returns the bytes of the line it read. */
static size_t copy_markers(struct str line, struct buf *out)
{
    size_t at = 0, markers = 0;
    while (at < line.len) {
        if (is_blank(line.ptr[at])) {
            buf_putc(out, line.ptr[at++]);
            continue;
        }
        size_t n = marker_at((struct str){line.ptr + at, line.len - at});
        if (n == 0)
            break;
        if (++markers <= GUARD_NESTING)
            buf_put(out, line.ptr + at, n);
        at += n;
    }
    return at;
}

void markdown_guard(struct str in, struct buf *out)
{
    size_t blank_lines = 0, brackets = 0;
    buf_reserve(out, in.len + 1);
    for (size_t at = 0; at < in.len;) {
        const char *nl = memchr(in.ptr + at, '\n', in.len - at);
        size_t end = nl ? (size_t)(nl - in.ptr) + 1 : in.len;
        struct str line = {in.ptr + at, end - at};
        at = end;
        if (str_trim(line).len == 0) {
            brackets = 0;
            if (++blank_lines <= GUARD_BLANK_LINES)
                buf_put(out, line.ptr, line.len);
            continue;
        }
        blank_lines = 0;
        for (size_t i = copy_markers(line, out); i < line.len; i++) {
            if (line.ptr[i] == '[' && ++brackets > GUARD_BRACKETS) {
                buf_puts(out, "\n\n");
                brackets = 0;
            }
            buf_putc(out, line.ptr[i]);
        }
    }
}
