"""Sources, staleness, quarantine: what is held back is gone at once, says why, and comes back when it may."""
import datetime
import time

import pytest

from harness.documents import article
from harness.server import wait_until


def ago(**delta):
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**delta)).isoformat().replace("+00:00", "Z")


# ---- sources ----

def test_source_is_registered_read_and_listed(api, collection):
    source = api.source(collection, "manual", owner="docs@example.org", contact="#docs", licence="PostgreSQL",
                        description="The manual", max_age="P90D", trust=0.9)
    assert source["state"] == "active" and source["max_age"] == "P90D" and source["trust"] == 0.9
    assert api.get(f"/sources/manual?collection={collection}").json()["owner"] == "docs@example.org"
    assert [s["name"] for s in api.pages(f"/sources?collection={collection}", limit=1)] == ["manual", "src"]
    api.problem("POST", "/sources", 409, "source-exists", json={"collection": collection, "name": "manual"})
    api.problem("GET", f"/sources/nobody?collection={collection}", 404, "unknown-source")


@pytest.mark.parametrize("body, pointer", [
    ({}, "/name"), ({"name": ""}, "/name"), ({"name": "a b"}, "/name"), ({"name": "x" * 129}, "/name"),
    ({"name": "x", "max_age": "90 days"}, "/max_age"), ({"name": "x", "max_age": "-P1D"}, "/max_age"),
    ({"name": "x", "trust": 2}, "/trust"), ({"name": "x", "colour": 1}, "/colour"),
])
def test_faulty_source_is_refused_precisely(api, collection, body, pointer):
    api.problem("POST", "/sources", 400, pointer=pointer, json={"collection": collection, **body})


def test_etag_and_if_match_guard_a_source_against_lost_updates(api, collection):
    path = f"/sources/src?collection={collection}"
    etag = api.get(path).headers["ETag"]
    changed = api.patch(path, {"owner": "first@example.org"}, headers={"If-Match": etag})
    assert changed.headers["ETag"] != etag and changed.json()["owner"] == "first@example.org"
    api.problem("PATCH", path, 412, json={"owner": "second@example.org"}, headers={"If-Match": etag})
    assert api.get(path).json()["owner"] == "first@example.org"
    api.patch(path, {"owner": "third@example.org"}, headers={"If-Match": changed.headers["ETag"]})
    api.problem("PATCH", path, 400, json={"owner": "x"}, headers={"If-Match": "no etag"})
    api.problem("PATCH", path, 400, pointer="/name", json={"name": "other"})


def test_blocked_source_is_gone_from_search_at_once_and_back_after(api, collection):
    api.source(collection, "rumours")
    api.put(collection, "good", article(0), media_type="text/markdown")
    for n in range(1, 4):
        api.put(collection, f"rumour{n}", article(n), source="rumours", media_type="text/markdown")
    before = api.search(collection, "report notes", k=100, exact=True)["hits"]
    path = f"/sources/rumours/block?collection={collection}"
    api.problem("POST", path, 400, pointer="/reason", json={})
    blocked = api.post(path, {"reason": "licence under dispute"}, 200).json()
    assert blocked["state"] == "blocked" and blocked["block_reason"] == "licence under dispute"
    assert set(api.found(collection, "report notes", k=100, exact=True)) == {"good"}
    entries = api.entries(collection, reason="source_blocked")
    assert len(entries) == 1 and entries[0]["target"] == "source" and entries[0]["source"] == "rumours"
    assert entries[0]["opened_by"].startswith("key:")
    api.put(collection, "rumour4", article(4), source="rumours", media_type="text/markdown")
    assert "rumour4" not in api.found(collection, "harbour pilot", k=50), "what comes later is held back as well"
    api.problem("POST", f"/quarantine/{entries[0]['id']}/release", 409, "source-blocked", json={"note": "x"})
    api.post(f"/sources/rumours/unblock?collection={collection}", None, 200)
    after = api.search(collection, "report notes", k=100, exact=True)["hits"]
    assert {h["chunk"] for h in after} >= {h["chunk"] for h in before}
    assert "rumour4" in api.found(collection, "harbour pilot", k=50)
    assert api.entries(collection, reason="source_blocked") == []


