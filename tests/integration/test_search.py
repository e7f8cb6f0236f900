"""Searching: what is asked is what is answered, and what cannot be answered is refused precisely."""
import base64
import struct

import pytest

from harness.documents import TOPICS, article


@pytest.fixture(scope="module")
def corpus(api):
    name = "library"
    api.collection(name)
    api.source(name, "src")
    api.source(name, "other", max_age="P36500D")
    for n, (word, sentence) in enumerate(TOPICS):
        api.put(name, f"d{n}", article(n, sections=2), media_type="text/markdown", source="other" if n % 2 else "src",
                uri=f"https://example.org/{word.replace(' ', '-')}", language="en",
                modified_at=f"2026-01-{n + 1:02d}T00:00:00Z",
                metadata={"year": 2015 + n, "lang": "de" if n % 3 == 0 else "en", "tags": [word, "all"],
                          "author": {"name": f"author {n}"}, **({"draft": True} if n == 5 else {})})
    return name


def ids(*numbers):
    return {f"d{n}" for n in numbers}


@pytest.mark.parametrize("condition, expected", [
    ({"year": 2017}, ids(2)),
    ({"year": {"$eq": 2017}}, ids(2)),
    ({"year": {"$gte": 2022}}, ids(7, 8, 9)),
    ({"year": {"$gt": 2016, "$lt": 2019}}, ids(2, 3)),
    ({"year": {"$lte": 2015}}, ids(0)),
    ({"year": {"$ne": 2015}}, ids(1, 2, 3, 4, 5, 6, 7, 8, 9)),
    ({"year": {"$in": [2015, 2019, 1999]}}, ids(0, 4)),
    ({"year": {"$nin": [2015, 2016, 2017, 2018, 2019, 2020]}}, ids(6, 7, 8, 9)),
    ({"lang": "de", "year": {"$gt": 2016}}, ids(3, 6, 9)),
    ({"$or": [{"year": 2015}, {"lang": "de", "year": 2018}]}, ids(0, 3)),
    ({"$and": [{"lang": "en"}, {"year": {"$lt": 2018}}]}, ids(1, 2)),
    ({"$not": {"lang": "en"}}, ids(0, 3, 6, 9)),
    ({"tags": "volcano"}, ids(2)),
    ({"author.name": "author 4"}, ids(4)),
    ({"draft": {"$exists": True}}, ids(5)),
    ({"draft": {"$exists": False}}, ids(0, 1, 2, 3, 4, 6, 7, 8, 9)),
    ({"draft": True}, ids(5)),
    ({"source": "other"}, ids(1, 3, 5, 7, 9)),
    ({"document": {"$in": ["d1", "d2"]}}, ids(1, 2)),
    ({"uri": "https://example.org/violin"}, ids(1)),
    ({"media_type": "text/markdown", "year": 2016}, ids(1)),
    ({"language": "en", "year": 2016}, ids(1)),
    ({"modified_at": {"$gte": "2026-01-09T00:00:00Z"}}, ids(8, 9)),
    ({"quality": {"$gte": 0}, "year": 2016}, ids(1)),
    ({"nothing": "at all"}, set()),
    ({"year": "2017"}, set()),
])
@pytest.mark.parametrize("exact", [False, True])
def test_filter_leaves_what_it_describes(api, corpus, condition, expected, exact):
    found = api.found(corpus, "report notes that people keep", k=200, filter=condition, exact=exact)
    assert set(found) == expected


@pytest.mark.parametrize("condition, pointer", [
    ({"year": {"$near": 1}}, "/filter/year/$near"),
    ({"$nor": [{"a": 1}]}, "/filter/$nor"),
    ({"$or": []}, "/filter/$or"),
    ({"$or": {"a": 1}}, "/filter/$or"),
    ({"year": {"$in": 5}}, "/filter/year/$in"),
    ({"year": {"$gt": [1]}}, "/filter/year/$gt"),
    ({"draft": {"$exists": "yes"}}, "/filter/draft/$exists"),
    ("year", "/filter"),
])
def test_faulty_filter_is_refused_with_its_pointer(api, corpus, condition, pointer):
    problem = api.problem("POST", "/search", 400, json={"collection": corpus, "query": "x", "filter": condition})
    assert pointer in [e["pointer"] for e in problem.get("errors", [])], problem


