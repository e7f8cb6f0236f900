"""What must always hold (docs/architecture.md): 1, 3 and 4 here; 2 and 5 need faults and stand in tests/faults."""
import datetime
import itertools
import random
import threading
import time

import pytest

from harness.documents import article
from harness.load import Load


def now(**delta):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**delta)).isoformat().replace("+00:00", "Z")


ACL = {"acl": ["group:others"]}


@pytest.fixture(scope="module")
def hidden_corpus(api):
    """One document for each way of being hidden, and one that is to be seen, all about the same."""
    name = "hidden"
    api.collection(name)
    for source, more in (("src", {}), ("blocked", {}), ("short", {"max_age": "P1D"})):
        api.source(name, source, **more)

    def put(key, n, **more):
        return api.put(name, key, article(0, sections=2, mark=f"sample{n}"), media_type="text/markdown",
                       metadata={"kind": "sample"}, **more)

    put("seen", 0)
    put("quarantined", 1)
    api.post("/quarantine", {"collection": name, "document": "quarantined"}, 201)
    put("retired", 2)
    for entry in api.post("/quarantine", {"collection": name, "document": "retired"}, 201).json()["items"]:
        api.post(f"/quarantine/{entry['id']}/retire", {"note": "wrong"}, 200)
    put("blocked", 3, source="blocked")
    api.post(f"/sources/blocked/block?collection={name}", {"reason": "test"}, 200)
    put("stale-on-arrival", 4, source="short", modified_at=now(days=-5))
    put("stale-since", 5, source="short", modified_at=now(days=-1, seconds=2))
    put("acl", 6, **ACL)
    put("nobody", 7, acl=[])
    put("deleted", 8)
    api.remove(name, "deleted")
    put("replaced", 9)
    api.put(name, "replaced", article(5, mark="something else altogether"), media_type="text/markdown",
            metadata={"kind": "other"})
    time.sleep(2.1)
    return name


@pytest.mark.parametrize("mode, exact, condition, k", itertools.product(
    ["hybrid", "vector", "lexical"], [False, True],
    [None, {"kind": "sample"}, {"source": {"$ne": "nothing"}}, {"$or": [{"kind": "sample"}, {"kind": {"$exists": True}}]}],
    [3, 1000]))
def test_invariant_1_hidden_is_hidden_on_every_path(api, hidden_corpus, mode, exact, condition, k):
    """One predicate on every path: no mode, filter, k or exactness brings back what is held."""
    more = {"filter": condition} if condition else {}
    hits = api.search(hidden_corpus, "glacier valley rock sample", k=k, mode=mode, exact=exact, principal=["group:mine"],
                      **more)["hits"]
    assert {h["document"] for h in hits} <= {"seen", "replaced"} and hits[0]["document"] == "seen"
    assert {h["state"] for h in hits} == {"active"}
    assert all("something else" in h["text"] or "orchid" in h["text"].lower() for h in hits if h["document"] == "replaced")


@pytest.mark.parametrize("exact", [False, True])
def test_invariant_1_a_steward_sees_what_is_held_and_it_is_marked(api, hidden_corpus, exact):
    hits = api.search(hidden_corpus, "glacier valley rock sample", k=1000, exact=exact, include_quarantined=True,
                      principal=["group:mine"], filter={"kind": "sample"})["hits"]
    states = {h["document"]: h["state"] for h in hits}
    assert states == {"seen": "active", "quarantined": "quarantined", "stale-on-arrival": "quarantined",
                      "stale-since": "quarantined", "blocked": states.get("blocked")}
    assert states["blocked"] is not None, "never what is retired, deleted, or outside the ACL"


@pytest.mark.slow
def test_invariant_1_holds_while_everything_changes(api, collection, server):
    """Readers of every kind against a steward who hides and shows: what was hidden before a search began, and was not
    shown again before it ended, is in none of its hits."""
    documents = [f"d{n}" for n in range(8)]
    for source in documents:
        api.source(collection, source)
    for n, key in enumerate(documents):
        api.put(collection, key, article(0, sections=2, mark=f"item{n}"), media_type="text/markdown", source=key,
                metadata={"n": n})
    hidden, lock, serial = {}, threading.Lock(), itertools.count()
    rng = random.Random(7)

    def read(n, mine):
        body = {"collection": collection, "query": "glacier valley rock item", "k": rng.choice([5, 50, 500]),
                "mode": rng.choice(["hybrid", "vector", "lexical"]), "exact": rng.random() < 0.5}
        if rng.random() < 0.5:
            body["filter"] = {"n": {"$gte": 0}}
        with lock:
            before = dict(hidden)
        reply = mine.raw("POST", "/search", json=body)
        with lock:
            after = dict(hidden)
        assert reply.status_code == 200
        seen = {h["document"] for h in reply.json()["hits"]}
        wrong = {d for d in seen if d in before and after.get(d) == before[d]}
        assert not wrong, f"{wrong} were hidden before the search began"
        return len(seen)

    def hide(key, how):
        if how == "block":
            api.post(f"/sources/{key}/block?collection={collection}", {"reason": "x"}, 200)
        elif how == "hold":
            api.post("/quarantine", {"collection": collection, "document": key}, 201)
        elif how == "delete":
            api.remove(collection, key)
        elif how == "acl":
            api.put(collection, key, article(0, sections=2, mark=f"item{key[1:]}"), media_type="text/markdown", source=key,
                    metadata={"n": int(key[1:])}, acl=["group:nobody"])
        else:
            api.patch(f"/sources/{key}?collection={collection}", {"max_age": "PT0.001S"})
        with lock:
            hidden[key] = next(serial)

    def show(key, how):
        with lock:
            hidden.pop(key, None)
        if how == "block":
            api.post(f"/sources/{key}/unblock?collection={collection}", None, 200)
        elif how == "hold":
            for entry in api.entries(collection, document=key):
                api.post(f"/quarantine/{entry['id']}/release", {"note": "x"}, 200)
        elif how in ("delete", "acl"):
            api.put(collection, key, article(0, sections=2, mark=f"item{key[1:]}"), media_type="text/markdown", source=key,
                    metadata={"n": int(key[1:])}, **({} if how == "delete" else {"acl": ["group:nobody", "everyone"]}))
        else:
            api.patch(f"/sources/{key}?collection={collection}", {"max_age": None})

    load = Load(api, read, threads=3)
    end = time.monotonic() + 6
    for how in itertools.cycle(["block", "hold", "delete", "age"]):
        key = rng.choice(documents[:6])
        hide(key, how)
        time.sleep(0.02)
        show(key, how)
        if time.monotonic() > end:
            break
    hide("d7", "acl")
    time.sleep(0.2)
    outcomes = load.stop()
    assert len(outcomes) > 50 and max(n for _, _, n in outcomes) == 8