def test_unblocking_brings_back_only_what_is_otherwise_fit(api, collection):
    api.put(collection, "fine", "A fine and useful paragraph about thatching a roof with reed from the lake shore.")
    api.put(collection, "held", "A doubtful paragraph about thatching a roof with straw that somebody has set aside.")
    api.post("/quarantine", {"collection": collection, "document": "held", "note": "doubtful"}, 201)
    api.post(f"/sources/src/block?collection={collection}", {"reason": "check"}, 200)
    assert api.found(collection, "thatching a roof") == []
    api.post(f"/sources/src/unblock?collection={collection}", None, 200)
    assert api.found(collection, "thatching a roof") == ["fine"]


# ---- staleness ----

def test_passage_is_gone_the_second_its_time_is_up_without_any_sweep(new_server):
    server = new_server(sweep_interval_s=86400)
    api = server.admin()
    api.source("default", "ticker", max_age="PT2S")
    api.source("default", "src")
    api.put("default", "steady", "The price of bread at the corner shop is what it has been for many years now.")
    modified = datetime.datetime.now(datetime.timezone.utc)
    api.put("default", "quote", "The price of bread at the exchange changes from one second to the next.", source="ticker",
            modified_at=modified.isoformat().replace("+00:00", "Z"))
    deadline = modified + datetime.timedelta(seconds=2)
    seen = False
    while True:
        asked = datetime.datetime.now(datetime.timezone.utc)
        found = api.found("default", "price of bread")
        answered = datetime.datetime.now(datetime.timezone.utc)
        assert "steady" in found
        if answered < deadline:
            assert "quote" in found
            seen = True
        if asked >= deadline:
            assert "quote" not in found, f"{asked - deadline} after its deadline"
            break
        time.sleep(0.01)
    assert seen
    fresh_until = api.document("default", "quote")["fresh_until"]
    assert abs(datetime.datetime.fromisoformat(fresh_until.replace("Z", "+00:00")) - deadline).total_seconds() < 0.01


def test_no_passage_outlives_its_deadline_by_a_moment_whatever_the_clockwork_behind(new_server):
    """Hundreds of deadlines a few milliseconds apart: the background cannot keep up with each, the search has to."""
    server = new_server(sweep_interval_s=86400)
    api = server.admin()
    api.source("default", "ticker", max_age="PT3S")
    count, step = 400, datetime.timedelta(milliseconds=6)
    base = datetime.datetime.now(datetime.timezone.utc)
    api.bulk([{"source": "ticker", "id": f"t{n}", "metadata": {"n": n}, "text": f"The quotation number {n} of the exchange.",
               "modified_at": (base + n * step).isoformat().replace("+00:00", "Z")} for n in range(count)], "?wait=indexed")
    first = base + datetime.timedelta(seconds=3)
    late, expired_seen = [], 0
    while True:
        asked = datetime.datetime.now(datetime.timezone.utc)
        expired = int((asked - first) / step) if asked >= first else -1  # the last whose time was up when we asked
        if expired >= count:
            break
        reply = api.raw("POST", "/search", json={"query": "quotation exchange", "mode": "lexical", "k": 20,
                                                 "filter": {"n": {"$gte": max(0, expired - 5), "$lte": expired + 5}}})
        numbers = {hit["metadata"]["n"] for hit in reply.json()["hits"]}
        late += [n for n in numbers if n <= expired]
        expired_seen += expired >= 0
    assert expired_seen > 100 and not late, f"{len(late)} passages were served after their deadline"


def test_what_arrives_stale_is_stored_but_never_served(api, collection):
    api.source(collection, "old", max_age="P1D")
    reply = api.put(collection, "antique", "An antique remark about the stagecoach that nobody has renewed for years.",
                    source="old", modified_at=ago(days=3))
    assert reply["states"]["active"] == 0
    assert api.found(collection, "stagecoach") == []
    assert api.entries(collection, reason="stale")[0]["document"] == "antique"


def test_sweep_records_what_went_stale_and_a_dry_run_only_counts(new_server):
    api = new_server(sweep_interval_s=86400).admin()
    api.source("default", "src", max_age="PT1S")
    api.put("default", "a", article(0), media_type="text/markdown", modified_at=ago(seconds=0))
    time.sleep(1.1)
    would = api.post("/quarantine/sweep", {"collection": "default", "dry_run": True}, 200).json()
    assert would["documents"] in (0, 1) and would["dry_run"] is True
    api.post("/quarantine/sweep", {"collection": "default"}, 200)
    entries = wait_until("the sweep to record it", lambda: api.entries("default", reason="stale", limit=100), 5)
    assert {e["document"] for e in entries} == {"a"} and {e["reason"] for e in entries} == {"stale"}
    assert api.post("/quarantine/sweep", {"collection": "default"}, 200).json()["chunks"] == 0
    api.problem("POST", f"/quarantine/{entries[0]['id']}/release", 409, "still-stale", json={"note": "x"})


