"""How a search orders what it found: fusion, quality, age, documents, neighbours."""
import pytest

from harness.documents import TOPICS, article


@pytest.fixture(scope="module")
def corpus(api):
    name = "ranked"
    api.collection(name)
    api.source(name, "src")
    for n, _ in enumerate(TOPICS):
        api.put(name, f"d{n}", article(n, sections=4), media_type="text/markdown",
                modified_at=f"20{10 + n:02d}-01-01T00:00:00Z")
    return name


def legs(hit):
    return {leg: hit["explain"][leg] for leg in ("vector", "lexical")}


@pytest.mark.parametrize("k, vector, lexical", [(60, 1, 1), (10, 0.25, 2), (1, 0, 1)])
def test_reciprocal_rank_fusion_adds_up(api, corpus, k, vector, lexical):
    fusion = {"method": "rrf", "k": k, "weights": {"vector": vector, "lexical": lexical}}
    reply = api.search(corpus, "violin maker notes", k=20, explain=True, fusion=fusion)
    assert reply["explain"]["fusion"] == {"method": "rrf", "k": k, "weights": {"vector": vector, "lexical": lexical}}
    for hit in reply["hits"]:
        share = {"vector": vector, "lexical": lexical}
        expected = sum(share[leg] / (k + at["rank"]) for leg, at in legs(hit).items() if at)
        assert hit["score"] == pytest.approx(expected, abs=2e-8)


def test_weighted_fusion_adds_normalised_scores(api, corpus):
    fusion = {"method": "weighted", "weights": {"vector": 1, "lexical": 3}}
    hits = api.search(corpus, "violin maker notes", k=1000, explain=True, fusion=fusion)["hits"]
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    bounds = {leg: [f([h["explain"][leg]["score"] for h in hits if h["explain"][leg]]) for f in (min, max)]
              for leg in ("vector", "lexical")}
    for hit in hits:
        expected = sum({"vector": 1, "lexical": 3}[leg] * (at["score"] - bounds[leg][0]) / (bounds[leg][1] - bounds[leg][0])
                       for leg, at in legs(hit).items() if at)
        assert hit["score"] == pytest.approx(expected, abs=1e-6)


def test_adaptive_fusion_says_what_the_vector_leg_weighed(api, corpus):
    """The default of the built-in embedder: weighted, the vector's weight being found for each query."""
    reply = api.search(corpus, "violin maker notes", k=1000, explain=True)
    fusion = reply["explain"]["fusion"]
    assert (fusion["method"], fusion["weights"]) == ("adaptive", {"vector": 0.5, "lexical": 1})
    assert 0 <= fusion["vector_weight"] <= 0.5
    weights = {"vector": fusion["vector_weight"], "lexical": 1}
    same = api.search(corpus, "violin maker notes", k=1000, explain=True, fusion={"method": "weighted", "weights": weights})
    assert [hit["chunk"] for hit in same["hits"]] == [hit["chunk"] for hit in reply["hits"]]
    assert "vector_weight" not in same["explain"]["fusion"]
    off = api.search(corpus, "violin", explain=True, fusion={"weights": {"vector": 0}})["explain"]["fusion"]
    assert (off["method"], off["vector_weight"]) == ("adaptive", 0)


@pytest.mark.parametrize("mode", ["hybrid", "vector", "lexical"])
def test_age_halves_the_score_with_each_half_life(api, corpus, mode):
    hits = api.search(corpus, "report notes", k=1000, mode=mode, explain=True,
                      fusion={"freshness_half_life": "P365D"})["hits"]
    factors = {hit["document"]: hit["explain"]["freshness_factor"] for hit in hits}
    assert len(factors) > 5
    for n in range(len(TOPICS) - 1):
        if f"d{n}" in factors and f"d{n + 1}" in factors:
            assert factors[f"d{n}"] / factors[f"d{n + 1}"] == pytest.approx(0.5, rel=0.01)
    for hit in hits:
        by = hit["explain"]["freshness_factor"] * hit["explain"]["quality_factor"]
        base = hit["explain"]["base_score"]
        assert hit["score"] == pytest.approx(base * by if base >= 0 else base * (2 - by), abs=2e-8)


def test_policy_gives_the_defaults_and_the_request_overrides_them(api):
    name = "ranked-by-policy"
    fusion = {"method": "rrf", "k": 20, "quality_weight": 0.5, "freshness_half_life": "P30D"}
    made = api.collection(name, policy={"fusion": fusion})
    assert made["policy"] == {"fusion": fusion}
    api.source(name, "src")
    api.put(name, "a", article(0), media_type="text/markdown")
    told = api.search(name, "glacier", explain=True)["explain"]
    assert (told["fusion"]["k"], told["quality_weight"], told["freshness_half_life"]) == (20, 0.5, "P30D")
    told = api.search(name, "glacier", explain=True, fusion={"k": 5, "freshness_half_life": None})["explain"]
    assert (told["fusion"]["k"], told["quality_weight"], told["freshness_half_life"]) == (5, 0.5, None)


