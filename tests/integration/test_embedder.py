"""Collections whose vectors come from an OpenAI-shaped endpoint."""
import json

import pytest

from harness.documents import article
from harness.mock_embeddings import MockEmbeddings
from harness.server import wait_until


@pytest.fixture(scope="module")
def endpoint():
    mock = MockEmbeddings(dim=64)
    yield mock
    mock.close()


@pytest.fixture(scope="module")
def server(new_server, tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys") / "endpoint.keys"
    keys.write_text("main = sk-endpoint-secret-0123456789\n")
    keys.chmod(0o600)
    server = new_server(endpoint_keys_file=keys)
    server.secrets.add("sk-endpoint-secret-0123456789")
    return server


@pytest.fixture
def collection(api, endpoint, request):
    endpoint.mode, endpoint.texts = "ok", []
    endpoint.released.clear()
    name = f"e{abs(hash(request.node.name)) % 10**8}"
    api.collection(name, embedder={"kind": "openai", "base_url": endpoint.base_url, "model": "mock", "dim": 64,
                                   "key_name": "main", "batch_size": 4, "timeout_ms": 1500, "retries": 1,
                                   "query_prefix": "query: ", "document_prefix": "passage: "})
    api.source(name, "src")
    endpoint.calls = 0
    return name


def lines(collection, numbers):
    return [{"collection": collection, "source": "src", "id": f"d{n}", "text": article(n, 2, f"mark{n}"),
             "media_type": "text/markdown"} for n in numbers]


def test_vectors_come_from_the_endpoint(api, endpoint, collection):
    reply = api.put(collection, "a", article(0, 4), media_type="text/markdown")
    assert endpoint.calls == -(-reply["chunks"] // 4), "in batches of batch_size"
    assert all(text.startswith("passage: ") for text in endpoint.texts)
    assert endpoint.authorizations == {"Bearer sk-endpoint-secret-0123456789"}
    assert api.found(collection, "glacier valley rock", mode="vector") == ["a"]
    assert endpoint.texts[-1] == "query: glacier valley rock"


def test_answers_out_of_order_are_put_in_order(api, endpoint, collection):
    endpoint.mode = "shuffled"
    for n in range(4):
        api.put(collection, f"d{n}", article(n, 3), media_type="text/markdown")
    endpoint.mode = "ok"
    assert api.search(collection, "violin maker spruce belly maple", mode="vector", k=1)["hits"][0]["document"] == "d1"


def test_row_05_unchanged_corpus_costs_no_embedding_call(api, endpoint, collection):
    """langchain#21028: the same corpus again, however it is cut into batches, is zero calls."""
    api.bulk(lines(collection, range(12)))
    assert endpoint.calls > 0
    endpoint.calls, endpoint.texts = 0, []
    report = api.bulk(lines(collection, range(12)))
    assert report["unchanged"] == 12
    for part in (range(0, 5), range(5, 6), range(6, 12)):
        api.bulk(lines(collection, reversed(part)))
    for line in lines(collection, range(12)):
        api.post("/documents", line, 200)
    assert endpoint.calls == 0, endpoint.texts[:3]


def test_changed_section_embeds_only_the_chunks_that_changed(api, endpoint, collection):
    text = article(0, 8)
    chunks = api.put(collection, "a", text, media_type="text/markdown")["chunks"]
    endpoint.texts = []
    api.put(collection, "a", text.replace("note 8.5", "note eight point five"), media_type="text/markdown")
    assert 1 <= len(endpoint.texts) < chunks


@pytest.mark.parametrize("mode", ["error", "short", "wrong_dim", "hang"])
def test_endpoint_that_fails_stores_nothing_and_search_goes_on_by_words(api, endpoint, collection, mode):
    api.put(collection, "before", article(2, 2), media_type="text/markdown")
    endpoint.mode = mode
    body = {"collection": collection, "source": "src", "id": "during", "text": article(3, 1), "media_type": "text/markdown"}
    problem = api.call("POST", "/documents", (502, 503), json=body).json()
    slug = "embedder-answer" if mode in ("short", "wrong_dim") else "embedder-unavailable"
    assert problem["type"].endswith(slug), problem
    api.document(collection, "during", status=404)
    reply = api.search(collection, "volcano ash stratosphere", k=3)
    assert reply["degraded"] is True and reply["hits"][0]["document"] == "before"
    api.problem("POST", "/search", 503, "embedder-unavailable", json={"collection": collection, "query": "x", "mode": "vector"})
    assert api.search(collection, "volcano", mode="lexical")["degraded"] is False
    endpoint.mode = "ok"
    endpoint.released.set()
    api.post("/documents", body, 201)
    assert api.search(collection, "sourdough flour", k=3)["degraded"] is False


def test_failing_endpoint_rejects_the_line_and_the_job_goes_on(api, endpoint, collection):
    api.bulk(lines(collection, range(2)))
    endpoint.mode = "error"
    report = api.bulk(lines(collection, range(4)))
    assert report["unchanged"] == 2 and len(report["rejected"]) == 2
    assert {r["problem"]["status"] for r in report["rejected"]} <= {502, 503}


def test_hanging_endpoint_does_not_hold_up_other_collections(api, endpoint, collection):
    import threading
    import time
    api.collection(collection + "-plain")
    api.source(collection + "-plain", "src")
    endpoint.mode = "hang"
    waiting = [threading.Thread(target=lambda: api.with_key(api.key).search(collection, "x")) for _ in range(4)]
    for thread in waiting:
        thread.start()
    slowest = 0
    for _ in range(20):
        began = time.monotonic()
        api.search(collection + "-plain", "anything")
        slowest = max(slowest, time.monotonic() - began)
    for thread in waiting:
        thread.join()
    assert slowest < 1, "the endpoint is called off the HTTP threads"


@pytest.mark.parametrize("embedder, pointer", [
    ({"kind": "openai", "base_url": "ftp://x", "model": "m", "dim": 3}, "/embedder/base_url"),
    ({"kind": "openai", "model": "m", "dim": 3}, "/embedder/base_url"),
    ({"kind": "client"}, "/embedder/dim"),
    ({"kind": "client", "dim": 0}, "/embedder/dim"),
    ({"kind": "client", "dim": 5000}, "/embedder/dim"),
    ({"kind": "psychic"}, "/embedder/kind"),
    ({"dim": 3}, "/embedder/kind"),
    ({"kind": "builtin", "model": "x"}, "/embedder/model"),
])
def test_faulty_embedder_is_refused_precisely(api, embedder, pointer):
    api.problem("POST", "/collections", 400, pointer=pointer, json={"name": "faulty", "embedder": embedder})


@pytest.mark.parametrize("body, pointer", [
    ({}, "/name"), ({"name": "UPPER"}, "/name"), ({"name": "-x"}, "/name"), ({"name": "x" * 64}, "/name"),
    ({"name": "ok", "pipeline": {"operators": [{"op": "magic"}]}}, None),
    ({"name": "ok", "policy": {"weights": {"beauty": 1}}}, "/policy/weights/beauty"),
    ({"name": "ok", "policy": {"weights": {"uniqueness": -1}}}, "/policy/weights/uniqueness"),
])
def test_faulty_collection_is_refused_precisely(api, body, pointer):
    api.problem("POST", "/collections", 400, pointer=pointer, json=body)


def test_names_of_collections_are_unique_and_a_pipeline_may_be_given(api):
    pipeline = {"operators": [{"op": "extract"}, {"op": "normalise", "form": "NFC"},
                              {"op": "chunk", "target_tokens": 60, "max_tokens": 120, "overlap_tokens": 0, "split_level": 2},
                              {"op": "checks", "checks": [{"check": "not_empty"}]}, {"op": "embed"}]}
    made = api.collection("own-pipeline", pipeline=pipeline, description="With small chunks")
    assert made["description"] == "With small chunks"
    api.problem("POST", "/collections", 409, "collection-exists", json={"name": "own-pipeline"})
    api.source("own-pipeline", "src")
    api.collection("usual-pipeline")
    api.source("usual-pipeline", "src")
    small = api.put("own-pipeline", "a", article(0), media_type="text/markdown")["chunks"]
    assert small > api.put("usual-pipeline", "a", article(0), media_type="text/markdown")["chunks"]
    assert "own-pipeline" in [c["name"] for c in api.pages("/collections")]
    wait_until("the index", lambda: json.loads(api.get("/collections/own-pipeline").text)["index"]["slots"] == small, 5)
