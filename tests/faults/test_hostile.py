"""Invariant 5: bad input gets a precise 4xx and changes nothing; it does not crash, hang or bloat the server."""
import base64
import io
import json
import random
import socket
import threading
import time
import zipfile
import zlib

import pytest
import requests

from harness.documents import article
from harness.server import SANITIZED, SANITIZER_REPORTS, wait_until

J = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def filled(api):
    api.source("default", "src")
    for n in range(5):
        api.put("default", f"d{n}", article(n), media_type="text/markdown")
    return api


def state(api):
    documents = api.get("/documents").json()["items"]
    return ([(d["id"], d["version"]) for d in documents], [s["name"] for s in api.get("/sources").json()["items"]],
            [c["name"] for c in api.get("/collections").json()["items"]], len(api.entries("default", state="all")),
            len(api.get("/keys").json()["items"]), api.search("default", "x", k=1)["commit"])


def mutate(rng, text):
    """One way or another this is no valid request any more, or names nothing that is there."""
    kind = rng.randrange(9)
    data = text.encode()
    if kind == 0:
        return data[:rng.randrange(1, len(data))]
    if kind == 1:
        return data[:rng.randrange(1, len(data))] + bytes([rng.randrange(128, 256)]) + data[-3:]
    if kind == 2:
        value = json.loads(text)
        value[rng.choice(list(value))] = rng.choice([None, 17, -1e308, [], {}, True, [[]], {"a": {}}])
        value["surplus"] = 1
        return json.dumps(value).encode()
    if kind == 3:
        return b"[" * rng.randrange(2, 5000) + data
    if kind == 4:
        value = json.loads(text)
        value["k"] = 10 ** rng.randrange(20, 300)
        value["surplus"] = 1
        return json.dumps(value).encode()
    if kind == 5:
        return data.replace(b'"', b"'", 1)
    if kind == 6:
        return data + rng.choice([b"}", b"x", b"\x00", b"{}", b","])
    if kind == 7:
        return data.replace(b":", b":" + b'{"a":' * rng.randrange(65, 400), 1)
    return bytes(rng.randrange(256) for _ in range(rng.randrange(1, 2000)))


TARGETS = [
    ("POST", "/search", {"query": "glacier", "k": 3, "filter": {"a": 1}}),
    ("POST", "/documents", {"source": "src", "id": "never", "text": "This must never be stored by a faulty request."}),
    ("POST", "/sources", {"name": "never", "owner": "o"}),
    ("PATCH", "/sources/src", {"owner": "never"}),
    ("POST", "/sources/src/block", {"reason": "never"}),
    ("POST", "/quarantine", {"document": "d0", "note": "never"}),
    ("POST", "/quarantine/sweep", {"collection": "default", "dry_run": False}),
    ("POST", "/collections", {"name": "never"}),
    ("POST", "/keys", {"name": "never", "scopes": ["read"]}),
    ("POST", "/lineage", {"eventTime": "2026-01-01T00:00:00Z", "producer": "https://x", "job": {"namespace": "a", "name": 3}}),
]


@pytest.mark.slow
def test_thousand_malformed_requests_are_refused_and_memory_stays_flat(filled, server):
    api = filled
    rng = random.Random(20)
    before = state(api)

    def salvo(count):
        for n in range(count):
            method, path, body = TARGETS[n % len(TARGETS)]
            reply = api.raw(method, path, data=mutate(rng, json.dumps(body)), headers=J, timeout=30)
            assert 400 <= reply.status_code < 500, (method, path, reply.status_code, reply.text[:200])
            assert reply.headers["Content-Type"].startswith("application/problem+json")
            problem = reply.json()
            assert problem["status"] == reply.status_code and problem["detail"]

    salvo(300)
    warm, descriptors = server.rss(), server.descriptors()
    salvo(1000)
    assert state(api) == before, "bad input changes nothing"
    grown = server.rss() - warm
    allowed = 24 << 20 if not SANITIZED else 400 << 20  # a sanitizer keeps freed memory for a while
    assert grown < allowed, f"grew by {grown >> 20} MiB"
    assert server.descriptors() <= descriptors + 8


def test_large_bodies_do_not_stay_in_memory(filled, server):
    api = filled
    big = b'{"query":"' + b"a" * (12 << 20) + b'"}'
    for _ in range(2):
        assert api.raw("POST", "/search", data=big, headers=J).status_code in (400, 413)
    warm = server.rss()
    for _ in range(12):
        assert api.raw("POST", "/search", data=big, headers=J).status_code in (400, 413)
        assert api.raw("POST", "/search", data=b"[" + b"1," * (5 << 20) + b"1]", headers=J).status_code in (400, 413)
    grown = server.rss() - warm
    assert grown < (80 << 20 if not SANITIZED else 600 << 20), f"grew by {grown >> 20} MiB"


def test_connections_that_say_nothing_do_not_keep_others_out(filled, server):
    silent = []
    try:
        for _ in range(200):
            silent.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
        for s in silent[::3]:
            s.sendall(b"POST /search HTTP/1.1\r\nHost: x\r\n")
        began = time.monotonic()
        for _ in range(10):
            filled.search("default", "glacier")
        assert time.monotonic() - began < 5
    finally:
        for s in silent:
            s.close()


