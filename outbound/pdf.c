#include "outbound/pdf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { READ_STEP = 64 << 10, FILES_MAX = 64 };

/* The running program and our ends of its pipes; -1 when closed. */
struct pdf_process {
    pid_t pid;
    int to, from;
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static enum assay_code cannot_run(struct err *err)
{
    return err_set(err, ASSAY_UNAVAILABLE, NULL, "PDF documents cannot be read now: pdftotext cannot be run.");
}

static enum assay_code unreadable(struct err *err)
{
    return err_set(err, ASSAY_UNPROCESSABLE, "unreadable-document", "The PDF is damaged, encrypted or too complex.");
}

/* posix_spawn (which shares our memory until exec) rather than fork: an index of gigabytes need not be mapped twice,
 * and nothing of ours runs in the child. */
static bool spawn(int in, int out, pid_t *pid)
{
    char *const argv[] = {(char[]){"pdftotext"}, (char[]){"-q"},   (char[]){"-enc"},
                          (char[]){"UTF-8"},     (char[]){"-eol"}, (char[]){"unix"},
                          (char[]){"-"},         (char[]){"-"},    NULL};
    char *const env[] = {(char[]){"LC_ALL=C.UTF-8"}, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0)
        return false;
    if (posix_spawnattr_init(&attr) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return false;
    }
    bool ok = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO) == 0 &&
              posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO) == 0 &&
              posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
              posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1) == 0 &&
              posix_spawnattr_setsigmask(&attr, &none) == 0 && posix_spawnattr_setsigdefault(&attr, &all) == 0 &&
              posix_spawnattr_setflags(
                  &attr, (short)(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) == 0 &&
              posix_spawnp(pid, "pdftotext", &files, &attr, argv, env) == 0;
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attr);
    return ok;
}

/* The limits are in force before the first byte of the PDF is written: until then the program waits for it. */
static bool limit(pid_t pid)
{
    static const struct {
        int what;
        rlim_t value;
    } limits[] = {{RLIMIT_CPU, PDF_SECONDS_MAX / 2},
                  {RLIMIT_AS, PDF_MEMORY_MAX},
                  {RLIMIT_FSIZE, 0},
                  {RLIMIT_CORE, 0},
                  {RLIMIT_NOFILE, FILES_MAX}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit l = {limits[i].value, limits[i].value};
        if (prlimit(pid, (__rlimit_resource_t)limits[i].what, &l, NULL) != 0)
            return false;
    }
    return true;
}

/* Starts the program. A socket is its input, so that writing to it can be told not to raise SIGPIPE. */
static bool start(struct pdf_process *p)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    bool ok = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
              fcntl(out[0], F_SETFL, O_NONBLOCK) == 0 && spawn(in[1], out[1], &p->pid);
    close_end(&in[1]);
    close_end(&out[1]);
    p->to = in[0];
    p->from = out[0];
    return ok;
}

/* Writes what the socket takes; closes it at the end, or when the program does not want to read on. */
static void feed(struct pdf_process *p, struct str *pdf)
{
    ssize_t n = send(p->to, pdf->ptr, pdf->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        *pdf = (struct str){pdf->ptr + n, pdf->len - (size_t)n};
    bool wait = n < 0 && (errno == EAGAIN || errno == EINTR);
    if (!wait && (n < 0 || pdf->len == 0))
        close_end(&p->to);
}

static void drain(struct pdf_process *p, struct buf *out)
{
    buf_reserve(out, READ_STEP);
    ssize_t n = read(p->from, out->data + out->len, READ_STEP);
    if (n > 0)
        out->len += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_end(&p->from);
}

static int wait_ms(int64_t left_us)
{
    int64_t ms = left_us / 1000 + 1;
    return ms > 1000 ? 1000 : (int)ms;
}

/* Feeds and drains until the program closes its output. */
static enum assay_code converse(const struct call *call, struct pdf_process *p, struct str pdf, struct buf *out,
                                struct err *err)
{
    size_t before = out->len;
    int64_t own_deadline = clock_mono_us() + PDF_SECONDS_MAX * CLOCK_SECOND;
    if (pdf.len == 0)
        close_end(&p->to);
    while (p->from >= 0) {
        int64_t now = clock_mono_us();
        if (now >= call->deadline_us)
            return err_set(err, ASSAY_UNAVAILABLE, NULL, "The PDF could not be read in time.");
        if (now >= own_deadline)
            return unreadable(err);
        int64_t until = call->deadline_us < own_deadline ? call->deadline_us : own_deadline;
        struct pollfd fds[] = {{.fd = p->from, .events = POLLIN}, {.fd = p->to, .events = POLLOUT}};
        if (poll(fds, 2, wait_ms(until - now)) < 0 && errno != EINTR)
            return err_set(err, ASSAY_INTERNAL, NULL, "poll failed.");
        if (fds[1].revents)
            feed(p, &pdf);
        if (fds[0].revents)
            drain(p, out);
        if (out->len - before > PDF_TEXT_MAX)
            return err_set(err, ASSAY_TOO_LARGE, "document-too-large", "The PDF's text is larger than %d bytes.",
                           PDF_TEXT_MAX);
    }
    return ASSAY_OK;
}

/* Waits at most GRACE_MS for the program, whose output has ended, to end itself. True when it did. */
static bool await(pid_t pid, int *status)
{
    enum { GRACE_MS = 2000 };
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < GRACE_MS; i++) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return true;
        if (got < 0 && errno != EINTR)
            return false;
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

/* Reaps the program, after killing it (and whatever it started) when it is not to go on or does not end. Returns its
 * wait status, -1 when that is not to be had. */
static int finish(struct pdf_process *p, bool kill_it)
{
    int status = -1;
    close_end(&p->to);
    close_end(&p->from);
    if (!kill_it && await(p->pid, &status))
        return status;
    (void)kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

enum assay_code pdf_to_text(const struct call *call, struct str pdf, struct buf *out, struct err *err)
{
    struct pdf_process p = {.pid = -1, .to = -1, .from = -1};
    if (!start(&p)) {
        close_end(&p.to);
        close_end(&p.from);
        return cannot_run(err);
    }
    if (!limit(p.pid)) {
        (void)finish(&p, true);
        return cannot_run(err);
    }
    enum assay_code code = converse(call, &p, pdf, out, err);
    int status = finish(&p, code != ASSAY_OK);
    if (code != ASSAY_OK)
        return code;
    return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? ASSAY_OK : unreadable(err);
}