def test_server_records_staleness_by_itself(new_server):
    api = new_server(sweep_interval_s=1).admin()
    api.source("default", "src", max_age="PT1S")
    api.put("default", "a", article(0), media_type="text/markdown", modified_at=ago(seconds=0))
    entries = wait_until("the sweeper", lambda: api.entries("default", reason="stale"), 10)
    assert entries[0]["opened_by"].startswith("system")


def test_renewed_document_is_fresh_again(api, collection):
    api.source(collection, "weekly", max_age="P7D")
    text = "The weekly bulletin of the rowing club tells who has won which race on the long lake."
    assert api.put(collection, "bulletin", text, source="weekly", modified_at=ago(days=30))["states"]["active"] == 0
    touched = api.put(collection, "bulletin", text, source="weekly", modified_at=ago(days=1), status=200)
    assert touched["outcome"] == "touched" and touched["states"]["active"] == 1
    assert api.found(collection, "rowing club") == ["bulletin"]
    assert api.entries(collection, reason="stale") == []


def test_new_max_age_moves_every_deadline_of_the_source(api, collection):
    api.source(collection, "moving", max_age="P30D")
    api.put(collection, "report", "The report on the tides of the northern inlet is ten days old by now.",
            source="moving", modified_at=ago(days=10))
    path = f"/sources/moving?collection={collection}"
    assert api.found(collection, "tides of the inlet") == ["report"]
    api.patch(path, {"max_age": "P5D"})
    assert api.found(collection, "tides of the inlet") == []
    api.patch(path, {"max_age": "P60D"})
    assert api.found(collection, "tides of the inlet") == ["report"]
    api.patch(path, {"max_age": "P5D"})
    api.patch(path, {"max_age": None})
    assert api.found(collection, "tides of the inlet") == ["report"]
    assert api.document(collection, "report")["fresh_until"] is None


# ---- quarantine ----

def test_steward_holds_a_document_and_lets_it_go(api, collection):
    api.put(collection, "a", article(5, sections=3), media_type="text/markdown")
    added = api.post("/quarantine", {"collection": collection, "document": "a", "note": "under review"}, 201).json()
    chunks = api.document(collection, "a")["states"]["quarantined"]
    assert added["held"] == chunks > 1 and added["commit"]
    assert api.found(collection, "orchid seed") == []
    entries = api.entries(collection, document="a")
    assert {(e["reason"], e["state"], e["note"]) for e in entries} == {("manual", "open", "under review")}
    assert all(e["opened_by"].startswith("key:") and e["opened_at"] for e in entries)
    for entry in entries:
        closed = api.post(f"/quarantine/{entry['id']}/release", {"note": "still right"}, 200).json()
        assert closed["state"] == "released" and closed["close_note"] == "still right"
        assert closed["closed_by"].startswith("key:") and closed["closed_at"]
    assert api.found(collection, "orchid seed") == ["a"]
    assert api.document(collection, "a")["states"]["active"] == chunks
    api.problem("POST", f"/quarantine/{entries[0]['id']}/release", 409, "entry-closed", json={})
    assert api.get(f"/quarantine/{entries[0]['id']}").json()["state"] == "released"
    assert len(api.entries(collection, state="released", document="a")) == len(entries)
    assert api.entries(collection, state="open", document="a") == []


def test_chunks_and_sources_can_be_held_too(api, collection):
    api.put(collection, "a", article(6, sections=4), media_type="text/markdown")
    hits = api.search(collection, "railway", k=100, exact=True)["hits"]
    victims = [hit["chunk"] for hit in hits[:2]]
    assert api.post("/quarantine", {"collection": collection, "chunks": victims, "reason": "unsafe"}, 201).json()["held"] == 2
    left = {hit["chunk"] for hit in api.search(collection, "railway", k=100, exact=True)["hits"]}
    assert left == {hit["chunk"] for hit in hits} - set(victims)
    assert api.entries(collection, chunk=victims[0])[0]["reason"] == "unsafe"
    again = api.post("/quarantine", {"collection": collection, "chunks": victims, "reason": "unsafe"}, 201).json()
    assert again["held"] == 0, "the same hold twice is one hold"
    api.post("/quarantine", {"collection": collection, "source": "src", "reason": "manual"}, 201)
    assert api.found(collection, "railway", k=100) == []
    assert api.get(f"/sources/src?collection={collection}").json()["state"] == "active"


