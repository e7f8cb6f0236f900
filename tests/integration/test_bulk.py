"""Many documents at once, as NDJSON: each line stands alone; and the same as a job with progress."""
import http.client
import json
import time

from harness.documents import article
from harness.server import wait_until


def line(n, collection, **more):
    return {"collection": collection, "source": "src", "id": f"b{n:04d}",
            "text": f"Line number {n} carries a small document about lanterns, and the word unique{n} is only in here.",
            **more}


def test_every_line_becomes_a_document(api, collection):
    report = api.bulk([line(n, collection) for n in range(150)], "?wait=indexed")
    assert report["accepted"] == 150 and report["unchanged"] == 0 and report["rejected"] == [] and report["commit"]
    assert len(api.pages(f"/documents?collection={collection}", limit=100)) == 150
    assert api.found(collection, "unique77", mode="lexical") == ["b0077"]


def test_same_lines_again_are_unchanged(api, collection):
    lines = [line(n, collection) for n in range(20)]
    api.bulk(lines)
    report = api.bulk(lines[:10] + [line(10, collection, title="A new title")] + lines[11:])
    assert report["accepted"] == 1 and report["unchanged"] == 19 and report["rejected"] == []


def test_bad_lines_are_reported_with_their_numbers_and_the_rest_goes_on(api, collection):
    good = [json.dumps(line(n, collection)) for n in range(6)]
    deep = "[" * 500 + "]" * 500
    body = [
        good[0],                                                            # 1
        '{"source":"src","id":"torn',                                       # 2 not JSON
        good[1],                                                            # 3
        json.dumps(line(50, collection, source="nobody")),                  # 4 unknown source
        "",                                                                 # 5 blank: no line of its own
        json.dumps(line(51, collection, colour="red")),                     # 6 unknown member
        good[2] + "\r",                                                     # 7 CRLF
        json.dumps(line(52, "nowhere")),                                    # 8 unknown collection
        '["an array"]',                                                     # 9
        json.dumps(line(53, collection, text="")),                          # 10 empty
        good[3],                                                            # 11
        '{"id":"deep","source":"src","text":"x","metadata":' + deep + "}",  # 12
        json.dumps(line(54, collection, content_base64="JVBERi0xLjQKbm8gcGRm", media_type="application/pdf",
                        text=None)),                                        # 13
        good[4],                                                            # 14
    ]
    report = api.bulk(body, "?wait=indexed")
    assert [r["line"] for r in report["rejected"]] == [2, 4, 6, 8, 9, 10, 12, 13], report
    assert report["accepted"] == 5 and report["unchanged"] == 0
    slugs = {r["line"]: r["problem"]["type"].rsplit(":", 1)[1] for r in report["rejected"]}
    assert slugs[4] == "unknown-source" and slugs[8] == "unknown-collection" and slugs[10] == "empty-document"
    assert len(api.pages(f"/documents?collection={collection}", limit=50)) == 5


def test_one_line_may_not_be_longer_than_the_limit(api, new_server):
    small = new_server(bulk_line_max="64k")
    admin = small.admin()
    admin.source("default", "src")
    body = [line(1, "default"), line(2, "default", text="long " * 40000), line(3, "default")]
    report = admin.bulk(body)
    assert [r["line"] for r in report["rejected"]] == [2] and report["accepted"] == 2
    assert report["rejected"][0]["problem"]["status"] == 413


def test_last_line_needs_no_newline_and_an_empty_body_is_an_empty_report(api, collection):
    headers = {"Content-Type": "application/x-ndjson"}
    body = json.dumps(line(1, collection)).encode()
    assert api.call("POST", "/documents", 200, data=body, headers=headers).json()["accepted"] == 1
    report = api.call("POST", "/documents", 200, data=b"", headers=headers).json()
    assert report["accepted"] == report["unchanged"] == 0 and report["rejected"] == []


def test_same_document_twice_in_one_body_ends_as_the_later_one(api, collection):
    api.bulk([line(1, collection), line(1, collection, text="The later line of the two is what stays in the end.")],
             "?wait=indexed")
    hits = api.search(collection, "the later line of the two stays", k=10)["hits"]
    assert [hit["document"] for hit in hits] == ["b0001"] and "later line" in hits[0]["text"]


