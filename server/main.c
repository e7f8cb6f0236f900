/* assayd: starts the parts in order, waits for signals, stops them in the opposite order. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http.h"
#include "server/server.h"
#include "server/version.h"

enum {
    MALLOC_MAPPED = 1 << 20,
    MALLOC_KEPT = 4 << 20,
    DATABASE_WAIT_S = 10,
    START_CALL_S = 300, /* a migration may rewrite a table */
    WORKER_QUEUE_PER_THREAD = 16,
    OPENAPI_MAX = 16 << 20,
    FILES_WANTED = 65536
};

struct options {
    const char *config_file;
    bool print_config, migrate_only;
};

struct app {
    struct arena *arena; /* lives as long as the process */
    struct options options;
    struct config config;
    struct server server;
    struct http *http;
    int lock_fd;
    bool pid_written;
};

static int fail(const struct err *err)
{
    fprintf(stderr, "assayd: %s\n", err->detail[0] ? err->detail : err_title(err->code));
    return EXIT_FAILURE;
}

/* ---- before the parts ---- */

static void usage(FILE *to)
{
    fputs("Usage: assayd [--config FILE] [--print-config] [--migrate-only] [--help] [--version]\n\n"
          "  --config FILE    read settings from FILE (else from the file that ASSAY_CONFIG names)\n"
          "  --print-config   print the settings in force, secrets hidden, and exit\n"
          "  --migrate-only   bring the database's schema up to date and exit\n\n",
          to);
    config_help(to);
}

/* -1: go on; otherwise the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'}, {"print-config", no_argument, NULL, 'p'},
        {"migrate-only", no_argument, NULL, 'm'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},      {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'c':
            o->config_file = optarg;
            break;
        case 'p':
            o->print_config = true;
            break;
        case 'm':
            o->migrate_only = true;
            break;
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        case 'v':
            printf("assayd %s (%s)\n", version_string(), version_commit());
            return EXIT_SUCCESS;
        default:
            fputs("Try 'assayd --help'.\n", stderr);
            return EXIT_FAILURE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "assayd: unexpected argument \"%s\"\n", argv[optind]);
        return EXIT_FAILURE;
    }
    return -1;
}

/* Every thread inherits the mask, so signals wait for the main thread. True: they were blocked already. */
static bool block_signals(sigset_t *set)
{
    sigset_t before;
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    return pthread_sigmask(SIG_BLOCK, set, &before) == 0 && sigismember(&before, SIGTERM) == 1;
}

/* The process starts itself once more, for two things that happen before main runs: OpenMP reads its environment (its
 * idle threads spin by default and take the CPU from searches), and OpenBLAS starts threads, which inherit the signal
 * mask (one with SIGHUP unblocked would end the process while the main thread is busy with another signal). */
static void restart_calm(char **argv)
{
    char self[PATH_MAX];
    sigset_t set;
    bool blocked = block_signals(&set);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0 || (blocked && getenv("OMP_WAIT_POLICY")) || setenv("OMP_WAIT_POLICY", "passive", 0) != 0)
        return;
    self[n] = '\0'; /* the path and not the link, which would be the process' name */
    execv(self, argv);
    /* Where that fails it goes on as it is. */
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FILES_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("the limit of open files cannot be raised", "errno=%d", errno);
}

/* ---- files ---- */

static enum assay_code make_folder(struct arena *a, const char *path, struct err *err)
{
    char *copy = arena_strndup(a, path, strlen(path));
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(copy, 0755) != 0 && errno != EEXIST)
            return err_set(err, ASSAY_INVALID, NULL, "data_dir: %.150s cannot be made: %s", copy, strerror(errno));
        *p = '/';
    }
    if (mkdir(copy, 0700) != 0 && errno != EEXIST)
        return err_set(err, ASSAY_INVALID, NULL, "data_dir: %.150s cannot be made: %s", copy, strerror(errno));
    return ASSAY_OK;
}