def test_filter_that_is_too_deep_or_too_large_is_refused(api, corpus):
    deep = {"a": 1}
    for _ in range(40):
        deep = {"$not": deep}
    api.problem("POST", "/search", 400, json={"collection": corpus, "query": "x", "filter": deep})
    wide = {"$or": [{"a": n} for n in range(5000)]}
    api.problem("POST", "/search", 400, json={"collection": corpus, "query": "x", "filter": wide})


@pytest.mark.parametrize("body, status, pointer", [
    ({}, 400, "/query"),
    ({"query": ""}, 400, "/query"),
    ({"query": 5}, 400, "/query"),
    ({"query": "x", "k": 0}, 400, "/k"),
    ({"query": "x", "k": 1001}, 400, "/k"),
    ({"query": "x", "k": 1.5}, 400, "/k"),
    ({"query": "x", "k": "ten"}, 400, "/k"),
    ({"query": "x", "mode": "psychic"}, 400, "/mode"),
    ({"query": "x", "min_quality": 1.5}, 400, "/min_quality"),
    ({"query": "x", "exact": "yes"}, 400, "/exact"),
    ({"query": "x", "limit": 3}, 400, "/limit"),
    ({"query": "x", "principal": "group:a"}, 400, "/principal"),
    ({"query": "x", "vector": [0.1, 0.2]}, 400, "/vector"),
    ({"query": "x", "vector": ["a"] * 384}, 400, None),
    ({"query": "x", "vector": [0.0] * 384}, 400, "/vector"),
    ({"query": "x", "vector": "AAAA"}, 400, "/vector"),
    ({"query": "x", "vector": "not base64!"}, 400, "/vector"),
    ({"query": "x", "vector": [0.1] * 384, "mode": "lexical"}, 400, "/vector"),
    ({"query": "x", "at": "branch-that-is-not"}, 422, "/at"),
])
def test_faulty_search_is_refused_precisely(api, corpus, body, status, pointer):
    problem = api.problem("POST", "/search", status, json={"collection": corpus, **body})
    if pointer:
        assert pointer in [e["pointer"] for e in problem.get("errors", [])], problem


def test_what_no_caller_should_send_is_refused_precisely(api, corpus):
    """Issue by issue: each a 4xx that says what and where."""
    def refused(pointer, status=400, **body):
        return api.problem("POST", "/search", status, pointer=pointer, json={"collection": corpus, **body})
    refused("/vector", vector=[0.1] * 383)
    refused("/vector", vector=[0.1] * 4097)
    for text in ("NaN", "Infinity", "-Infinity", "1e39"):
        body = '{"collection":"%s","vector":[%s]}' % (corpus, ",".join(["0.5", text] + ["0.5"] * 382))
        api.problem("POST", "/search", 400, pointer="/vector/1", data=body, headers={"Content-Type": "application/json"})
    for quiet in (float("nan"), float("inf")):
        packed = base64.b64encode(struct.pack("<384f", *([0.5] * 7 + [quiet] + [0.5] * 376))).decode()
        refused("/vector/7", vector=packed)
    for k in (0, -1, 1000000, 2**62):
        refused("/k", query="x", k=k)
    for query in ("", " \t\n"):
        refused("/query", query=query)
    refused("/query", query="x" * (1 << 20))
    refused("/at", 422, query="x", at="no-such-branch")
    refused("/at", 422, query="x", at="0" * 64)
    api.problem("POST", "/search", 404, "unknown-collection", json={"collection": "no-such-collection", "query": "x"})
    for nested in ('{"$not":' * 1000 + '{"a":1}' + "}" * 1000, '{"$or":[' * 1000 + '{"a":1}' + "]}" * 1000):
        problem = api.problem("POST", "/search", 400, data='{"collection":"%s","query":"x","filter":%s}' % (corpus, nested),
                              headers={"Content-Type": "application/json"})
        assert "deep" in str(problem), problem
    assert api.search(corpus, "violin", k=1)["hits"], "and the server goes on"