def test_passage_comes_back_only_when_nothing_holds_it_any_more(api, collection):
    api.put(collection, "a", "One single passage about the weaving of baskets from willow that is held for two reasons.")
    for reason in ("manual", "unsafe"):
        api.post("/quarantine", {"collection": collection, "document": "a", "reason": reason}, 201)
    first, second = api.entries(collection, document="a")
    api.post(f"/quarantine/{first['id']}/release", {"note": "n"}, 200)
    assert api.found(collection, "weaving of baskets") == []
    api.post(f"/quarantine/{second['id']}/release", {"note": "n"}, 200)
    assert api.found(collection, "weaving of baskets") == ["a"]


def test_retired_passage_stays_away_also_when_the_document_comes_again(api, collection):
    text = "A passage about the astrolabe that a steward has judged to be wrong for good and all."
    api.put(collection, "a", text)
    entry = api.post("/quarantine", {"collection": collection, "document": "a"}, 201).json()["items"][0]
    retired = api.post(f"/quarantine/{entry['id']}/retire", {"note": "wrong"}, 200).json()
    assert retired["state"] == "retired"
    assert api.get(f"/chunks/{entry['chunk']}?collection={collection}").json()["state"] == "retired"
    api.put(collection, "a", "Another passage about quite another matter, which has taken the place of the first.")
    api.put(collection, "a", text)
    assert api.found(collection, "astrolabe", include_quarantined=True) == []


def test_hold_on_a_document_sticks_to_its_next_version(api, collection):
    api.put(collection, "a", "The first edition of the notes on bell founding, with its errors still in it.")
    api.post("/quarantine", {"collection": collection, "document": "a", "note": "wrong"}, 201)
    reply = api.put(collection, "a", "The second edition of the notes on bell founding, which nobody has looked at.")
    assert reply["states"]["active"] == 0, reply
    assert api.found(collection, "bell founding") == []


def test_release_of_a_failed_check_needs_a_note(api, collection):
    text = "Exactly this sentence about the making of candles stands in two documents of one collection."
    api.put(collection, "a", text)
    api.put(collection, "b", text)
    entry = api.entries(collection, reason="duplicate")[0]
    api.problem("POST", f"/quarantine/{entry['id']}/release", 422, "note-required", json={})
    api.post(f"/quarantine/{entry['id']}/release", {"note": "both are wanted"}, 200)
    assert set(api.found(collection, "making of candles")) == {"a", "b"}


@pytest.mark.parametrize("body, status, pointer", [
    ({}, 400, None),
    ({"document": "a", "source": "src"}, 400, None),
    ({"chunks": []}, 400, None),
    ({"chunks": ["zz"]}, 400, "/chunks/0"),
    ({"chunks": ["a" * 64]}, 422, None),
    ({"document": "nobody"}, 422, None),
    ({"source": "nobody"}, 422, None),
    ({"document": "a", "reason": "because"}, 400, "/reason"),
])
def test_faulty_hold_is_refused_and_holds_nothing(api, collection, body, status, pointer):
    api.put(collection, "a", "A passage about the potter's wheel that must not be held back by any faulty request.")
    api.problem("POST", "/quarantine", status, pointer=pointer, json={"collection": collection, **body})
    assert api.found(collection, "potter's wheel") == ["a"] and api.entries(collection) == []


def test_quarantine_list_is_filtered_and_paged(api, collection):
    api.source(collection, "second")
    for n in range(7):
        api.put(collection, f"q{n}", f"Entry {n} speaks about the colour of the sails of ship number {n} in the bay.",
                source="second" if n % 2 else "src")
        api.post("/quarantine", {"collection": collection, "document": f"q{n}",
                                 "reason": "unsafe" if n < 3 else "manual"}, 201)
    listed = api.pages(f"/quarantine?collection={collection}", limit=3)
    assert [e["document"] for e in listed] == [f"q{n}" for n in range(6, -1, -1)], "newest first"
    assert {e["document"] for e in api.entries(collection, reason="unsafe")} == {"q0", "q1", "q2"}
    assert {e["document"] for e in api.entries(collection, source="second")} == {"q1", "q3", "q5"}
    assert [e["document"] for e in api.entries(collection, document="q4")] == ["q4"]
    assert all(e["excerpt"] for e in listed)
    api.problem("GET", f"/quarantine?collection={collection}&reason=because", 400)
    api.problem("GET", "/quarantine/00000000-0000-4000-8000-000000000000", 404, "unknown-entry")
