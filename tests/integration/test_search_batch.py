"""Many searches in one request: each stands alone."""
import pytest

from harness.documents import TOPICS, article


@pytest.fixture(scope="module")
def corpus(api):
    name = "batched"
    api.collection(name)
    api.source(name, "src")
    for n in range(5):
        api.put(name, f"d{n}", article(n, sections=2), media_type="text/markdown")
    return name


def batch(api, *queries):
    results = api.post("/search/batch", {"queries": list(queries)}, 200).json()["results"]
    assert len(results) == len(queries)
    return results


def test_results_are_those_of_single_searches_in_their_order(api, corpus):
    queries = [{"collection": corpus, "query": f"{word} notes", "k": 3, "mode": mode}
               for word, _ in TOPICS[:5] for mode in ("hybrid", "vector", "lexical")]
    results = batch(api, *queries)
    for query, result in zip(queries, results):
        alone = api.post("/search", query, 200).json()
        assert result["hits"] == alone["hits"] and result["commit"] == alone["commit"]
    assert len({r["receipt"] for r in results}) == len(results)


def test_vectors_in_a_batch_are_read_as_alone(api):
    name = "batched-vectors"
    api.collection(name, embedder={"kind": "client", "dim": 3})
    api.source(name, "src")
    for n in range(3):
        api.put(name, f"v{n}", f"Document number {n} of a few.", vector=[1.0 if i == n else 0.0 for i in range(3)])
    results = batch(api, *({"collection": name, "vector": [0.1 + (i == n) for i in range(3)], "k": 1} for n in range(3)))
    assert [r["hits"][0]["document"] for r in results] == ["v0", "v1", "v2"]


def test_bad_query_has_its_problem_in_its_place(api, corpus):
    good = {"collection": corpus, "query": "glacier", "k": 1}
    bad = [({"collection": corpus, "query": "x", "k": 0}, 400, "/k"), ({"collection": "nowhere", "query": "x"}, 404, None),
           ({"collection": corpus, "query": "x", "at": "nowhere"}, 422, "/at"), ({"collection": corpus}, 400, "/query"),
           ({"collection": corpus, "vector": [1.0]}, 400, "/vector"), ({"collection": corpus, "query": "x", "vector": [1, "2"]}, 400, "/vector/1"),
           ({"collection": corpus, "query": "x", "filter": {"a": {"$near": 1}}}, 400, "/filter/a/$near")]
    results = batch(api, *[q for one in bad for q in (good, one[0])], good)
    for (_, status, pointer), result in zip(bad, results[1::2]):
        assert result["status"] == status, result
        assert pointer is None or pointer in [e["pointer"] for e in result["errors"]], result
    assert all(r["hits"][0]["document"] == "d0" for r in results[0::2])


def test_rights_are_those_of_the_caller(api, corpus):
    reader = api.key_for("batch-reader", ["read"])
    held, fine = batch(reader, {"collection": corpus, "query": "x", "include_quarantined": True},
                       {"collection": corpus, "query": "glacier"})
    assert held["status"] == 403 and fine["hits"]


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"queries":[]}', '{"queries":{}}', '{"queries":[{}],"k":3}', '{"queries":[{}',
                                  '{"queries":[{"query":"a"},]}', '{"queries":[,{"query":"a"}]}', '{"queries":[{}]}}',
                                  '{"queries":[{}],"queries":[{}]}', '{"queries":[' + '{"query":"a"},' * 64 + '{"query":"a"}]}'])
def test_faulty_batch_is_refused_as_a_whole(api, body):
    api.problem("POST", "/search/batch", 400, data=body, headers={"Content-Type": "application/json"})


def test_item_that_is_no_search_is_its_own_problem(api, corpus):
    good = '{"collection":"%s","query":"glacier, \\"]}"}' % corpus
    for wrong in ('5', '"x"', 'null', '[]', '{"query" "x"}', 'nonsense', '[' * 90 + ']' * 90):
        reply = api.call("POST", "/search/batch", 200, data='{"queries":[%s,%s]}' % (wrong, good),
                         headers={"Content-Type": "application/json"}).json()
        assert reply["results"][0]["status"] == 400 and reply["results"][1]["hits"], wrong


def test_key_spelt_with_escapes_is_the_same_key(api, corpus):
    reply = api.call("POST", "/search/batch", 200, data='{"\\u0071ueries":[{"collection":"%s","query":"glacier"}]}' % corpus,
                     headers={"Content-Type": "application/json"}).json()
    assert reply["results"][0]["hits"]


def test_64_searches_are_taken(api, corpus):
    assert len(batch(api, *({"collection": corpus, "query": f"note {n}"} for n in range(64)))) == 64
