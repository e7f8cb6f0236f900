"""Vectors of queries from an endpoint: batched across searches, cached, bounded in time."""
import threading
import time

import pytest

from harness.documents import TOPICS, article
from harness.mock_embeddings import MockEmbeddings


@pytest.fixture(scope="module")
def endpoint():
    mock = MockEmbeddings(dim=64)
    yield mock
    mock.close()


@pytest.fixture(scope="module")
def corpus(api, endpoint):
    name = "query-embedding"
    api.collection(name, embedder={"kind": "openai", "base_url": endpoint.base_url, "model": "mock", "dim": 64,
                                   "timeout_ms": 3000, "retries": 0, "batch_size": 32})
    api.source(name, "src")
    for n in range(6):
        api.put(name, f"d{n}", article(n, 1), media_type="text/markdown")
    return name


@pytest.fixture(autouse=True)
def fresh(endpoint, corpus):
    endpoint.mode, endpoint.calls, endpoint.texts = "ok", 0, []
    endpoint.released.clear()


def counters(api):
    lines = dict(line.rsplit(" ", 1) for line in api.get("/metrics").text.splitlines() if line.startswith("assay_query_cache"))
    return float(lines["assay_query_cache_hits_total"]), float(lines["assay_query_cache_misses_total"])


def at_once(api, corpus, queries, **more):
    """Searches by threads of their own; the replies in the order of the queries."""
    replies = [None] * len(queries)

    def ask(i):
        replies[i] = api.with_key(api.key).search(corpus, queries[i], **more)
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(queries))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


def test_repeated_query_costs_no_call(api, endpoint, corpus):
    hits, misses = counters(api)
    first = api.search(corpus, "glacier valley once", k=3)
    again = api.search(corpus, "glacier valley once", k=3)
    assert again["hits"] == first["hits"] and endpoint.calls == 1
    assert counters(api) == (hits + 1, misses + 1)
    endpoint.mode = "error"
    assert api.search(corpus, "glacier valley once", k=3)["degraded"] is False


def test_concurrent_searches_share_calls_and_each_gets_its_own_vector(api, endpoint, corpus):
    queries = [f"{word} shared {n}" for n, (word, _) in enumerate(TOPICS[:4])] + [f"other {n}" for n in range(4)]
    endpoint.mode = "hang"  # the first calls wait until everybody is there
    threading.Timer(1.2, endpoint.released.set).start()
    replies = at_once(api, corpus, queries, k=3, mode="vector")
    assert sorted(endpoint.texts) == sorted(queries)
    assert endpoint.calls < len(queries) / 2, "those that wait go out together"
    endpoint.mode, endpoint.calls = "ok", 0
    for query, reply in zip(queries, replies):
        assert api.search(corpus, query, k=3, mode="vector")["hits"] == reply["hits"]
    assert endpoint.calls == 0


def test_text_that_the_endpoint_refuses_spoils_no_other(api, endpoint, corpus):
    endpoint.mode = "poison"
    queries = [{"collection": corpus, "query": q, "k": 2} for q in ("volcano one", "poison two", "violin three")]
    results = api.post("/search/batch", {"queries": queries}, 200).json()["results"]
    assert [r["degraded"] for r in results] == [False, True, False]


def test_batch_of_searches_is_one_call(api, endpoint, corpus):
    queries = [{"collection": corpus, "query": f"batched {n}", "k": 2} for n in range(20)]
    queries.insert(7, {"collection": corpus, "query": "words only", "mode": "lexical"})
    results = api.post("/search/batch", {"queries": queries}, 200).json()["results"]
    assert endpoint.calls == 1 and len(endpoint.texts) == 20
    assert not any(r["degraded"] for r in results)


def test_hanging_endpoint_delays_a_whole_batch_once(api, endpoint, corpus):
    endpoint.mode = "hang"
    began = time.monotonic()
    queries = [{"collection": corpus, "query": f"volcano hanging {n}"} for n in range(10)]
    results = api.post("/search/batch", {"queries": queries + [{**queries[0], "mode": "vector"}]}, 200).json()["results"]
    assert time.monotonic() - began < 6
    assert all(r["degraded"] and r["hits"] for r in results[:10]) and results[10]["status"] == 503
    endpoint.released.set()


def test_waiting_for_company_is_bounded_by_the_timeout(api, endpoint, corpus):
    endpoint.mode = "hang"
    began = time.monotonic()
    replies = at_once(api, corpus, [f"volcano crowd {n}" for n in range(8)], k=2)
    assert time.monotonic() - began < 6
    assert all(r["degraded"] for r in replies)
    endpoint.released.set()
    endpoint.mode = "ok"
    assert api.search(corpus, "volcano after", k=2)["degraded"] is False