def test_connections_beyond_the_limit_are_refused_and_room_comes_back(new_server):
    server = new_server(connection_max=16, idle_timeout_s=2)
    api = server.admin()
    many = []
    for _ in range(40):
        try:
            many.append(socket.create_connection(("127.0.0.1", server.port), timeout=2))
        except OSError:
            break
    time.sleep(0.2)
    assert server.running()
    for s in many:
        s.close()

    def answered():
        try:
            return api.with_key(api.key).raw("GET", "/collections", timeout=2).status_code == 200
        except requests.RequestException:
            return False
    wait_until("an answer", answered, 10, 0.1)


def test_resets_in_the_middle_of_everything_leak_nothing(filled, server):
    rng = random.Random(3)
    request = (f"POST /documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {filled.key}\r\n"
               "Content-Type: application/x-ndjson\r\nContent-Length: 4000\r\n\r\n").encode() + b'{"source":"src"' * 100
    search = (f"POST /search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {filled.key}\r\n"
              "Content-Type: application/json\r\nContent-Length: 19\r\n\r\n" '{"query":"glacier"}').encode()
    before = server.descriptors()
    for n in range(150):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as s:
            data = search if n % 2 else request
            s.sendall(data[:rng.randrange(1, len(data) + 1)])
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    wait_until("descriptors to be given back", lambda: server.descriptors() <= before + 4, 15, 0.1)
    filled.search("default", "glacier")


def zip_bomb():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("[Content_Types].xml", "<Types/>")
        z.writestr("word/document.xml", b'<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/'
                   b'wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>' + b"a " * (150 << 20) + b"</w:t></w:r></w:p></w:body>"
                   b"</w:document>")
    return out.getvalue()


def xml_office(document):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("[Content_Types].xml", "<Types/>")
        z.writestr("word/document.xml", document)
    return out.getvalue()


LAUGHS = ('<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)) + ']><w:document xmlns:w="http://schemas.'
    'openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>&j;</w:t></w:r></w:p></w:body></w:document>')
OUTSIDE = ('<?xml version="1.0"?><!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/passwd">]><w:document xmlns:w="http://schemas.'
           'openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>&x; and some words more</w:t></w:r></w:p>'
           '</w:body></w:document>')
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize("name, data, media_type", [
    ("billion laughs", lambda: xml_office(LAUGHS), DOCX),
    ("external entity", lambda: xml_office(OUTSIDE), DOCX),
    ("zip bomb", zip_bomb, DOCX),
    ("pdf with a loop", lambda: b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[2 0 R]/Count 9>>"
     b"endobj trailer<</Root 1 0 R>>", "application/pdf"),
    ("pdf bomb", lambda: b"%PDF-1.4\n1 0 obj<</Length 1000/Filter/FlateDecode>>stream\n" +
     zlib.compress(b"(a) Tj " * (1 << 20)) + b"endstream endobj", "application/pdf"),
    ("random pdf", lambda: b"%PDF-1.7\n" + random.Random(1).randbytes(200000), "application/pdf"),
])
def test_hostile_files_are_refused_in_time(filled, server, name, data, media_type):
    content = base64.b64encode(data()).decode()
    began = time.monotonic()
    problem = filled.call("POST", "/documents", (413, 422), json={
        "source": "src", "id": "hostile", "media_type": media_type, "content_base64": content}).json()
    assert problem["detail"] and time.monotonic() - began < 25
    assert "root:" not in json.dumps(problem)
    filled.document("default", "hostile", status=404)


@pytest.mark.parametrize("text, media_type", [
    ("<div>" * 100000 + "words that are very deep down in this page" + "</div>" * 1000, "text/html"),
    ("> " * 20000 + "words that are quoted very often", "text/markdown"),
    ("[" * 50000 + "words behind many brackets", "text/markdown"),
    ("*" * 100000 + " words after many stars", "text/markdown"),
    ("<table>" * 20000 + "words in a table of tables", "text/html"),
    ("a" * 1000000, "text/plain"),
    ("word\u0301 " * 100000, "text/plain"),
    ("\u202e\ufeff\u200b words with marks that turn around \u0000".replace("\u0000", ""), "text/plain"),
    ("# \n" * 50000 + "Words under many empty headings.", "text/markdown"),
])
def test_strange_texts_are_taken_or_refused_but_soon(filled, text, media_type):
    began = time.monotonic()
    reply = filled.call("POST", "/documents", (200, 201, 413, 422), json={
        "source": "src", "id": "strange", "text": text, "media_type": media_type})
    assert time.monotonic() - began < 20
    if reply.status_code < 300:
        row = filled.document("default", "strange")
        for hit in filled.search("default", "words", k=5, filter={"document": "strange"})["hits"]:
            canonical = filled.canonical("default", "strange", row["version"]).encode()
            assert canonical[hit["span"][0]:hit["span"][1]].decode() == hit["text"]
        filled.remove("default", "strange")


def test_many_bad_requests_at_once_leave_good_ones_alone(filled, server):
    stop = threading.Event()

    def attack():
        rng = random.Random()
        mine = filled.with_key(filled.key)
        while not stop.is_set():
            method, path, body = rng.choice(TARGETS)
            mine.raw(method, path, data=mutate(rng, json.dumps(body)), headers=J, timeout=30)

    attackers = [threading.Thread(target=attack) for _ in range(4)]
    for thread in attackers:
        thread.start()
    for _ in range(50):
        assert filled.search("default", "glacier", k=3)["hits"]
    stop.set()
    for thread in attackers:
        thread.join()
    assert not SANITIZER_REPORTS.search(server.log())
