"""A source's chunks are held back and given free again while searches go on: one that begins after the answer knows."""
import random
import time

import pytest

from harness.load import Load
from harness.server import wait_until

CHUNKS, DIM = 600, 8


def unit(rng):
    v = [rng.gauss(0, 1) for _ in range(DIM)]
    length = sum(x * x for x in v) ** 0.5
    return [x / length for x in v]


@pytest.fixture(scope="module")
def corpus(api):
    """Two sources of as many chunks; every other search would return some of either."""
    name, rng = "under-load", random.Random(3)
    api.collection(name, embedder={"kind": "client", "dim": DIM})
    for source in ("held", "kept"):
        api.source(name, source)
    lines = [{"collection": name, "source": source, "id": f"{source}-{n}", "vector": unit(rng), "metadata": {"n": n},
              "text": f"Entry {n} of the register of {source} boats tells who painted the boat and when it was sold."}
             for n in range(CHUNKS) for source in ("held", "kept")]
    assert api.bulk(lines, "?wait=indexed")["accepted"] == 2 * CHUNKS
    assert len(api.search(name, "register", mode="lexical", k=1000)["hits"]) == 1000, "none is a duplicate"
    return name


def searcher(name):
    """Searches of every kind; returns (how many hits of the source that is held, how many hits)."""
    def search(n, api):
        rng = random.Random(n)
        body = {"collection": name, "vector": unit(rng), "mode": "vector", "k": rng.choice([5, 50, 300])}
        if n % 3 == 1:
            body["filter"] = {"n": {"$gte": 5}}
        elif n % 3 == 2:
            body = {"collection": name, "query": "register of painted boats", "mode": "lexical", "k": body["k"]}
        if n % 5 == 0:
            body["exact"] = True
        reply = api.raw("POST", "/search", json=body)
        assert reply.status_code == 200, reply.text
        hits = reply.json()["hits"]
        assert len(hits) == body["k"]
        return sum(h["source"] == "held" for h in hits), len(hits)
    return search


def test_no_search_after_the_answer_returns_what_was_held(api, corpus):
    load = Load(api, searcher(corpus), threads=4)
    wait_until("searches", lambda: len(load.outcomes) >= 20 or load.errors, 30)
    asked = time.monotonic()
    reply = api.post("/quarantine", {"collection": corpus, "source": "held", "reason": "manual"}, 201).json()
    answered = time.monotonic()
    assert reply["held"] == CHUNKS
    wait_until("searches after the answer", lambda: len(load.since(answered)) >= 40 or load.errors, 30)
    outcomes = load.stop()
    before = [held for start, end, (held, _) in outcomes if end < asked]
    assert sum(before) > 0, "the source was found until then, or this shows nothing"
    assert sum(held for held, _ in load.since(answered)) == 0


def test_searches_after_a_release_return_it_again(api, corpus):
    """Of a chunk that was released: it may come back at once, and must once the release is answered."""
    entry = api.entries(corpus, source="held", limit=1)[0]
    number = int(entry["document"].split("-")[1])

    def search(n, mine):
        body = {"collection": corpus, "query": "register", "mode": "lexical", "k": 10,
                "filter": {"n": number, "source": "held"}}
        return [h["document"] for h in mine.raw("POST", "/search", json=body).json()["hits"]]

    load = Load(api, search, threads=3)
    wait_until("searches", lambda: len(load.outcomes) >= 5 or load.errors, 30)
    asked = time.monotonic()
    api.post(f"/quarantine/{entry['id']}/release", {"note": "checked"}, 200)
    answered = time.monotonic()
    wait_until("searches after the answer", lambda: len(load.since(answered)) >= 5 or load.errors, 30)
    outcomes = load.stop()
    before = [found for start, end, found in outcomes if end < asked]
    assert before and not any(before)
    assert all(found == [entry["document"]] for found in load.since(answered))