def test_query_string_takes_the_same(api, corpus):
    path = f"/search?collection={corpus}&q=violin&k=3&max_per_document=1&context=1&explain=true"
    reply = api.get(path + '&fusion={"method":"weighted"}').json()
    assert reply["explain"]["fusion"]["method"] == "weighted"
    assert len({hit["document"] for hit in reply["hits"]}) == 3 and all("context" in hit for hit in reply["hits"])
    api.problem("GET", path + '&fusion={"k":0}', 400, pointer="?fusion/k")


@pytest.mark.parametrize("mode", ["hybrid", "vector", "lexical"])
def test_max_per_document_lets_others_in(api, corpus, mode):
    everything = api.search(corpus, "report notes", k=1000, mode=mode, exact=True)["hits"]
    documents = {hit["document"] for hit in everything}
    assert len(everything) > len(documents) > 5
    for most in (1, 2):
        hits = api.search(corpus, "report notes", k=len(documents), mode=mode, exact=True, max_per_document=most)["hits"]
        count = {}
        for hit in hits:
            count[hit["document"]] = count.get(hit["document"], 0) + 1
        assert len(hits) == len(documents) and max(count.values()) <= most
    best = [next(h["chunk"] for h in everything if h["document"] == d) for d in dict.fromkeys(h["document"] for h in everything)]
    if mode != "hybrid":  # a fused score also depends on how many candidates were looked at
        hits = api.search(corpus, "report notes", k=1000, mode=mode, exact=True, max_per_document=1)["hits"]
        assert [h["chunk"] for h in hits] == best


def test_context_brings_the_neighbours_in_the_order_of_the_text(api, corpus):
    chunks = sorted((h for h in api.search(corpus, "glacier", k=100, filter={"document": "d0"}, mode="vector")["hits"]),
                    key=lambda h: h["span"])
    assert len(chunks) >= 4
    at = {h["chunk"]: i for i, h in enumerate(chunks)}
    for hit in api.search(corpus, "glacier", k=100, filter={"document": "d0"}, context=2)["hits"]:
        i = at[hit["chunk"]]
        assert [c["chunk"] for c in hit["context"]["before"]] == [h["chunk"] for h in chunks[max(0, i - 2):i]]
        assert [c["chunk"] for c in hit["context"]["after"]] == [h["chunk"] for h in chunks[i + 1:i + 3]]
        for side in hit["context"].values():
            assert all(c["text"] == chunks[at[c["chunk"]]]["text"] and c["span"] == chunks[at[c["chunk"]]]["span"] for c in side)
    assert "context" not in api.search(corpus, "glacier", k=1)["hits"][0]


def test_context_never_shows_what_is_held_back(api):
    name = "held-context"
    api.collection(name)
    api.source(name, "src")
    api.put(name, "a", article(0, sections=6), media_type="text/markdown")
    chunks = sorted(api.search(name, "glacier", k=100, mode="vector")["hits"], key=lambda h: h["span"])
    held = chunks[2]["chunk"]
    api.post("/quarantine", {"collection": name, "chunks": [held], "reason": "manual"}, 201)
    shown = [c["chunk"] for h in api.search(name, "glacier", k=100, context=10)["hits"]
             for side in h["context"].values() for c in side]
    assert shown and held not in shown
    steward = [c for h in api.search(name, "glacier", k=100, context=10, include_quarantined=True)["hits"]
               for side in h["context"].values() for c in side if c["chunk"] == held]
    assert {c["state"] for c in steward} == {"quarantined"}


@pytest.mark.parametrize("body, pointer", [
    ({"fusion": "rrf"}, "/fusion"),
    ({"fusion": {"method": "borda"}}, "/fusion/method"),
    ({"fusion": {"k": 0}}, "/fusion/k"),
    ({"fusion": {"method": "weighted", "k": 60}}, "/fusion/k"),
    ({"fusion": {"weights": {"vector": -1}}}, "/fusion/weights/vector"),
    ({"fusion": {"weights": {"words": 1}}}, "/fusion/weights/words"),
    ({"fusion": {"weights": {"vector": 0, "lexical": 0}}}, "/fusion/weights"),
    ({"fusion": {"quality_weight": 1.1}}, "/fusion/quality_weight"),
    ({"fusion": {"freshness_half_life": "30 days"}}, "/fusion/freshness_half_life"),
    ({"fusion": {"freshness_half_life": "P0D"}}, "/fusion/freshness_half_life"),
    ({"fusion": {"decay": 1}}, "/fusion/decay"),
    ({"max_per_document": 0}, "/max_per_document"),
    ({"max_per_document": 1001}, "/max_per_document"),
    ({"context": -1}, "/context"),
    ({"context": 11}, "/context"),
    ({"context": 1, "k": 101}, "/context"),
])
def test_faulty_ranking_is_refused_precisely(api, corpus, body, pointer):
    api.problem("POST", "/search", 400, pointer=pointer, json={"collection": corpus, "query": "x", **body})


def test_faulty_fusion_in_a_policy_is_refused(api):
    api.problem("POST", "/collections", 400, pointer="/policy/fusion/k",
                json={"name": "no", "policy": {"fusion": {"k": -1}}})
