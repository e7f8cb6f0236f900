/* The embeddings client against a small endpoint of its own on the loopback: one thread, scripted answers. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json_read.h"
#include "outbound/embeddings.h"
#include "server/endpoint_keys.h"

enum { DIM = 3, ANSWERS_MAX = 8 };

/* One scripted answer. body NULL: a right one, made of the request (embedding i is {len, index, 1}), last text first.
 */
struct answer {
    int status;
    const char *headers, *body;
    bool hang_up;
};
struct endpoint {
    int fd;
    pthread_t thread;
    const struct answer *script;
    size_t n_script;
    char seen[ANSWERS_MAX][8192]; /* requests, whole */
    size_t n_seen;
};

static void answer_right(const char *request_body, char *out, size_t size)
{
    json_t *in = json_loads(request_body, 0, NULL);
    const json_t *input = json_object_get(in, "input");
    size_t n = json_array_size(input);
    json_t *data = json_array();
    for (size_t k = n; k > 0; k--) {
        size_t i = k - 1;
        int len = (int)json_string_length(json_array_get(input, i));
        json_array_append_new(data, json_pack("{s:i,s:s,s:[i,i,i]}", "index", (int)i, "object", "embedding",
                                              "embedding", len, (int)i, 1));
    }
    json_t *reply = json_pack("{s:s,s:o,s:s}", "object", "list", "data", data, "model", "m");
    char *text = json_dumps(reply, JSON_COMPACT);
    snprintf(out, size, "%s", text);
    free(text);
    json_decref(reply);
    json_decref(in);
}

static void read_request(int c, char *buf, size_t size)
{
    size_t have = 0;
    for (;;) {
        ssize_t n = read(c, buf + have, size - 1 - have);
        if (n <= 0)
            return;
        have += (size_t)n;
        buf[have] = '\0';
        const char *end = strstr(buf, "\r\n\r\n"), *cl = strcasestr(buf, "content-length:");
        if (end && cl && have >= (size_t)(end + 4 - buf) + strtoul(cl + 15, NULL, 10))
            return;
    }
}

static void *serve(void *ctx)
{
    struct endpoint *e = ctx;
    for (size_t i = 0; i < e->n_script; i++) {
        int c = accept(e->fd, NULL, NULL);
        if (c < 0)
            return NULL;
        const struct answer *a = &e->script[i];
        read_request(c, e->seen[i], sizeof e->seen[i]);
        e->n_seen++;
        if (!a->hang_up) {
            char body[16384], head[512];
            const char *start = strstr(e->seen[i], "\r\n\r\n");
            if (a->body)
                snprintf(body, sizeof body, "%s", a->body);
            else
                answer_right(start ? start + 4 : "", body, sizeof body);
            int n = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
                             a->status, strlen(body), a->headers ? a->headers : "");
            if (n <= 0 || write(c, head, (size_t)n) != n || write(c, body, strlen(body)) != (ssize_t)strlen(body))
                abort(); /* the peer reads everything */
        }
        close(c);
    }
    return NULL;
}

struct fixture {
    struct endpoint server;
    struct outbound *out;
    struct call call;
    struct embeddings_endpoint ep;
    struct err err;
    int calls;
};

static int setup(void **state)
{
    unsetenv("http_proxy");
    unsetenv("HTTP_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    struct fixture *f = mem_calloc(1, sizeof *f);
    f->out = outbound_new();
    f->call = (struct call){arena_new(4096), clock_mono_us() + 10 * CLOCK_SECOND, "test", "system:test"};
    *state = f;
    return f->out ? 0 : -1;
}

static void start(struct fixture *f, const struct answer *script, size_t n)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    f->server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(f->server.fd >= 0);
    assert_int_equal(bind(f->server.fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(f->server.fd, 8), 0);
    assert_int_equal(getsockname(f->server.fd, (struct sockaddr *)&at, &len), 0);
    f->server.script = script;
    f->server.n_script = n;
    f->ep = (struct embeddings_endpoint){
        .base_url = str_of(arena_printf(f->call.arena, "http://127.0.0.1:%d/v1", ntohs(at.sin_port))),
        .model = STR_LIT("m"),
        .key = STR_LIT("sesame"),
        .prefix = STR_LIT("d: "),
        .dim = DIM,
        .batch_size = 2,
        .timeout_ms = 2000,
        .retries = 2,
    };
    assert_int_equal(pthread_create(&f->server.thread, NULL, serve, &f->server), 0);
}

static void stop(struct fixture *f)
{
    shutdown(f->server.fd, SHUT_RDWR);
    pthread_join(f->server.thread, NULL);
    close(f->server.fd);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    err_clear(&f->err);
    outbound_free(f->out);
    arena_free(f->call.arena);
    free(f);
    return 0;
}

static const struct str texts[] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};

static void test_embeddings__batches_sorts_and_prefixes(void **state)
{
    struct fixture *f = *state;
    static const struct answer script[] = {{.status = 200}, {.status = 200}};
    float out[3 * DIM] = {0};
    start(f, script, 2);
    assert_int_equal(embeddings_get(f->out, &f->call, &f->ep, texts, 3, out, &f->calls, &f->err), ASSAY_OK);
    stop(f);
    assert_int_equal(f->calls, 2);                   /* 2 + 1 */
    assert_true(out[0] == 4 && out[1] == 0);         /* "d: a" */
    assert_true(out[DIM] == 5 && out[DIM + 1] == 1); /* "d: bb", second of its batch, though sent first */
    assert_true(out[2 * DIM] == 6 && out[2 * DIM + 1] == 0);
    assert_non_null(strstr(f->server.seen[0], "POST /v1/embeddings "));
    assert_non_null(strstr(f->server.seen[0], "Authorization: Bearer sesame\r\n"));
    assert_non_null(strstr(f->server.seen[0], "\"model\":\"m\""));
}