/* Two processes on one data_dir would write over each other's files. */
static enum assay_code lock_data_dir(struct app *app, struct err *err)
{
    TRY(make_folder(app->arena, app->config.data_dir, err));
    const char *path = arena_printf(app->arena, "%s/lock", app->config.data_dir);
    app->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (app->lock_fd < 0)
        return err_set(err, ASSAY_INVALID, NULL, "data_dir: %.150s cannot be written: %s", path, strerror(errno));
    if (flock(app->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, ASSAY_INVALID, NULL, "data_dir: another assayd is using %.150s", app->config.data_dir);
    return ASSAY_OK;
}

static enum assay_code write_pid(struct app *app, struct err *err)
{
    const char *path = app->config.pid_file;
    if (path[0] == '\0')
        return ASSAY_OK;
    FILE *f = fopen(path, "we");
    if (!f)
        return err_set(err, ASSAY_INVALID, NULL, "pid_file: %.150s cannot be written: %s", path, strerror(errno));
    bool ok = fprintf(f, "%ld\n", (long)getpid()) > 0;
    if (fclose(f) != 0 || !ok)
        return err_set(err, ASSAY_INVALID, NULL, "pid_file: %.150s cannot be written", path);
    app->pid_written = true;
    return ASSAY_OK;
}

static enum assay_code read_contract(struct app *app, struct err *err)
{
    const char *path = app->config.openapi_file;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, ASSAY_INVALID, NULL, "openapi_file: %.150s cannot be read: %s", path, strerror(errno));
    char *text = arena_alloc(app->arena, OPENAPI_MAX);
    size_t n = fread(text, 1, OPENAPI_MAX, f);
    if (fclose(f) != 0 || n == OPENAPI_MAX || n == 0 || text[0] != '{')
        return err_set(err, ASSAY_INVALID, NULL, "openapi_file: %.150s is not the contract as JSON", path);
    app->server.openapi_json = (struct str){text, n};
    return ASSAY_OK;
}

/* It is read whenever a key is wanted, so that keys can be renewed; that it can be read is seen now. */
static enum assay_code check_endpoint_keys(const struct config *c, struct err *err)
{
    if (c->endpoint_keys_file[0] == '\0' || access(c->endpoint_keys_file, R_OK) == 0)
        return ASSAY_OK;
    return err_set(err, ASSAY_INVALID, NULL, "endpoint_keys_file: %.150s cannot be read: %s", c->endpoint_keys_file,
                   strerror(errno));
}

/* Models are read when a collection wants them; that the folder is one is seen now. */
static enum assay_code check_models_dir(const struct config *c, struct err *err)
{
    struct stat st;
    if (c->models_dir[0] == '\0' || (stat(c->models_dir, &st) == 0 && S_ISDIR(st.st_mode)))
        return ASSAY_OK;
    return err_set(err, ASSAY_INVALID, NULL, "models_dir: %.150s is not a folder that can be read", c->models_dir);
}

/* ---- the parts, in order ---- */

static enum assay_code reach_database(struct server *s, const struct call *call, struct err *err)
{
    int64_t until = clock_mono_us() + DATABASE_WAIT_S * CLOCK_SECOND;
    for (bool said = false;; said = true) {
        struct call ping = *call;
        ping.deadline_us = clock_mono_us() + s->config->connect_timeout_s * CLOCK_SECOND;
        err_clear(err);
        if (store_ping(s->store, &ping, err) == ASSAY_OK)
            return ASSAY_OK;
        if (clock_mono_us() >= until)
            return err_set(err, ASSAY_UNAVAILABLE, NULL,
                           "PostgreSQL does not answer at database_url; assayd needs it to start");
        if (!said)
            log_info("waiting for PostgreSQL", "seconds=%d", DATABASE_WAIT_S);
        struct timespec pause = {0, 250000000L};
        nanosleep(&pause, NULL);
    }
}

static enum assay_code open_store(struct app *app, const struct call *call, struct err *err)
{
    const struct config *c = &app->config;
    struct store_config cfg = {.url = c->database_url,
                               .pool_size = c->pool_size,
                               .connect_timeout_s = c->connect_timeout_s,
                               .statement_timeout_ms = c->statement_timeout_ms,
                               .migrations_dir = c->migrations_dir};
    int applied = 0;
    TRY(store_open(&cfg, &app->server.store, err));
    TRY(reach_database(&app->server, call, err));
    TRY(store_migrate(app->server.store, call, &applied, err));
    return ASSAY_OK;
}

