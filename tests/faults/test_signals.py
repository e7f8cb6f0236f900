"""Signals: SIGTERM ends the process without breaking a request, SIGHUP reads keys and log level again."""
import http.client
import json
import signal
import socket
import threading
import time

import pytest

from harness.documents import article
from harness.load import Load
from harness.server import wait_until


def test_sigterm_under_load_finishes_requests_under_way_and_refuses_new_ones(new_server):
    server = new_server(drain_timeout_s=20)
    api = server.admin()
    api.source("default", "src")
    acknowledged, statuses = set(), set()

    def work(n, mine):
        if n % 3:
            reply = mine.raw("POST", "/search", json={"query": "glacier"}, timeout=30)
        else:
            key = f"w{n}"
            reply = mine.raw("POST", "/documents", timeout=30, json={
                "source": "src", "id": key, "text": article(n, 2, f"m{n}"), "media_type": "text/markdown"})
            if reply.status_code == 201:
                acknowledged.add(key)
        statuses.add(reply.status_code)
        return reply.status_code

    load = Load(api, work, threads=6)
    wait_until("some work", lambda: len(acknowledged) > 10)
    # A bulk body that is half sent when the signal comes.
    lines = [json.dumps({"source": "src", "id": f"b{n}", "text": f"Line {n} of the body that was under way at the end."})
             for n in range(20)]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    body = ("\n".join(lines) + "\n").encode()
    connection.putrequest("POST", "/documents")
    for name, value in (("Authorization", f"Bearer {api.key}"), ("Content-Type", "application/x-ndjson"),
                        ("Content-Length", str(len(body)))):
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(body[:len(body) // 2])
    time.sleep(0.3)
    server.signal(signal.SIGTERM)
    time.sleep(0.3)
    connection.send(body[len(body) // 2:])
    reply = connection.getresponse()
    report = json.loads(reply.read())
    assert reply.status == 200 and report["accepted"] == 20, "a request under way is finished"
    assert server.process.wait(40) == 0
    load.stop()
    assert statuses <= {200, 201, 503}, statuses
    server.start()
    listed = {d["id"] for d in api.pages("/documents", limit=500)}
    assert acknowledged <= listed and {f"b{n}" for n in range(20)} <= listed


def test_while_it_drains_new_requests_get_503_and_the_probe_says_so(new_server):
    server = new_server(drain_timeout_s=15)
    api = server.admin()
    api.source("default", "src")
    held = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    held.sendall((f"POST /search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n"
                  "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n").encode())
    waiting = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    waiting.request("GET", "/healthz")
    waiting.getresponse().read()
    time.sleep(0.2)
    server.signal(signal.SIGTERM)
    time.sleep(0.5)
    waiting.request("GET", "/collections", headers={"Authorization": f"Bearer {api.key}"})
    reply = waiting.getresponse()
    problem = json.loads(reply.read())
    assert reply.status == 503 and reply.headers["Retry-After"] and reply.headers["Connection"].lower() == "close"
    assert problem["status"] == 503
    held.sendall(b'{"query":"x"}')
    assert b" 200 " in held.recv(65536).split(b"\r\n")[0], "what was under way is answered"
    held.close()
    assert server.process.wait(30) == 0


def test_sigterm_ends_although_a_client_stalls(new_server):
    server = new_server(drain_timeout_s=2, request_timeout_s=60)
    api = server.admin()
    stalled = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    stalled.sendall((f"POST /documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n"
                     "Content-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n{").encode())
    idle = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    time.sleep(0.3)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 15
    stalled.close()
    idle.close()


def test_sigterm_ends_event_streams(new_server):
    server = new_server(drain_timeout_s=5)
    api = server.admin()
    api.source("default", "src")
    body = "".join(json.dumps({"source": "src", "id": f"d{n}", "text": article(n, 3, f"m{n}"), "media_type": "text/markdown"})
                   + "\n" for n in range(1000)).encode()
    job = api.call("POST", "/documents?async=true", 202, data=body,
                   headers={"Content-Type": "application/x-ndjson"}).json()["job"]
    reading = threading.Thread(target=lambda: list(api.raw("GET", f"/jobs/{job}/events", stream=True).iter_content(100)),
                               daemon=True)
    reading.start()
    time.sleep(0.5)
    assert server.stop() == 0
    reading.join(10)
    server.start()
    wait_until("the job to be taken up again and end",
               lambda: api.get(f"/jobs/{job}").json()["state"] == "succeeded", 60, 0.1)


def test_sigint_is_sigterm(new_server):
    server = new_server()
    server.signal(signal.SIGINT)
    assert server.process.wait(20) == 0


def test_sighup_takes_over_the_log_level(new_server, tmp_path):
    config = tmp_path / "assay.conf"
    config.write_text("# as an operator writes it\nlog_level = warn\n")
    server = new_server(log_level=None, config=config)
    api = server.admin()
    api.get("/collections", headers={"X-Request-Id": "before-hup"})
    api.get("/collections")  # on the same connection: by now the line of the one before has been dealt with
    config.write_text("log_level = debug\n")
    server.signal(signal.SIGHUP)

    def logged():
        api.get("/collections", headers={"X-Request-Id": "after-hup"})
        return "after-hup" in server.log()
    wait_until("debug lines", logged, 5, 0.1)
    assert "before-hup" not in server.log()
    assert server.running()


def test_sighup_under_load_disturbs_nobody(new_server):
    server = new_server()
    api = server.admin()

    def work(n, mine):
        status = mine.raw("POST", "/search", json={"query": "x"}, timeout=10).status_code
        assert status == 200
        return status

    load = Load(api, work, threads=3)
    for _ in range(30):
        server.signal(signal.SIGHUP)
        time.sleep(0.02)
    outcomes = load.stop()
    assert outcomes and not load.broken and server.running()


@pytest.mark.parametrize("number", [signal.SIGPIPE])
def test_other_signals_are_ignored(new_server, number):
    server = new_server()
    server.signal(number)
    time.sleep(0.2)
    assert server.admin().get("/healthz").status_code == 200