def test_query_that_is_too_long_is_refused(api, corpus):
    api.call("POST", "/search", (400, 413), json={"collection": corpus, "query": "x" * 8193})


def test_unknown_collection_is_404(api):
    api.problem("POST", "/search", 404, "unknown-collection", json={"collection": "nowhere", "query": "x"})
    api.problem("GET", "/search?q=x&collection=nowhere", 404, "unknown-collection")


@pytest.mark.parametrize("query, parameter", [
    ("q=", "?q"), ("k=3", "?q"), ("q=x&k=0", "?k"), ("q=x&k=ten", "?k"), ("q=x&colour=red", "?colour"),
    ("q=x&mode=psychic", "?mode"), ("q=x&exact=maybe", "?exact"), ("q=x&filter={", "?filter"), ("q=x&q=y", "?q"),
])
def test_faulty_query_string_is_refused_precisely(api, corpus, query, parameter):
    problem = api.problem("GET", f"/search?collection={corpus}&{query}", 400)
    assert parameter in [e["pointer"] for e in problem.get("errors", [])], problem


def test_k_is_how_many_come_when_there_are_as_many(api, corpus):
    total = len(api.search(corpus, "report", k=1000, exact=True)["hits"])
    assert total > 20
    for k in (1, 7, 20):
        for mode in ("hybrid", "vector"):
            assert len(api.search(corpus, "report notes", k=k, mode=mode)["hits"]) == k


def test_always_as_many_hits_as_match_whatever_the_filter(api, corpus):
    """Row 7: no filter starves the graph of hits that are there."""
    for year in range(2015, 2025):
        exact = api.search(corpus, "notes", k=1000, filter={"year": year}, exact=True, mode="vector")["hits"]
        usual = api.search(corpus, "notes", k=1000, filter={"year": year}, mode="vector")["hits"]
        assert {h["chunk"] for h in usual} == {h["chunk"] for h in exact} != set()


def test_min_quality_leaves_out_what_is_below(api, corpus):
    hits = api.search(corpus, "report", k=1000)["hits"]
    assert all(0 <= hit["quality"] <= 1 for hit in hits)
    best = max(hit["quality"] for hit in hits)
    assert all(h["quality"] >= best for h in api.search(corpus, "report", k=1000, min_quality=best)["hits"])
    assert len(api.search(corpus, "report", k=1000, min_quality=0.0)["hits"]) == len(hits)


def test_word_that_only_one_document_has_is_found_by_the_lexical_leg(api, corpus):
    api.put(corpus, "rare", "The word quetzalcoatlus stands in one document only, and so that document has to be found.")
    assert api.found(corpus, "quetzalcoatlus", mode="lexical") == ["rare"]
    assert api.found(corpus, "quetzalcoatlus")[0] == "rare"
    api.remove(corpus, "rare")


def test_query_without_any_known_word_still_gets_a_whole_answer(api, corpus):
    assert api.search(corpus, "zzzzqqqq", mode="lexical")["hits"] == []
    assert isinstance(api.search(corpus, "🏔 ☃ ¿?")["hits"], list)


def test_explain_shows_ranks_of_both_legs(api, corpus):
    reply = api.search(corpus, "violin maker", k=3, explain=True)
    assert reply["explain"] and all(hit["explain"] for hit in reply["hits"])
    assert "explain" not in api.search(corpus, "violin maker", k=3)


def test_at_takes_the_head_commit_and_main(api, corpus):
    now = api.search(corpus, "violin", k=3)
    for at in ("main", now["commit"]):
        assert api.search(corpus, "violin", k=3, at=at)["hits"] == now["hits"]