static enum assay_code open_index(struct app *app, const struct call *call, struct err *err)
{
    struct server *s = &app->server;
    const struct config *c = &app->config;
    struct vindex_config cfg = {.dir = arena_printf(app->arena, "%s/index", c->data_dir),
                                .build_threads = c->build_threads,
                                .head_max = (size_t)c->head_max,
                                .ef_search = c->ef_search};
    TRY(vindex_open(&cfg, &s->vindex, err));
    s->catalog = catalog_new(s->store, s->vindex, c->models_dir);
    if (!s->catalog)
        return err_set(err, ASSAY_INTERNAL, NULL, "the catalog of collections cannot be made");
    return catalog_refresh(s->catalog, call, err);
}

/* `what` exists, or the start ends with a sentence. */
static enum assay_code need(const void *part, const char *what, struct err *err)
{
    return part ? ASSAY_OK : err_set(err, ASSAY_INTERNAL, NULL, "%s cannot be started", what);
}

static enum assay_code start(struct app *app, const struct call *call, struct err *err)
{
    struct server *s = &app->server;
    const struct config *c = &app->config;
    TRY(read_contract(app, err));
    TRY(check_endpoint_keys(&app->config, err));
    TRY(check_models_dir(&app->config, err));
    TRY(open_store(app, call, err));
    s->auth = auth_new(s->store);
    TRY(auth_bootstrap(s->auth, call, c->admin_key_file, err));
    TRY(auth_reload(s->auth, call, err));
    s->metrics = metrics_new();
    TRY(open_index(app, call, err));
    s->outbound = outbound_new();
    TRY(need(s->outbound, "libcurl", err));
    s->intake = intake_new(s);
    TRY(need(s->intake, "intake", err));
    s->query_embedder = query_embedder_new(s, (size_t)c->query_cache_bytes);
    s->receipts = receipts_new(s->store, c->receipt_sample);
    TRY(need(s->receipts, "the keeping of receipts", err));
    s->jobs = jobs_new(s);
    TRY(need(s->jobs, "jobs", err));
    s->workers = workers_new(c->worker_threads, (size_t)c->worker_threads * WORKER_QUEUE_PER_THREAD);
    TRY(need(s->workers, "the worker threads", err));
    s->handover = handover_new();
    s->follower = follower_new(s);
    TRY(need(s->follower, "the follower", err));
    if (!follower_start(s->follower))
        return err_set(err, ASSAY_INTERNAL, NULL, "the follower cannot be started");
    TRY(http_start(s, &app->http, err));
    log_info("listening", "address=%s version=%s", http_address(app->http), version_string());
    return jobs_resume(s->jobs, call, err);
}

static void stop(struct app *app)
{
    struct server *s = &app->server;
    atomic_store(&s->draining, true);
    if (app->http) {
        http_drain(app->http, clock_mono_us() + app->config.drain_timeout_s * CLOCK_SECOND);
        workers_stop(s->workers);
        http_stop(app->http);
    }
    jobs_free(s->jobs);
    workers_free(s->workers);
    follower_free(s->follower); /* writes the last checkpoint */
    handover_free(s->handover);
    receipts_free(s->receipts);
    query_embedder_free(s->query_embedder);
    intake_free(s->intake);
    outbound_free(s->outbound);
    catalog_free(s->catalog);
    vindex_close(s->vindex);
    auth_free(s->auth);
    store_close(s->store);
    metrics_free(s->metrics);
    if (app->pid_written && unlink(app->config.pid_file) != 0)
        log_warn("the pid file cannot be removed", "errno=%d", errno);
}

/* ---- while it runs ---- */

/* SIGHUP: keys from PostgreSQL, the log level from the file. The environment of a process does not change, so a level
 * that is set there stays. */