def test_invariant_3_two_servers_on_one_database_answer_alike(new_server):
    first = new_server()
    api = first.admin()
    api.source("default", "src")
    for n in range(12):
        api.put("default", f"d{n}", article(n, sections=3, mark=f"m{n}"), media_type="text/markdown", metadata={"n": n})
    second = new_server(dsn=first.dsn)
    there = type(api)(second, api.key)
    api.post("/quarantine", {"collection": "default", "document": "d3"}, 201)
    api.remove("default", "d4")
    api.put("default", "d5", article(5, sections=2, mark="changed"), media_type="text/markdown", metadata={"n": 5})
    third = new_server(dsn=first.dsn)
    replicas = [there, type(api)(third, api.key)]
    head = api.search("default", "x", k=1)["commit"]
    for replica in replicas:
        end = time.monotonic() + 10
        while replica.search("default", "x", k=1)["commit"] != head:
            assert time.monotonic() < end, "the replica does not catch up"
            time.sleep(0.02)
    for question in ("glacier valley", "violin spruce maple", "report notes that people keep", "ash", "zzz nothing"):
        for mode in ("hybrid", "vector", "lexical"):
            for condition in ({}, {"filter": {"n": {"$gte": 4}}}):
                asked = {"k": 500, "mode": mode, "exact": True, **condition}
                ours = api.search("default", question, **asked)
                assert {h["document"] for h in ours["hits"]}.isdisjoint({"d3", "d4"})
                for replica in replicas:
                    theirs = replica.search("default", question, **asked)
                    assert theirs["commit"] == ours["commit"]
                    assert [(h["chunk"], h["score"]) for h in theirs["hits"]] == [(h["chunk"], h["score"]) for h in ours["hits"]]
                again = api.search("default", question, **asked)["hits"]
                assert again == ours["hits"], "and the same again"


def test_invariant_3_ties_fall_by_chunk_id(api):
    api.collection("ties", embedder={"kind": "client", "dim": 4})
    api.source("ties", "src")
    for n in range(9):
        api.put("ties", f"t{n}", f"The tie number {n} has a text of its own and the same vector as all others.",
                vector=[1.0, 0.0, 0.0, 0.0])
    for exact in (True, False):
        hits = api.search("ties", vector=[1.0, 0.0, 0.0, 0.0], mode="vector", k=9, exact=exact)["hits"]
        assert len({h["score"] for h in hits}) == 1
        assert [h["chunk"] for h in hits] == sorted(h["chunk"] for h in hits)
        few = api.search("ties", vector=[1.0, 0.0, 0.0, 0.0], mode="vector", k=4, exact=exact)["hits"]
        assert [h["chunk"] for h in few] == [h["chunk"] for h in hits[:4]]


def test_invariant_4_every_hit_leads_back_to_its_source_and_forward_to_its_receipts(api, collection):
    for n in range(3):
        api.put(collection, f"d{n}", article(n), media_type="text/markdown", uri=f"https://example.org/{n}")
    replies = [api.search(collection, q, k=4) for q in ("glacier", "violin", "volcano", "report")]
    prefix = f"dataset:assay:{collection}/"
    api.get(f"/lineage/receipts/{replies[-1]['receipt']}")
    for reply in replies:
        for hit in reply["hits"]:
            nodes = {n["id"]: n for n in api.lineage(hit["provenance"]["node_id"])["graph"]}
            for wanted in (f"source/{hit['source']}", f"document/{hit['document']}", f"version/{hit['version']}",
                           f"receipt/{reply['receipt']}"):
                assert prefix + wanted in nodes, wanted
            assert f"job:assay:{collection}/pipeline/{hit['provenance']['pipeline']}" in nodes
            assert f"run:{hit['provenance']['run']}" in nodes
            back = api.document(collection, hit["document"])
            assert back["uri"] == hit["uri"] and back["version"] == hit["version"]
        receipt = api.get(f"/lineage/receipts/{reply['receipt']}").json()
        for hit in receipt["hits"]:
            version = api.get(f"/documents/{hit['document']}/versions/{hit['version']}?collection={collection}").json()
            assert version["bytes_hash"] == hit["bytes_hash"]
