#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/metrics_internal.h"
#include "server/server.h"
#include "store/quality.h"

/* The parts that metrics_write asks, in place of the real ones. */
static struct collection one = {.id = 1, .name = STR_LIT("default")};

struct collection *catalog_at(struct catalog *c, size_t i)
{
    (void)c;
    return i == 0 ? &one : NULL;
}

void collection_stats(struct collection *c, struct vindex_stats *out)
{
    (void)c;
    *out = (struct vindex_stats){.seq = 9, .slots = 5, .memory_bytes = 1000, .chunks_by_state = {[CHUNK_ACTIVE] = 4}};
}

const char *chunk_state_name(enum chunk_state s)
{
    static const char *const names[] = {"pending", "active", "quarantined", "retired"};
    return names[s];
}

const char *const quarantine_reason_names[REASON_COUNT + 1] = {
    "stale",  "unvalidated",    "failed_check", "low_quality", "duplicate", "superseded", "contradiction",
    "unsafe", "source_blocked", "ineffective",  "manual",      "upstream",  NULL};

double follower_lag_seconds(const struct follower *f)
{
    (void)f;
    return 1.5;
}

bool follower_healthy(const struct follower *f)
{
    (void)f;
    return true;
}

void receipts_stats(struct receipts *rs, int64_t *kept, int64_t *dropped, int64_t *pending)
{
    (void)rs;
    *kept = 7;
    *dropped = 0;
    *pending = 1;
}

void store_pool_stats(struct store *s, struct store_pool_stats *out)
{
    (void)s;
    *out = (struct store_pool_stats){.size = 4, .idle = 3, .in_use = 1, .available = true};
}

static enum assay_code quality_code;

enum assay_code store_quality_sources(struct store *s, const struct call *call, int32_t collection, int64_t now_us,
                                      struct quality_source_row **out, size_t *n, struct err *err)
{
    (void)s, (void)collection, (void)now_us;
    *out = ARENA_NEW(call->arena, struct quality_source_row);
    **out = (struct quality_source_row){.chunks = {[CHUNK_ACTIVE] = 3, [CHUNK_QUARANTINED] = 1, [CHUNK_RETIRED] = 100},
                                        .bytes = {[CHUNK_ACTIVE] = 30, [CHUNK_QUARANTINED] = 30},
                                        .usable_chunks = 3,
                                        .usable_bytes = 30,
                                        .documents = 2,
                                        .fresh = 4};
    *n = 1;
    return quality_code == ASSAY_OK ? ASSAY_OK : err_set(err, quality_code, NULL, "away");
}

enum assay_code store_quarantine_counts(struct store *s, const struct call *call, int32_t collection,
                                        int64_t counts[REASON_COUNT], struct err *err)
{
    (void)s, (void)call, (void)collection, (void)err;
    counts[REASON_STALE] = 6;
    return ASSAY_OK;
}

static struct server server;

static int set_up(void **state)
{
    (void)state;
    server.metrics = metrics_new();
    server.workers = workers_new(1, 1);
    quality_code = ASSAY_OK;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    metrics_free(server.metrics);
    workers_free(server.workers);
    return 0;
}

static struct buf written(bool openmetrics)
{
    struct buf out = {0};
    metrics_write(&server, openmetrics, &out);
    buf_cstr(&out);
    return out;
}

static void has(const struct buf *b, const char *line)
{
    if (!strstr(b->data, line))
        fail_msg("lacks: %s", line);
}

static void test_metrics_write__counts_requests_by_operation_and_status(void **state)
{
    (void)state;
    metrics_request(server.metrics, "search", 200, 90);
    metrics_request(server.metrics, "search", 200, 100);
    metrics_request(server.metrics, "search", 404, 101);
    metrics_request(server.metrics, "search", 418, 20000000);
    struct buf b = written(false);
    has(&b, "assay_http_requests_total{operation=\"search\",status=\"200\"} 2\n");
    has(&b, "assay_http_requests_total{operation=\"search\",status=\"404\"} 1\n");
    has(&b, "assay_http_requests_total{operation=\"search\",status=\"other\"} 1\n");
    has(&b, "assay_http_request_duration_seconds_bucket{operation=\"search\",le=\"0.0001\"} 2\n"); /* a bound is
                                                                                                      inclusive */
    has(&b, "assay_http_request_duration_seconds_bucket{operation=\"search\",le=\"0.00025\"} 3\n");
    has(&b, "assay_http_request_duration_seconds_bucket{operation=\"search\",le=\"10\"} 3\n");
    has(&b, "assay_http_request_duration_seconds_bucket{operation=\"search\",le=\"+Inf\"} 4\n");
    has(&b, "assay_http_request_duration_seconds_count{operation=\"search\"} 4\n");
    has(&b, "assay_http_request_duration_seconds_sum{operation=\"search\"} 20.000291\n");
    buf_free(&b);
}