static void reload(struct app *app)
{
    struct config fresh;
    struct err err = {0};
    struct call call = {.arena = arena_new(16 << 10),
                        .deadline_us = clock_mono_us() + 10 * CLOCK_SECOND,
                        .request_id = "reload",
                        .actor = "system:reload"};
    if (config_load(call.arena, app->options.config_file, environ, &fresh, &err) == ASSAY_OK)
        log_set_level(fresh.log_level);
    else
        log_err(LOG_ERROR, "the configuration could not be read again", &err);
    err_clear(&err);
    if (auth_reload(app->server.auth, &call, &err) == ASSAY_OK)
        log_info("reloaded keys and log level", "%s", "");
    else
        log_err(LOG_ERROR, "the keys could not be reloaded", &err);
    err_clear(&err);
    arena_free(call.arena);
}

/* Returns when a stop was asked for. After that a second signal ends the process at once: nothing that was acknowledged
 * is lost by it. */
static void wait_for_stop(struct app *app, const sigset_t *set)
{
    for (;;) {
        int sig = 0;
        if (sigwait(set, &sig) != 0)
            continue;
        if (sig != SIGHUP) {
            log_info("stopping", "signal=%d", sig);
            break;
        }
        reload(app);
    }
    sigset_t again;
    sigemptyset(&again);
    sigaddset(&again, SIGTERM);
    sigaddset(&again, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &again, NULL);
}

static int run(struct app *app)
{
    struct err err = {0};
    sigset_t set;
    int status = EXIT_SUCCESS;
    struct server *s = &app->server;
    const struct config *c = &app->config;
    log_init(c->log_level,
             strcmp(c->log_format, "auto") == 0 ? isatty(STDERR_FILENO) == 0 : strcmp(c->log_format, "json") == 0);
    (void)block_signals(&set);
    raise_file_limit();
    s->config = c;
    s->started_us = clock_now_us();
    struct call call = {.arena = arena_new(64 << 10),
                        .deadline_us = clock_mono_us() + START_CALL_S * CLOCK_SECOND,
                        .request_id = "start",
                        .actor = "system:start"};
    enum assay_code code = ASSAY_OK;
    if (app->options.migrate_only) {
        code = open_store(app, &call, &err);
    } else {
        code = lock_data_dir(app, &err);
        if (code == ASSAY_OK)
            code = write_pid(app, &err);
        if (code == ASSAY_OK)
            code = start(app, &call, &err);
    }
    arena_free(call.arena);
    if (code != ASSAY_OK)
        status = fail(&err);
    else if (!app->options.migrate_only)
        wait_for_stop(app, &set);
    err_clear(&err);
    stop(app);
    if (code == ASSAY_OK)
        log_info("stopped", "%s", "");
    return status;
}

/* Blocks of MALLOC_MAPPED and more are mapped each on its own and go back to the system when they are freed. Without it
 * the bound grows with what is freed, and what the index lets go of stays, in pieces between smaller blocks. What is
 * free at the end of a heap goes back from MALLOC_KEPT on only, or every request would return and fetch its pages. */
static void set_allocator(void)
{
    if (mallopt(M_MMAP_THRESHOLD, MALLOC_MAPPED) != 1 || mallopt(M_TRIM_THRESHOLD, MALLOC_KEPT) != 1)
        log_warn("the allocator keeps its defaults", "mapped=%d kept=%d", MALLOC_MAPPED, MALLOC_KEPT);
}

int main(int argc, char **argv)
{
    struct app app = {.arena = arena_new(64 << 10), .lock_fd = -1};
    struct err err = {0};
    int status = read_options(argc, argv, &app.options);
    if (status < 0) {
        restart_calm(argv);
        set_allocator();
        umask(077);
        if (config_load(app.arena, app.options.config_file, environ, &app.config, &err) != ASSAY_OK)
            status = fail(&err);
        else if (app.options.print_config)
            config_print(&app.config, stdout);
        else
            status = run(&app);
    }
    err_clear(&err);
    if (app.lock_fd >= 0)
        close(app.lock_fd);
    arena_free(app.arena);
    return status < 0 ? EXIT_SUCCESS : status;
}
