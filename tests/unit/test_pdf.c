/* outbound/pdf: a real pdftotext on good, damaged and endless input; no descriptor and no process is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "outbound/pdf.h"

static size_t open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    size_t n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* A PDF of one page per text, with a right cross-reference table. */
static struct buf make_pdf(const char *const *pages, size_t n)
{
    struct buf b = {0};
    size_t at[16] = {0}, objects = 3;
    buf_puts(&b, "%PDF-1.4\n");
    at[1] = b.len;
    buf_puts(&b, "1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n");
    at[2] = b.len;
    buf_puts(&b, "2 0 obj\n<</Type/Pages/Kids[");
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%zu 0 R ", 4 + 2 * i);
    buf_printf(&b, "]/Count %zu>>\nendobj\n", n);
    at[3] = b.len;
    buf_puts(&b, "3 0 obj\n<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>\nendobj\n");
    for (size_t i = 0; i < n; i++) {
        struct buf stream = {0};
        buf_printf(&stream, "BT /F1 12 Tf 72 720 Td (%s) Tj ET", pages[i]);
        at[++objects] = b.len;
        buf_printf(&b,
                   "%zu 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>"
                   "/Contents %zu 0 R>>\nendobj\n",
                   objects, objects + 1);
        at[++objects] = b.len;
        buf_printf(&b, "%zu 0 obj\n<</Length %zu>>stream\n%s\nendstream\nendobj\n", objects, stream.len,
                   buf_cstr(&stream));
        buf_free(&stream);
    }
    size_t xref = b.len;
    buf_printf(&b, "xref\n0 %zu\n0000000000 65535 f \n", objects + 1);
    for (size_t i = 1; i <= objects; i++)
        buf_printf(&b, "%010zu 00000 n \n", at[i]);
    buf_printf(&b, "trailer\n<</Size %zu/Root 1 0 R>>\nstartxref\n%zu\n%%%%EOF\n", objects + 1, xref);
    return b;
}

static bool have_pdftotext(void)
{
    return access("/usr/bin/pdftotext", X_OK) == 0;
}

static struct call call_until(int64_t deadline_us)
{
    return (struct call){.deadline_us = deadline_us, .request_id = "test", .actor = "system:test"};
}

static void test_pdf_to_text__reads_pages_parted_by_form_feeds(void **state)
{
    (void)state;
    if (!have_pdftotext())
        skip();
    const char *const pages[] = {"First page here", "Second page there"};
    struct buf pdf = make_pdf(pages, 2), out = {0};
    struct call call = call_until(CLOCK_NEVER);
    size_t files = open_files();
    assert_int_equal(pdf_to_text(&call, buf_str(&pdf), &out, NULL), ASSAY_OK);
    const char *text = buf_cstr(&out);
    const char *first = strstr(text, "First page here"), *second = strstr(text, "Second page there");
    assert_non_null(first);
    assert_non_null(second);
    assert_non_null(memchr(first, '\f', (size_t)(second - first)));
    assert_int_equal(open_files(), files);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    buf_free(&pdf);
    buf_free(&out);
}

static void test_pdf_to_text__refuses_damage_and_leaves_nothing_behind(void **state)
{
    (void)state;
    if (!have_pdftotext())
        skip();
    struct buf junk = {0};
    /* More than a socket holds, so that the program goes away while there is still something to write. */
    buf_puts(&junk, "%PDF-1.4\n");
    for (size_t i = 0; i < 4U << 20U; i++)
        buf_putc(&junk, (char)(i * 7919U >> 3U));
    const struct str inputs[] = {STR_LIT(""), STR_LIT("not a PDF at all"), STR_LIT("%PDF-1.7\n"), buf_str(&junk)};
    size_t files = open_files();
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        struct buf out = {0};
        struct err err = {0};
        struct call call = call_until(CLOCK_NEVER);
        assert_int_equal(pdf_to_text(&call, inputs[i], &out, &err), ASSAY_UNPROCESSABLE);
        assert_string_equal(err_slug(&err), "unreadable-document");
        err_clear(&err);
        buf_free(&out);
    }
    assert_int_equal(open_files(), files);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    buf_free(&junk);
}

static void test_pdf_to_text__gives_up_at_the_deadline(void **state)
{
    (void)state;
    if (!have_pdftotext())
        skip();
    const char *const pages[] = {"Page"};
    struct buf pdf = make_pdf(pages, 1), out = {0};
    struct call call = call_until(clock_mono_us() - 1);
    struct err err = {0};
    assert_int_equal(pdf_to_text(&call, buf_str(&pdf), &out, &err), ASSAY_UNAVAILABLE);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    err_clear(&err);
    buf_free(&pdf);
    buf_free(&out);
}

static void test_pdf_to_text__says_when_the_program_is_missing(void **state)
{
    (void)state;
    const char *path = getenv("PATH");
    char *saved = mem_strdup(path ? path : "");
    assert_int_equal(setenv("PATH", "/nonexistent", 1), 0);
    struct call call = call_until(CLOCK_NEVER);
    struct buf out = {0};
    struct err err = {0};
    size_t files = open_files();
    assert_int_equal(pdf_to_text(&call, STR_LIT("%PDF-1.4"), &out, &err), ASSAY_UNAVAILABLE);
    assert_int_equal(open_files(), files);
    assert_int_equal(setenv("PATH", saved, 1), 0);
    free(saved);
    err_clear(&err);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pdf_to_text__reads_pages_parted_by_form_feeds),
        cmocka_unit_test(test_pdf_to_text__refuses_damage_and_leaves_nothing_behind),
        cmocka_unit_test(test_pdf_to_text__gives_up_at_the_deadline),
        cmocka_unit_test(test_pdf_to_text__says_when_the_program_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
