"""Hits in the order of a reranker that is called over HTTP."""
import time

import pytest

from harness.documents import TOPICS, article
from harness.mock_rerank import MockRerank

WORDS = "report notes keep"  # the mock counts the last


@pytest.fixture(scope="module")
def endpoint():
    mock = MockRerank()
    yield mock
    mock.close()


@pytest.fixture(scope="module")
def server(new_server, tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys") / "endpoint.keys"
    keys.write_text("rerank = sk-rerank-secret-0123456789\n")
    keys.chmod(0o600)
    server = new_server(endpoint_keys_file=keys)
    server.secrets.add("sk-rerank-secret-0123456789")
    return server


def fill(api, name, **reranker):
    api.collection(name, policy={"reranker": reranker})
    api.source(name, "src")
    for n, _ in enumerate(TOPICS):
        api.put(name, f"d{n}", article(n, sections=3) + "\n\n" + "keep " * n, title=f"Title {n}", media_type="text/markdown")
    return name


@pytest.fixture(scope="module")
def corpus(api, endpoint):
    return fill(api, "reranked", base_url=endpoint.base_url + "/", model="mock", key_name="rerank", timeout_ms=700, top_n=30)


@pytest.fixture(autouse=True)
def fresh(endpoint):
    endpoint.mode, endpoint.requests = "ok", []
    endpoint.released.clear()


def test_hits_come_in_the_order_of_the_reranker(api, endpoint, corpus):
    fused = api.search(corpus, WORDS, k=30)["hits"]
    reply = api.search(corpus, WORDS, k=5, rerank=True, explain=True)
    request = endpoint.requests[0]
    assert request["path"] == "/v1/rerank" and request["model"] == "mock" and request["query"] == WORDS
    assert len(request["documents"]) == len(fused) == request["top_n"]
    assert request["documents"][0] == f"{fused[0]['title']}\n{fused[0]['text']}"
    assert endpoint.authorizations == {"Bearer sk-rerank-secret-0123456789"}
    expected = sorted(fused, key=lambda h: (-endpoint.score(WORDS, h["title"] + h["text"]), h["chunk"]))
    assert [h["chunk"] for h in reply["hits"]] == [h["chunk"] for h in expected[:5]]
    assert [h["chunk"] for h in reply["hits"]] != [h["chunk"] for h in fused[:5]]
    assert reply["degraded"] is False
    assert reply["explain"]["rerank"] == {"applied": True, "candidates": len(fused), "model": "mock", "error": None}
    for hit in reply["hits"]:
        assert hit["score"] == hit["explain"]["rerank"]["score"] == endpoint.score(WORDS, hit["title"] + hit["text"])
        assert fused[hit["explain"]["rerank"]["rank_before"] - 1]["chunk"] == hit["chunk"]


def test_without_a_model_the_shape_is_that_of_tei(api, endpoint):
    name = fill(api, "reranked-tei", base_url=endpoint.base_url)
    hits = api.search(name, WORDS, k=3, rerank=True)["hits"]
    assert set(endpoint.requests[0]) == {"path", "query", "texts", "truncate"}
    scores = [h["score"] for h in hits]
    assert scores == sorted(scores, reverse=True) and scores[0] > 1


@pytest.mark.parametrize("mode, slug", [
    ("error", "reranker-unavailable"), ("hang", "reranker-unavailable"), ("refuse", "reranker-refused"),
    ("short", "reranker-answer"), ("twice", "reranker-answer"), ("infinite", "reranker-answer"), ("html", "reranker-answer"),
])
def test_reranker_that_fails_leaves_the_fused_order(api, endpoint, corpus, mode, slug):
    endpoint.mode = mode
    began = time.monotonic()
    reply = api.search(corpus, WORDS, k=5, rerank=True, explain=True)
    assert time.monotonic() - began < 3
    assert reply["degraded"] is True and reply["explain"]["rerank"]["error"] == slug
    fused = api.search(corpus, WORDS, k=5)
    assert [h["chunk"] for h in reply["hits"]] == [h["chunk"] for h in fused["hits"]]
    assert fused["degraded"] is False
    endpoint.released.set()


def test_what_goes_stale_during_the_wait_is_not_returned(api, endpoint, corpus):
    api.source(corpus, "brief", max_age="PT2S")
    api.put(corpus, "brief", "keep keep keep this report of notes for a moment only, then let it go", source="brief")
    assert "brief" in [h["document"] for h in api.search(corpus, WORDS, k=100)["hits"]]
    endpoint.mode = "hang"
    time.sleep(1.6)
    reply = api.search(corpus, WORDS, k=100, rerank=True)
    assert reply["degraded"] and "brief" not in [h["document"] for h in reply["hits"]]
    endpoint.released.set()


def test_calls_and_failures_are_counted(api, endpoint, corpus):
    def counters():
        lines = dict(line.rsplit(" ", 1) for line in api.get("/metrics").text.splitlines() if line.startswith("assay_rerank"))
        return float(lines["assay_rerank_calls_total"]), float(lines["assay_rerank_failures_total"])
    calls, failures = counters()
    api.search(corpus, WORDS, rerank=True)
    endpoint.mode = "error"
    api.search(corpus, WORDS, rerank=True)
    assert counters() == (calls + 2, failures + 1)


def test_rerank_in_batches_and_query_strings(api, endpoint, corpus):
    alone = api.search(corpus, WORDS, k=4, rerank=True)["hits"]
    query = {"collection": corpus, "query": WORDS, "k": 4, "rerank": True}
    assert api.post("/search/batch", {"queries": [query]}, 200).json()["results"][0]["hits"] == alone
    assert api.get(f"/search?collection={corpus}&q={WORDS}&k=4&rerank=true").json()["hits"] == alone


def test_nothing_found_asks_nobody(api, endpoint, corpus):
    assert api.search(corpus, "zzzzqq", mode="lexical", rerank=True)["hits"] == []
    assert endpoint.requests == []


def test_rerank_that_cannot_be_is_refused(api, endpoint, corpus, collection):
    api.problem("POST", "/search", 422, "no-reranker", "/rerank", json={"collection": collection, "query": "x", "rerank": True})
    api.problem("POST", "/search", 400, pointer="/rerank", json={"collection": corpus, "query": "x", "rerank": True, "k": 101})
    api.problem("POST", "/search", 400, pointer="/rerank", json={"collection": corpus, "vector": [0.5] * 384, "rerank": True})
    api.problem("POST", "/search", 400, pointer="/rerank", json={"collection": corpus, "query": "x", "rerank": "yes"})


@pytest.mark.parametrize("reranker, member", [
    ({}, "base_url"), ({"base_url": "ftp://x/y"}, "base_url"), ({"base_url": "http://u:p@h/"}, "base_url"),
    ({"base_url": "http://host", "top_n": 0}, "top_n"), ({"base_url": "http://host", "top_n": 101}, "top_n"),
    ({"base_url": "http://host", "timeout_ms": 1}, "timeout_ms"), ({"base_url": "http://host", "key_name": "a b"}, "key_name"),
    ({"base_url": "http://host", "retries": 1}, "retries"),
])
def test_faulty_reranker_is_refused_precisely(api, reranker, member):
    api.problem("POST", "/collections", 400, pointer=f"/policy/reranker/{member}",
                json={"name": "no", "policy": {"reranker": reranker}})
