"""The HTTP surface: headers, methods, limits, Idempotency-Key, tracing, TLS."""
import http.client
import json
import re
import socket
import subprocess
import threading
import time
import uuid

import pytest
import requests

from harness.api import Api


def talk(server, data, timeout=10, pause=None, chunk=None):
    """Sends raw bytes on a socket and returns what comes back until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as s:
        try:
            if chunk:
                for i in range(0, len(data), chunk):
                    s.sendall(data[i:i + chunk])
                    time.sleep(pause)
            else:
                s.sendall(data)
        except OSError:
            pass  # closed on us while we were sending, which may be the answer
        out = b""
        try:
            while part := s.recv(65536):
                out += part
                head, _, body = out.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if length and len(body) >= int(length[1]):
                    break
        except (socket.timeout, ConnectionError):
            pass
        return out


def status_of(raw):
    found = re.match(rb"HTTP/1\.1 (\d{3})", raw)
    return int(found[1]) if found else None


def test_request_id_is_taken_when_it_is_fit_and_made_when_not(api):
    assert api.get("/healthz", headers={"X-Request-Id": "my.request_1-x"}).headers["X-Request-Id"] == "my.request_1-x"
    for bad in ("x" * 65, "a b", "ä".encode().decode("latin1"), "<script>", ""):
        made = api.get("/healthz", headers={"X-Request-Id": bad}).headers["X-Request-Id"]
        assert made != bad and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", made)
    problem = api.problem("GET", "/collections/none", 404, headers={"X-Request-Id": "trace-me"})
    assert problem["request_id"] == "trace-me"


def test_traceparent_is_continued_when_valid_and_ignored_when_not(api):
    trace = "0af7651916cd43dd8448eb211c80319c"
    reply = api.get("/healthz", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    version, trace_back, span, flags = reply.headers["traceparent"].split("-")
    assert (version, trace_back, flags) == ("00", trace, "01") and span != "b7ad6b7169203331"
    for bad in (f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{trace}-{'0' * 16}-01", f"ff-{trace}-b7ad6b7169203331-01",
                "nonsense", f"00-{trace.upper()}-b7ad6b7169203331-01", f"00-{trace}-b7ad6b7169203331-01-extra"):
        back = api.get("/healthz", headers={"traceparent": bad}).headers.get("traceparent", "")
        assert trace not in back


def test_unknown_paths_are_404_problems(api):
    for path in ("/nothing", "/", "/documents/x/y/z", "/search/", "/Search", "/keys/../healthz%2f"):
        reply = api.raw("GET", path)
        assert reply.status_code in (404, 401), path
        assert reply.headers["Content-Type"].startswith("application/problem+json")


def test_doubled_slash_is_another_path(server):
    # Spoken by hand: HTTP clients tidy such a path up.
    reply = talk(server, b"GET //search?q=x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 404 ")


def test_known_path_with_another_method_is_405_with_allow(api):
    for method, path, allowed in (("PUT", "/search", {"GET", "POST"}), ("DELETE", "/search", {"GET", "POST"}),
                                  ("POST", "/healthz", {"GET"}), ("PATCH", "/keys", {"GET", "POST"}),
                                  ("GET", "/sources/x/block", {"POST"}), ("BREW", "/search", {"GET", "POST"})):
        reply = api.raw(method, path)
        assert reply.status_code == 405, (method, path, reply.status_code)
        assert reply.headers["Content-Type"].startswith("application/problem+json")
        assert allowed <= {m.strip() for m in reply.headers["Allow"].split(",")}


def test_replies_are_not_cached_nor_sniffed(api):
    headers = api.get("/collections").headers
    assert "no-store" in headers["Cache-Control"] and headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", None,
                                          "multipart/form-data; boundary=x", "application/jsonx", "json"])
def test_other_content_types_are_415(api, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    api.problem("POST", "/search", 415, data=b'{"query":"x"}', headers=headers)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON",
                                          "application/vnd.example+json"])
def test_json_content_types_are_taken(api, content_type):
    api.call("POST", "/search", 200, data=b'{"query":"x"}', headers={"Content-Type": content_type})


@pytest.mark.parametrize("body", [
    b"", b"{", b"}", b"[]", b'"x"', b"null", b"nul", b'{"query":}', b'{"query":"x"', b'{"query":"x"}}', b"{'query':'x'}",
    b'{"query":"x","query":"y"}', b'{"query":"\xff\xfe"}', b'{"query":"\xc0\xaf"}', b'{"query":"\xed\xa0\x80"}',
    b'{"query":"a\x00b"}', b'{"query":"a\\u0000b"}', b'{"query":"\\ud800"}', b'{"query":"x","k":1e999}',
    b'{"query":"x","k":99999999999999999999999}', b'{"query":"x","k":-1}', b'{"query":"x","k":NaN}',
    b'{"query":"x","k":Infinity}', b'{"query":"x","k":01}', b'{"query":"x",}', b'\xef\xbb\xbf{"query":"x"}',
    b'{"query":"x","filter":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}", b"[" * 100000,
    b'{"query":"x","vector":[1,2,', b'{"query":"x","vector":[1e400]}', b'{"query":"x","vector":[1,null]}',
    b'{"query":"x","vector":[' + b"1," * 100000 + b"1]}", b'{"query":"\t"}', b'{"query":"x"} trailing',
])
def test_malformed_body_is_a_precise_400(api, body):
    problem = api.problem("POST", "/search", 400, data=body, headers={"Content-Type": "application/json"})
    assert problem["detail"]


def test_body_that_is_too_large_is_413_before_it_is_read(new_server):
    server = new_server(body_max="64k")
    api = server.admin()
    api.problem("POST", "/search", 413, json={"query": "x" * 70000})
    head = (f"POST /search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\nContent-Type: application/json\r\n"
            "Content-Length: 99999999999\r\n\r\n").encode()
    began = time.monotonic()
    assert status_of(talk(server, head)) == 413
    assert time.monotonic() - began < 5
    huge = (f"POST /search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n").encode() + b"8000\r\n" + b"a" * 0x8000 + b"\r\n" + b"8000\r\n" + \
        b"a" * 0x8000 + b"\r\n8000\r\n" + b"a" * 0x8000 + b"\r\n0\r\n\r\n"
    assert status_of(talk(server, huge)) == 413
    api.post("/search", {"query": "small enough"}, 200)


def test_oversized_headers_and_uris_are_refused(api, server):
    line = f"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Big: {'a' * 200000}\r\n\r\n".encode()
    assert status_of(talk(server, line)) in (431, 413, None)
    many = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(20000)) + b"\r\n"
    assert status_of(talk(server, many)) in (431, 413, None)
    assert status_of(talk(server, b"GET /healthz?" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")) in (400, 414, 431, None)
    reply = api.raw("GET", "/search?q=" + "a" * 12000)
    assert reply.status_code in (400, 413, 414, 431)
    api.get("/healthz")


def test_slow_body_is_408_and_does_not_hold_up_others(new_server):
    server = new_server(request_timeout_s=2, idle_timeout_s=60)
    api = server.admin()
    head = (f"POST /search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\nContent-Type: application/json\r\n"
            "Content-Length: 1000\r\n\r\n").encode()
    results = []

    def drip():
        began = time.monotonic()
        raw = talk(server, head + b" " * 100, timeout=15, pause=0.1, chunk=len(head) // 10 or 1)
        results.append((status_of(raw), time.monotonic() - began))

    slow = [threading.Thread(target=drip) for _ in range(8)]
    for thread in slow:
        thread.start()
    for _ in range(20):
        began = time.monotonic()
        api.post("/search", {"query": "quick"}, 200)
        assert time.monotonic() - began < 2
    for thread in slow:
        thread.join()
    assert all(status in (408, None) for status, _ in results), results
    assert any(status == 408 for status, _ in results), results
    assert all(took < 12 for _, took in results), "one byte now and then does not keep a connection for ever"


def test_half_a_request_line_and_plain_garbage_harm_nobody(api, server):
    for data in (b"", b"\r\n\r\n", b"GET", b"GET /healthz", b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 1000,
                 b"GET /healthz HTTP/9.9\r\n\r\n", b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                 b"POST /search HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                 b"POST /search HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                 b"POST /search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n"):
        assert status_of(talk(server, data, timeout=1)) != 200
    api.get("/healthz")


@pytest.mark.parametrize("path", ["/documents/%zz", "/documents/%", "/documents/%00", "/documents/%ff%fe",
                                  "/search?q=%zz", "/search?q=%ff%fe", "/search?q=%00", "/documents?cursor=%00"])
def test_broken_percent_encoding_is_a_400(api, server, path):
    raw = talk(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n\r\n".encode())
    assert status_of(raw) in (400, 404), raw[:300]


def test_keep_alive_serves_many_requests_on_one_connection(api, server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.connect()
    mine = connection.sock
    for n in range(50):
        body = json.dumps({"query": f"number {n}"})
        connection.request("POST", "/search", body, {"Authorization": f"Bearer {api.key}",
                                                     "Content-Type": "application/json"})
        reply = connection.getresponse()
        assert reply.status == 200 and json.loads(reply.read())["hits"] is not None
        assert connection.sock is mine
    connection.close()


def test_expect_100_continue_is_answered(api, server):
    body = b'{"query":"x"}'
    head = (f"POST /search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n").encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as s:
        s.sendall(head)
        assert b"100" in s.recv(1000).split(b"\r\n")[0]
        s.sendall(body)
        assert b" 200 " in s.recv(65536).split(b"\r\n")[0]


# ---- Idempotency-Key ----

def test_idempotency_key_replays_the_first_reply(api, collection):
    headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    body = {"collection": collection, "name": "once", "owner": "o"}
    first = api.post("/sources", body, 201, headers=headers)
    again = api.post("/sources", body, 201, headers=headers)
    assert again.json() == first.json() and again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    api.problem("POST", "/sources", 409, "source-exists", json=body)
    api.problem("POST", "/sources", 422, json={**body, "owner": "another"}, headers=headers)


def test_idempotency_key_replays_errors_too_and_belongs_to_one_key(api, collection):
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"collection": collection, "source": "late", "id": "x", "text": "A text whose source is not there yet."}
    api.problem("POST", "/documents", 422, "unknown-source", json=body, headers=headers)
    api.source(collection, "late")
    api.problem("POST", "/documents", 422, "unknown-source", json=body, headers=headers)
    other = api.key_for("idem-" + uuid.uuid4().hex[:6], ["write"])
    other.post("/documents", body, 201, headers=headers)


def test_parallel_requests_with_one_idempotency_key_do_the_work_once(api, collection):
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"collection": collection, "source": "src", "id": "once",
            "text": "This document is sent by ten clients at the same moment with one and the same key."}
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(
        Api(api.server, api.key).call("POST", "/documents", (200, 201, 409), json=body, headers=headers).status_code))
        for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 10 and 201 in statuses and 200 not in statuses
    assert len(api.get(f"/documents/once/versions?collection={collection}").json()["items"]) == 1


@pytest.mark.parametrize("value", ['""', "x" * 256, '"unclosed'])
def test_faulty_idempotency_key_is_refused(api, collection, value):
    api.problem("POST", "/sources", 400, json={"collection": collection, "name": "n"}, headers={"Idempotency-Key": value})


# ---- cursors ----

def test_cursor_belongs_to_its_list_and_cannot_be_made_up(api, collection):
    for n in range(3):
        api.source(collection, f"s{n}")
    cursor = api.get(f"/sources?collection={collection}&limit=1").json()["next"]
    assert cursor
    assert api.get(f"/sources?collection={collection}&limit=1000").json()["next"] is None
    assert len(api.pages(f"/sources?collection={collection}", limit=2)) == 4 and len(api.pages("/collections", limit=1)) > 1
    api.problem("GET", f"/documents?collection={collection}&cursor={cursor}", 400)
    for bad in ("x", "!!!", cursor[:-2], "A" * 500):
        api.problem("GET", f"/sources?collection={collection}&cursor={bad}", 400)
    for bad in ("0", "-1", "1001", "x", ""):
        api.problem("GET", f"/sources?collection={collection}&limit={bad}", 400)
    api.problem("GET", f"/sources?collection={collection}&colour=red", 400, pointer="?colour")


# ---- TLS ----

def test_tls_with_a_certificate_and_key_file(new_server, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True,
                   capture_output=True)
    key.chmod(0o600)
    server = new_server(tls_cert=cert, tls_key=key)
    api = server.admin()
    api.get("/collections")
    assert requests.get(f"https://127.0.0.1:{server.port}/healthz", verify=str(cert), timeout=5).status_code == 200
    assert status_of(talk(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", timeout=2)) != 200