static void test_metrics_refresh__keeps_the_last_figures_when_postgresql_is_away(void **state)
{
    (void)state;
    metrics_refresh(&server);
    struct buf b = written(false);
    has(&b, "assay_usable_ratio{collection=\"default\"} 0.75\n"); /* retired chunks do not count */
    has(&b, "assay_usable_bytes_ratio{collection=\"default\"} 0.5\n");
    has(&b, "assay_quarantine_entries{collection=\"default\",reason=\"stale\"} 6\n");
    has(&b, "assay_documents{collection=\"default\"} 2\n");
    buf_free(&b);
    quality_code = ASSAY_UNAVAILABLE;
    metrics_refresh(&server);
    b = written(false);
    has(&b, "assay_usable_ratio{collection=\"default\"} 0.75\n");
    buf_free(&b);
}

static void test_metrics_write__openmetrics_differs_where_it_must(void **state)
{
    (void)state;
    metrics_request(server.metrics, "search", 200, 90);
    struct buf b = written(true);
    has(&b, "# TYPE assay_http_requests counter\n");
    has(&b, "assay_http_requests_total{operation=\"search\",status=\"200\"} 1\n");
    has(&b, "le=\"1.0\"");
    assert_string_equal(b.data + b.len - 6, "# EOF\n");
    buf_free(&b);
    b = written(false);
    has(&b, "# TYPE assay_http_requests_total counter\n");
    assert_null(strstr(b.data, "# EOF"));
    buf_free(&b);
}

static void test_metrics_write__one_family_one_block(void **state)
{
    (void)state;
    metrics_refresh(&server);
    struct buf b = written(false);
    for (const char *p = b.data; (p = strstr(p, "# TYPE ")) != NULL;) {
        size_t len = strcspn(p + 7, " ") + 8;
        assert_null(strstr(p + 7, arena_strndup(*state, p, len + 7 - 1)));
        p += 7;
    }
    buf_free(&b);
}

/* Runs `promtool check metrics` over the text; its exit status, 127 when it is not installed. */
static int promtool(const struct buf *text)
{
    int pipe_fds[2], status = 0;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(pipe_fds[0], STDIN_FILENO);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        execlp("promtool", "promtool", "check", "metrics", (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[0]);
    signal(SIGPIPE, SIG_IGN);
    for (size_t at = 0; at < text->len;) {
        ssize_t n = write(pipe_fds[1], text->data + at, text->len - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(pipe_fds[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_metrics_write__passes_promtool(void **state)
{
    (void)state;
    metrics_refresh(&server);
    metrics_request(server.metrics, "search", 200, 90);
    int64_t before = metrics_searches(server.metrics);
    metrics_search(server.metrics, VINDEX_HYBRID, true, 0, 10);
    metrics_search(server.metrics, VINDEX_LEXICAL, false, 3, INT64_C(1) << 40);
    assert_int_equal(metrics_searches(server.metrics), before + 2);
    struct buf b = written(false);
    int status = promtool(&b);
    buf_free(&b);
    if (status == 127)
        skip();
    assert_int_equal(status, 0);
}

static int arena_up(void **state)
{
    *state = arena_new(65536);
    return set_up(state);
}

static int arena_down(void **state)
{
    arena_free(*state);
    return tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_metrics_write__counts_requests_by_operation_and_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_metrics_refresh__keeps_the_last_figures_when_postgresql_is_away, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_metrics_write__openmetrics_differs_where_it_must, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_metrics_write__one_family_one_block, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(test_metrics_write__passes_promtool, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
