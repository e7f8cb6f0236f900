"""kill -9 at any moment: what was acknowledged is there, whole; nothing is there by half (invariant 2)."""
import json
import threading
import time

import pytest
import requests

from harness.documents import article
from harness.load import Load
from harness.server import wait_until


def document(n):
    return {"source": "src", "id": f"k{n:05d}", "text": article(n, sections=1 + n % 4, mark=f"number{n}"),
            "media_type": "text/markdown", "metadata": {"n": n}}


def everything_is_whole(api, keys):
    """Each of these documents has all of its chunks, and a search finds every one of them."""
    for key in keys:
        row = api.document("default", key)
        version = api.get(f"/documents/{key}/versions/{row['version']}").json()
        assert row["states"]["active"] == version["chunks"] > 0, row
        hits = api.search("default", "report notes", k=1000, exact=True, filter={"document": key})["hits"]
        assert len(hits) == version["chunks"], f"{key}: {len(hits)} of {version['chunks']} chunks are found"
        canonical = version["canonical"].encode()
        assert all(canonical[h["span"][0]:h["span"][1]].decode() == h["text"] for h in hits)


def stream(api, start, count, acknowledged):
    """A bulk body that trickles in; its report, if it ever comes, acknowledges its documents."""
    def lines():
        for n in range(start, start + count):
            yield json.dumps(document(n)).encode() + b"\n"
            time.sleep(0.002)
    try:
        reply = api.raw("POST", "/documents", data=lines(), headers={"Content-Type": "application/x-ndjson"}, timeout=30)
        if reply.status_code == 200 and not reply.json()["rejected"]:
            acknowledged.update(f"k{n:05d}" for n in range(start, start + count))
    except (requests.RequestException, OSError):
        pass  # the server was killed under it: nothing was acknowledged


@pytest.mark.slow
def test_kill_9_during_bulk_ingest_loses_no_acknowledged_document(new_server):
    server = new_server(checkpoint_interval_s=1)
    api = server.admin()
    api.source("default", "src")
    acknowledged = set()

    def put(n, mine):
        body = document(n)
        if mine.raw("POST", "/documents", json=body, timeout=30).status_code in (200, 201):
            acknowledged.add(body["id"])

    for round_number in range(3):
        base = 10000 * (round_number + 1)
        load = Load(api, lambda n, mine, base=base: put(base + n, mine), threads=2)
        bulks = [threading.Thread(target=stream, args=(api.with_key(api.key), base + 3000 + 1000 * i, [40, 600][i],
                                                       acknowledged)) for i in range(2)]
        for bulk in bulks:
            bulk.start()
        time.sleep(0.9 + 0.3 * round_number)
        server.kill()
        load.stop()
        for bulk in bulks:
            bulk.join()
        server.start()
    assert len(acknowledged) > 20
    listed = {d["id"] for d in api.pages("/documents", limit=500)}
    assert acknowledged <= listed, f"lost: {sorted(acknowledged - listed)[:5]}"
    head = api.get("/collections/default").json()
    wait_until("the index to catch up",
               lambda: api.get("/collections/default").json()["index"]["seq"] >= head["seq"], 20)
    sample = sorted(acknowledged)[::max(1, len(acknowledged) // 40)] + sorted(listed - acknowledged)[:40]
    everything_is_whole(api, sample)


@pytest.mark.slow
def test_row_02_kill_9_during_deletes_never_brings_a_deleted_document_back(new_server):
    """stdapi.ai#177: deleted in one place first, in the other "later", and a crash in between keeps it searchable."""
    server = new_server(checkpoint_interval_s=1)
    api = server.admin()
    api.source("default", "src")
    body = "".join(json.dumps(document(n)) + "\n" for n in range(300)).encode()
    api.call("POST", "/documents?wait=indexed", 200, data=body, headers={"Content-Type": "application/x-ndjson"})
    deleted, tried = set(), set()

    def remove(n, mine):
        key = f"k{n:05d}"
        if n < 300:
            tried.add(key)
            if mine.raw("DELETE", f"/documents/{key}", timeout=30).status_code == 200:
                deleted.add(key)
        else:
            time.sleep(0.01)

    load = Load(api, remove, threads=3)
    wait_until("some deletes", lambda: len(deleted) > 30, 20)
    server.kill()
    load.stop()
    server.start()
    present = {d["id"] for d in api.pages("/documents", limit=500)}
    assert deleted.isdisjoint(present)
    for mode in ("hybrid", "lexical"):
        found = {h["document"] for h in api.search("default", "report notes number", k=1000, exact=True, mode=mode)["hits"]}
        assert deleted.isdisjoint(found)
    for key in sorted(deleted)[:30]:
        assert api.search("default", "report", k=10, filter={"document": key}, include_quarantined=True)["hits"] == []
        api.problem("DELETE", f"/documents/{key}", 404)
    everything_is_whole(api, sorted(tried & present)[:20] + sorted(present - tried)[:10])


def test_kill_9_during_an_asynchronous_job_and_the_restart_finishes_it(new_server):
    server = new_server()
    api = server.admin()
    api.source("default", "src")
    body = "".join(json.dumps(document(n)) + "\n" for n in range(1500)).encode()
    job = api.call("POST", "/documents?async=true", 202, data=body,
                   headers={"Content-Type": "application/x-ndjson"}).json()["job"]
    wait_until("the job to be under way", lambda: api.get(f"/jobs/{job}").json()["done"] > 0, 20)
    server.kill()
    server.start()
    state = wait_until("the job to end", lambda: (lambda s: s if s["state"] in ("succeeded", "failed") else None)(
        api.get(f"/jobs/{job}").json()), 60, 0.1)
    assert state["state"] == "succeeded" and state["errors"] == 0, state
    assert state["result"]["accepted"] + state["result"]["unchanged"] == 1500
    assert len(api.pages("/documents", limit=1000)) == 1500
    assert not list((server.data_dir / "spool").glob("*")), "the spooled body is gone when the job is done"


def test_holds_blocks_and_keys_survive_kill_9(new_server):
    server = new_server()
    api = server.admin()
    api.source("default", "src")
    api.source("default", "other")
    for n in range(4):
        api.post("/documents", document(n), 201)
    api.post("/documents", {**document(9), "source": "other"}, 201)
    api.post("/quarantine", {"document": "k00001", "note": "held"}, 201)
    api.post("/sources/other/block", {"reason": "blocked"}, 200)
    reader = api.key_for("reader", ["read"])
    server.kill()
    server.start()
    found = set(reader.found("default", "report notes", k=1000, exact=True))
    assert found == {"k00000", "k00002", "k00003"}
    assert api.entries("default", document="k00001")[0]["note"] == "held"
