"""A source's chunks are held back and given free again while searches go on: a search that begins after the answer knows."""
import random
import time

import pytest

from harness.load import Load

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
    lines = [{"collection": name, "source": ("held", "kept")[n % 2], "id": f"{('held', 'kept')[n % 2]}-{n}", "vector": unit(rng),
              "text": f"Entry number {n} of the register of boats tells who painted the boat and when it was sold.",
              "metadata": {"n": n}} for n in range(2 * CHUNKS)]
    assert api.bulk(lines, "?wait=indexed")["accepted"] == 2 * CHUNKS
    return name


def searcher(name):
    """Searches of every kind; returns (how many hits of the source that is held, how many hits)."""
    def search(n, api):
        rng = random.Random(n)
        body = {"collection": name, "vector": unit(rng), "mode": "vector", "k": rng.choice([5, 50, 300])}
        if n % 3 == 1:
            body["filter"] = {"n": {"$gte": 10}}
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
    time.sleep(0.7)
    asked = time.monotonic()
    reply = api.post("/quarantine", {"collection": corpus, "source": "held", "reason": "manual"}, 201).json()
    answered = time.monotonic()
    assert reply["held"] == CHUNKS
    time.sleep(0.7)
    outcomes = load.stop()
    before = [held for start, end, (held, _) in outcomes if end < asked]
    assert len(before) > 10 and sum(before) > 0, "the source was found until then, or this shows nothing"
    after = load.since(answered)
    assert len(after) > 10
    assert sum(held for held, _ in after) == 0


def test_searches_after_a_release_return_it_again(api, corpus):
    """Of a chunk that was released: it may come back at once, and must once the release is answered."""
    entry = api.entries(corpus, source="held", limit=1)[0]
    number = int(entry["document"].split("-")[1])

    def search(n, mine):
        body = {"collection": corpus, "query": "register", "mode": "lexical", "k": 10, "filter": {"n": number}}
        return [h["document"] for h in mine.raw("POST", "/search", json=body).json()["hits"]]

    load = Load(api, search, threads=3)
    time.sleep(0.3)
    asked = time.monotonic()
    api.post(f"/quarantine/{entry['id']}/release", {"note": "checked"}, 200)
    answered = time.monotonic()
    time.sleep(0.3)
    outcomes = load.stop()
    before = [found for start, end, found in outcomes if end < asked]
    after = load.since(answered)
    assert len(before) > 3 and not any(before)
    assert len(after) > 3 and all(found == [entry["document"]] for found in after)