def test_acl_decides_who_sees_a_document(api, corpus):
    api.put(corpus, "secret", "The password of the vault under the chapel is known to the abbot and to nobody else.",
            acl=["group:abbots"])
    api.put(corpus, "nobody", "A note about the crypt under the chapel that nobody at all is meant to be reading.", acl=[])
    question = "vault or crypt under the chapel"
    abbot = api.key_for("abbot", ["read"], ["group:abbots"])
    monk = api.key_for("monk", ["read"], ["group:monks"])
    assert "secret" in abbot.found(corpus, question) and "secret" not in monk.found(corpus, question)
    for reader in (abbot, monk):
        assert "nobody" not in reader.found(corpus, question)
        assert "d0" in reader.found(corpus, "glacier"), "a document without acl is for everyone"
    assert "secret" in api.found(corpus, question, principal=["group:abbots"])
    assert "secret" not in api.found(corpus, question, principal=["group:monks"])
    assert "secret" not in api.found(corpus, question, principal=[])
    abbot.document(corpus, "secret")
    hit = abbot.search(corpus, question, k=1)["hits"][0]
    for path in (f"/documents/secret?collection={corpus}", f"/documents/secret/versions?collection={corpus}",
                 f"/documents/secret/versions/{hit['version']}?collection={corpus}",
                 f"/chunks/{hit['chunk']}?collection={corpus}"):
        monk.problem("GET", path, 404)
        abbot.get(path)
    assert "secret" not in [d["id"] for d in monk.pages(f"/documents?collection={corpus}", limit=5, hidden=True)]
    told = str(monk.call("GET", "/lineage", (200, 404), params={"nodeId": hit["provenance"]["node_id"]}).json())
    assert "secret" not in told, "lineage does not tell what the ACL hides"


def test_speaking_for_others_needs_scope_delegate(api, corpus):
    reader = api.key_for("plain-reader", ["read"])
    reader.problem("POST", "/search", 403, json={"collection": corpus, "query": "x", "principal": ["group:abbots"]})
    speaker = api.key_for("speaker", ["read", "delegate"])
    speaker.post("/search", {"collection": corpus, "query": "x", "principal": ["group:abbots"]}, 200)


def test_quarantined_passages_are_shown_to_stewards_only_and_marked(api, corpus):
    api.put(corpus, "held", "A curious remark about the periwinkle snail that a steward has set aside for now.")
    api.post("/quarantine", {"collection": corpus, "document": "held", "reason": "manual"}, 201)
    assert "held" not in api.found(corpus, "periwinkle snail")
    reader = api.key_for("reader-2", ["read"])
    reader.problem("POST", "/search", 403, json={"collection": corpus, "query": "x", "include_quarantined": True})
    hits = api.search(corpus, "periwinkle snail", k=5, include_quarantined=True)["hits"]
    assert {hit["state"] for hit in hits if hit["document"] == "held"} == {"quarantined"}
    assert {hit["state"] for hit in hits if hit["document"] != "held"} == {"active"}


def test_collection_of_client_vectors_finds_by_vector(api):
    name = "vectors"
    api.collection(name, embedder={"kind": "client", "dim": 8})
    api.source(name, "src")
    for n in range(8):
        v = [0.0] * 8
        v[n] = 1.0
        api.put(name, f"v{n}", f"The document with number {n} points along the axis of its own number.", vector=v)
    query = [0.05] * 8
    query[3] = 1.0
    for given in (query, base64.b64encode(struct.pack("<8f", *query)).decode()):
        hits = api.search(name, vector=given, mode="vector", k=3)["hits"]
        assert hits[0]["document"] == "v3" and len(hits) == 3
        length = sum(x * x for x in query) ** 0.5
        assert hits[0]["score"] == pytest.approx(1.0 / length, abs=1e-3), "in mode vector the score is the cosine"
    hybrid = api.search(name, "number 5", vector=query, k=8)["hits"]
    assert len(hybrid) == 8
    api.problem("POST", "/search", 422, json={"collection": name, "query": "x"})
    api.problem("POST", "/search", 400, pointer="/vector", json={"collection": name, "vector": [1.0] * 7})
    assert api.found(name, "axis", mode="lexical") != []
    body = {"collection": name, "source": "src", "id": "no-vector", "text": "A document that brings no vector."}
    api.call("POST", "/documents", (400, 422), json=body)
    api.call("POST", "/documents", (400, 422), json={**body, "vector": [1.0] * 9})
    api.call("POST", "/documents", (400, 422), json={**body, "vector": [0.0] * 8})


def test_receipt_number_is_new_each_time(api, corpus):
    assert len({api.search(corpus, "violin", k=1)["receipt"] for _ in range(5)}) == 5


def test_empty_collection_answers_with_nothing(api, collection):
    assert api.search(collection, "anything")["hits"] == []