def test_collection_of_the_query_holds_for_lines_that_name_none(api, collection):
    plain = line(1, collection)
    del plain["collection"]
    assert api.bulk([plain], f"?collection={collection}")["accepted"] == 1
    assert api.document(collection, "b0001")["collection"] == collection


def test_chunked_body_is_taken_as_it_comes(api, collection):
    lines = (json.dumps(line(n, collection)).encode() + b"\n" for n in range(40))
    reply = api.call("POST", "/documents", 200, data=lines, headers={"Content-Type": "application/x-ndjson"})
    assert reply.json()["accepted"] == 40


def test_bulk_needs_scope_write(api, collection):
    reader = api.key_for("bulk-reader", ["read"])
    reader.problem("POST", "/documents", 403, data=b"{}\n", headers={"Content-Type": "application/x-ndjson"})


def test_asynchronous_bulk_is_a_job_that_ends_with_the_report(api, collection):
    lines = [line(n, collection) for n in range(200)] + ["not json"]
    accepted = api.call("POST", "/documents?async=true", 202, headers={"Content-Type": "application/x-ndjson"},
                        data="\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines).encode())
    job = accepted.json()["job"]
    assert accepted.headers["Location"] == f"/jobs/{job}"
    progress = []

    def ended():
        state = api.get(f"/jobs/{job}").json()
        progress.append(state["done"])
        return state if state["state"] in ("succeeded", "failed") else None

    state = wait_until("the job to end", ended, 30)
    assert progress == sorted(progress), "progress never goes back"
    assert state["state"] == "succeeded" and state["done"] == 201 and state["errors"] == 1
    assert state["result"]["accepted"] == 200 and [r["line"] for r in state["result"]["rejected"]] == [201]
    wait_until("the last line to be searchable", lambda: api.found(collection, "unique199", mode="lexical"), 10)


def events(api, job):
    """(event, data) of a job's stream until it ends."""
    reply = api.raw("GET", f"/jobs/{job}/events", stream=True, timeout=60)
    assert reply.status_code == 200 and reply.headers["Content-Type"].startswith("text/event-stream")
    event = {}
    for raw in reply.iter_lines():
        text = raw.decode()
        if not text and "data" in event:
            yield event.get("event"), json.loads(event["data"])
            event = {}
        elif text and not text.startswith(":"):
            name, _, value = text.partition(":")
            event[name] = value.lstrip()


def test_job_tells_its_progress_over_server_sent_events(api, collection):
    body = "\n".join(json.dumps(line(n, collection, text=article(n, mark=f"m{n}"), media_type="text/markdown"))
                     for n in range(150)).encode()
    job = api.call("POST", "/documents?async=true", 202, data=body,
                   headers={"Content-Type": "application/x-ndjson"}).json()["job"]
    seen = list(events(api, job))
    assert seen[-1][0] == "done" and seen[-1][1]["state"] == "succeeded", seen[-1:]
    assert {name for name, _ in seen[:-1]} <= {"progress"}
    done = [data["done"] for _, data in seen]
    assert done == sorted(done) and done[-1] == 150
    api.call("GET", f"/jobs/{job}/events", 200)
    api.problem("GET", "/jobs/00000000-0000-4000-8000-000000000000", 404, "unknown-job")
    api.problem("GET", "/jobs/00000000-0000-4000-8000-000000000000/events", 404, "unknown-job")


def test_client_that_leaves_midway_harms_nobody(api, server, collection):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", "/documents")
    connection.putheader("Authorization", f"Bearer {api.key}")
    connection.putheader("Content-Type", "application/x-ndjson")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    part = b"".join(json.dumps(line(n, collection)).encode() + b"\n" for n in range(30)) + b'{"source":"src","id":"ha'
    connection.send(b"%x\r\n%s\r\n" % (len(part), part))
    time.sleep(0.3)
    connection.close()
    api.put(collection, "after", "The server goes on as if nothing had happened when somebody hangs up.")
    assert "after" in api.found(collection, "the server goes on when somebody hangs up")
    for document in api.pages(f"/documents?collection={collection}", limit=100):
        assert document["states"]["active"] == 1, "whole or not at all"