static void test_embeddings__reads_base64_floats(void **state)
{
    struct fixture *f = *state;
    /* 1.0, -2.0, 0.5 as little-endian float32 */
    static const struct answer script[] = {
        {.status = 200, .body = "{\"data\":[{\"index\":0,\"embedding\":\"AACAPwAAAMAAAAA/\"}]}"}};
    float out[DIM];
    start(f, script, 1);
    assert_int_equal(embeddings_get(f->out, &f->call, &f->ep, texts, 1, out, &f->calls, &f->err), ASSAY_OK);
    stop(f);
    assert_true(out[0] == 1.0f && out[1] == -2.0f && out[2] == 0.5f);
}

static void test_embeddings__tries_again_what_may_pass(void **state)
{
    struct fixture *f = *state;
    static const struct answer script[] = {{.status = 429, .body = "{}"}, {.hang_up = true}, {.status = 200}};
    float out[DIM];
    start(f, script, 3);
    assert_int_equal(embeddings_get(f->out, &f->call, &f->ep, texts, 1, out, &f->calls, &f->err), ASSAY_OK);
    stop(f);
    assert_int_equal(f->calls, 3);
}

static void test_embeddings__gives_up_after_its_retries(void **state)
{
    struct fixture *f = *state;
    static const struct answer script[] = {
        {.status = 500, .body = ""}, {.status = 503, .body = ""}, {.status = 502, .body = ""}};
    float out[DIM];
    start(f, script, 3);
    assert_int_equal(embeddings_get(f->out, &f->call, &f->ep, texts, 1, out, &f->calls, &f->err), ASSAY_UNAVAILABLE);
    stop(f);
    assert_string_equal(f->err.slug, "embedder-unavailable");
    assert_int_equal(f->calls, 3);
}

static void test_embeddings__does_not_wait_past_the_deadline(void **state)
{
    struct fixture *f = *state;
    static const struct answer script[] = {{.status = 429, .headers = "Retry-After: 3600\r\n", .body = "{}"}};
    float out[DIM];
    start(f, script, 1);
    int64_t before = clock_mono_us();
    assert_int_equal(embeddings_get(f->out, &f->call, &f->ep, texts, 1, out, &f->calls, &f->err), ASSAY_UNAVAILABLE);
    stop(f);
    assert_true(clock_mono_us() - before < 2 * CLOCK_SECOND);
    assert_int_equal(f->calls, 1);
}

static void test_embeddings__does_not_repeat_a_refusal_nor_follow_redirects(void **state)
{
    struct fixture *f = *state;
    static const struct answer script[] = {{.status = 401, .body = "{}"}};
    static const struct answer moved[] = {{.status = 302, .headers = "Location: http://127.0.0.1:1/\r\n", .body = ""}};
    float out[DIM];
    start(f, script, 1);
    assert_int_equal(embeddings_get(f->out, &f->call, &f->ep, texts, 1, out, &f->calls, &f->err), ASSAY_UPSTREAM);
    assert_string_equal(f->err.slug, "embedder-refused");
    stop(f);
    assert_int_equal(f->calls, 1);
    start(f, moved, 1);
    assert_int_equal(embeddings_get(f->out, &f->call, &f->ep, texts, 1, out, &f->calls, &f->err), ASSAY_UPSTREAM);
    stop(f);
}

static void test_embeddings__refuses_answers_that_cannot_be_used(void **state)
{
    struct fixture *f = *state;
    static const char *const bodies[] = {
        "not json",
        "{\"data\":[]}",
        "{\"data\":[{\"index\":1,\"embedding\":[1,2,3]}]}",
        "{\"data\":[{\"embedding\":[1,2,3]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[0,0,0]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2,1e39]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2,\"3\"]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":\"AACAPwAA\"}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[[1],[2],[3]]}]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct answer script = {.status = 200, .body = bodies[i]};
        float out[DIM];
        start(f, &script, 1);
        assert_int_equal(embeddings_get(f->out, &f->call, &f->ep, texts, 1, out, &f->calls, &f->err), ASSAY_UPSTREAM);
        assert_string_equal(f->err.slug, "embedder-answer");
        stop(f);
    }
}

static void test_endpoint_key__needs_a_private_file(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/assay-keys-XXXXXX";
    int fd = mkstemp(path);
    struct str key;
    const char text[] = "# keys\nother = x\n tei = s3cret \nbad = two words\n";
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(endpoint_key_get(f->call.arena, path, STR_LIT("tei"), &key, &f->err), ASSAY_OK);
    assert_true(str_eqc(key, "s3cret"));
    assert_int_equal(endpoint_key_get(f->call.arena, path, STR_LIT("absent"), &key, &f->err), ASSAY_UNAVAILABLE);
    assert_int_equal(endpoint_key_get(f->call.arena, path, STR_LIT("bad"), &key, &f->err), ASSAY_UNAVAILABLE);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(endpoint_key_get(f->call.arena, path, STR_LIT("tei"), &key, &f->err), ASSAY_UNAVAILABLE);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_embeddings__batches_sorts_and_prefixes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embeddings__reads_base64_floats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embeddings__tries_again_what_may_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embeddings__gives_up_after_its_retries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embeddings__does_not_wait_past_the_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embeddings__does_not_repeat_a_refusal_nor_follow_redirects, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_embeddings__refuses_answers_that_cannot_be_used, setup, teardown),
        cmocka_unit_test_setup_teardown(test_endpoint_key__needs_a_private_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
