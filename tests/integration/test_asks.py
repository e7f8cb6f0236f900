"""What users of neighbouring systems suffer from, row by row: each test shows that Assay does not do it to them.

Rows 2 and 16 need a crash or damaged files and stand in tests/faults; row 5 needs an endpoint and stands in
test_embedder.py.
"""
import json
import time

import psycopg2

from harness.documents import article, pdf


def test_row_01_delete_takes_text_words_and_vectors_together(api, collection):
    """open-webui#26438: removing a file leaves its embeddings, which are still retrieved."""
    for n in range(6):
        api.put(collection, f"d{n}", article(n, mark=f"mark{n}"), media_type="text/markdown", metadata={"n": n})
    gone = api.search(collection, "harbour pilot", k=1)["hits"][0]
    assert gone["document"] == "d4"
    removed = api.remove(collection, "d4")["chunks_removed"]
    assert removed >= 1
    for mode in ("hybrid", "vector", "lexical"):
        for exact in (False, True):
            for condition in (None, {"n": 4}, {"document": "d4"}, {"source": "src"}):
                for steward in (False, True):
                    hits = api.search(collection, "harbour pilot freighter mark4", k=200, mode=mode, exact=exact,
                                      include_quarantined=steward, **({"filter": condition} if condition else {}))["hits"]
                    assert "d4" not in {h["document"] for h in hits}, (mode, exact, condition, steward)


def test_row_03_delete_of_what_is_not_there_or_not_yours_is_never_success(api, collection):
    """LibreChat#14988: a delete with the wrong scope got 404, was treated as success, and left orphans."""
    api.put(collection, "theirs", article(0), media_type="text/markdown", acl=["group:them"])
    stranger = api.key_for(f"stranger-{collection}", ["write"], ["group:us"])
    stranger.problem("DELETE", f"/documents/theirs?collection={collection}", 404)
    api.problem("DELETE", f"/documents/never-was?collection={collection}", 404, "unknown-document")
    assert api.found(collection, "glacier", principal=["group:them"]) == ["theirs"], "nothing was removed by the 404"
    chunks = api.document(collection, "theirs")["states"]["active"]
    assert api.remove(collection, "theirs")["chunks_removed"] == chunks > 0, "and the real one says how many went"


def test_row_13_every_hit_says_which_parser_chunker_and_embedder_made_it(api, collection):
    """openrag#1389, R2R#1104: nobody can see which chunks answered, nor what made them."""
    api.put(collection, "a", article(1), media_type="text/markdown", uri="https://example.org/a")
    reply = api.search(collection, "violin", k=5)
    for hit in reply["hits"]:
        operators = api.get(f"/pipelines/{hit['provenance']['pipeline']}").json()["pipeline"]["operators"]
        assert [o["op"] for o in operators] == ["extract", "normalise", "chunk", "checks", "embed"]
        assert hit["provenance"]["embedder"] == api.get(f"/collections/{collection}").json()["embedder_id"]
        assert f"run:{hit['provenance']['run']}" in {n["id"] for n in api.lineage(hit["provenance"]["node_id"])["graph"]}
        assert hit["media_type"] == "text/markdown"
    receipt = api.get(f"/lineage/receipts/{reply['receipt']}").json()
    assert [h["chunk"] for h in receipt["hits"]] == [h["chunk"] for h in reply["hits"]], "and afterwards too"


def test_row_14_every_chunk_has_its_byte_span_and_its_page(api, collection):
    """RAG-Anything PR #336: 0 of 57 text chunks had a page index."""
    import base64
    pages = [[f"Sheet {n} line {i} describes the rigging of the brig number {n * 40 + i} in the naval museum."
              for i in range(30)] for n in range(1, 5)]
    data = base64.b64encode(pdf(pages)).decode()
    reply = api.put(collection, "brigs", content_base64=data, media_type="application/pdf")
    hits = api.search(collection, "rigging of the brig", k=1000, exact=True)["hits"]
    assert len(hits) == reply["chunks"] >= 4
    canonical = api.canonical(collection, "brigs", reply["version"]).encode()
    for hit in hits:
        assert canonical[hit["span"][0]:hit["span"][1]].decode() == hit["text"]
        assert f"Sheet {hit['page']} " in hit["text"]
    covered = bytearray(len(canonical))
    for hit in hits:
        covered[hit["span"][0]:hit["span"][1]] = b"\x01" * (hit["span"][1] - hit["span"][0])
    left = bytes(c for c, seen in zip(canonical, covered) if not seen)
    assert not left.strip(), "every letter of the document is in some chunk"


def test_row_21_lineage_answers_fast_where_there_is_much_of_it(api, collection, server):
    """marquez#3058: lineage takes ten to fifteen seconds; only the last run's edges are shown."""
    report = api.bulk([{"collection": collection, "source": "src", "id": f"d{n}",
                        "text": f"Document number {n} says that the answer to question {n} is number {n * n}."}
                       for n in range(1500)], "?wait=indexed")
    assert report["accepted"] == 1500
    for n in range(5):
        api.put(collection, "d7", f"Edition {n} of document seven, which has a history by now, says {n} and no more.")
    hit = api.search(collection, "edition of document seven history", k=1)["hits"][0]
    for _ in range(30):
        api.search(collection, "edition of document seven history", k=10)
    began = time.monotonic()
    nodes = {n["id"] for n in api.lineage(hit["provenance"]["node_id"], direction="up")["graph"]}
    assert time.monotonic() - began < 1
    assert f"dataset:assay:{collection}/source/src" in nodes
    began = time.monotonic()
    graph = api.lineage(f"dataset:assay:{collection}/source/src", depth=20, direction="down")
    assert time.monotonic() - began < 2, "the walk is bounded, in time"
    assert len(graph["graph"]) <= 2000 and graph.get("truncated") is True, "and in size, and says so"
    versions = {n["id"] for n in api.lineage(f"dataset:assay:{collection}/document/d7")["graph"] if "/version/" in n["id"]}
    assert len(versions) == 6, "every version, not only the last one's"
    connection = psycopg2.connect(server.dsn)
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'lineage_edges'")
        assert cursor.fetchone()[0] >= 2, "edges are indexed both ways"
    finally:
        connection.close()
    assert json.dumps(graph)
