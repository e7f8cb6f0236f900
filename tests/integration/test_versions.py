"""Documents change: what is unchanged costs nothing, what is changed changes at once, what is deleted is gone."""
import threading
import time

import pytest
import requests

from harness.api import quote
from harness.documents import article


def test_unchanged_document_is_200_and_makes_no_version(api, collection):
    first = api.put(collection, "a", article(0), media_type="text/markdown", status=201)
    again = api.put(collection, "a", article(0), media_type="text/markdown", status=200)
    assert again["outcome"] == "unchanged" and again["version"] == first["version"]
    assert again["chunks"] == first["chunks"] and again["states"] == first["states"]
    versions = api.get(f"/documents/a/versions?collection={collection}").json()["items"]
    assert [v["version"] for v in versions] == [first["version"]]


def test_changed_document_gets_a_new_version_and_the_old_passages_go(api, collection):
    old = api.put(collection, "a", article(0, mark="firstedition"), media_type="text/markdown", status=201)
    new = api.put(collection, "a", article(0, sections=2, mark="secondedition"), media_type="text/markdown", status=201)
    assert new["outcome"] == "updated" and new["version"] != old["version"] and new["chunks"] < old["chunks"]
    hits = api.search(collection, "glacier firstedition secondedition", k=100, exact=True)["hits"]
    assert {hit["version"] for hit in hits} == {new["version"]}
    assert len(hits) == new["chunks"]
    versions = api.get(f"/documents/a/versions?collection={collection}").json()["items"]
    assert [v["version"] for v in versions] == [new["version"], old["version"]]
    assert versions[0]["retired_at"] is None and versions[1]["retired_at"] is not None
    assert "firstedition" in api.canonical(collection, "a", old["version"])


def test_going_back_to_an_earlier_text_gives_the_earlier_version_again(api, collection):
    first = api.put(collection, "a", article(0, mark="one"), media_type="text/markdown")
    api.put(collection, "a", article(0, mark="two"), media_type="text/markdown")
    back = api.put(collection, "a", article(0, mark="one"), media_type="text/markdown")
    assert back["version"] == first["version"] and back["states"] == first["states"]
    assert {h["version"] for h in api.search(collection, "glacier", k=50)["hits"]} == {first["version"]}


def test_new_acl_or_modified_at_touches_the_document_without_a_new_version(api, collection):
    first = api.put(collection, "a", article(0), media_type="text/markdown", modified_at="2026-01-01T00:00:00Z")
    touched = api.put(collection, "a", article(0), media_type="text/markdown", modified_at="2026-02-01T00:00:00Z",
                      acl=["group:x"], status=200)
    assert touched["outcome"] == "touched" and touched["version"] == first["version"]
    document = api.document(collection, "a")
    assert document["modified_at"].startswith("2026-02-01") and document["acl"] == ["group:x"]
    assert api.found(collection, "glacier", principal=["group:y"]) == []
    assert api.found(collection, "glacier", principal=["group:x"]) == ["a"]


@pytest.mark.slow
def test_reader_sees_one_version_whole_while_a_document_flips(api, collection, server):
    """Never a mix of versions, never nothing: whatever the reader's moment, the answer is one whole version."""
    texts = [article(1, sections=4, mark="evenedition"), article(1, sections=6, mark="oddedition")]
    sizes = {}
    for text in texts:
        reply = api.put(collection, "flip", text, media_type="text/markdown")
        sizes[reply["version"]] = reply["chunks"]
    assert len(sizes) == 2 and all(n > 2 for n in sizes.values())
    stop, wrong, seen, reads = threading.Event(), [], set(), [0]

    def read():
        session = requests.Session()
        body = {"collection": collection, "query": "violin maker spruce", "k": 100, "exact": True}
        while not stop.is_set():
            hits = session.post(server.url + "/search", json=body,
                                headers={"Authorization": f"Bearer {api.key}"}).json()["hits"]
            versions = {hit["version"] for hit in hits}
            reads[0] += 1
            seen.update(versions)
            if len(versions) != 1 or len(hits) != sizes[versions.copy().pop()]:
                wrong.append((len(hits), versions))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    end = time.monotonic() + 4
    flips = 0
    while time.monotonic() < end:
        api.put(collection, "flip", texts[flips % 2], media_type="text/markdown")
        flips += 1
    stop.set()
    for thread in readers:
        thread.join()
    assert not wrong, f"{len(wrong)} of {reads[0]} answers were not one whole version: {wrong[:3]}"
    assert seen == set(sizes) and flips >= 4 and reads[0] > 20, (flips, reads)


def test_deleted_document_leaves_search_at_once_and_keeps_its_lineage(api, collection):
    api.put(collection, "gone", article(2), media_type="text/markdown")
    api.put(collection, "stays", article(3), media_type="text/markdown")
    hit = api.search(collection, "volcano ash", k=1)["hits"][0]
    assert hit["document"] == "gone"
    reply = api.remove(collection, "gone")
    assert reply["deleted"] is True and reply["chunks_removed"] > 1
    assert "gone" not in api.found(collection, "volcano ash", k=100, exact=True)
    api.document(collection, "gone", status=404)
    assert [d["id"] for d in api.get(f"/documents?collection={collection}").json()["items"]] == ["stays"]
    nodes = {n["id"] for n in api.lineage(hit["provenance"]["node_id"])["graph"]}
    assert f"dataset:assay:{collection}/source/src" in nodes, "lineage of what was served is kept"
    api.problem("DELETE", f"/documents/gone?collection={collection}", 404, "unknown-document")


def test_deleted_document_may_come_back(api, collection):
    api.put(collection, "a", article(4), media_type="text/markdown")
    api.remove(collection, "a")
    assert api.put(collection, "a", article(4), media_type="text/markdown", status=201)["states"]["active"] > 0
    assert api.found(collection, "harbour pilot") == ["a"]


def test_ids_with_slashes_spaces_and_accents_work_in_paths(api, collection):
    for key in ("dir/sub dir/ä ö.html", "a%2Fb", "q?x=1&y=2", "https://example.org/x#y", "…"):
        api.put(collection, key, f"A short note that belongs to the document which is called {key} and to no other.")
        assert api.document(collection, key)["id"] == key
        api.remove(collection, key)
        api.document(collection, key, status=404)


def test_id_is_derived_from_the_uri_when_none_is_given(api, collection):
    body = {"collection": collection, "source": "src", "uri": "https://example.org/deep/page",
            "text": "A page that has an address but was given no id of its own by the one who sent it."}
    first = api.post("/documents", body, 201).json()
    assert first["id"]
    assert api.post("/documents", body, 200).json()["id"] == first["id"]
    assert api.document(collection, first["id"])["uri"] == body["uri"]


def test_lists_of_documents_and_versions_page_without_gaps_or_repeats(api, collection):
    keys = [f"d{n:02d}" for n in range(7)]
    for key in keys:
        api.put(collection, key, f"Document {key} speaks of nothing but the number that its name happens to contain.")
    assert [d["id"] for d in api.pages(f"/documents?collection={collection}", limit=3)] == keys
    versions = []
    for n in range(5):
        versions.insert(0, api.put(collection, "d00", f"Edition {n} of the first document says this and nothing more "
                                   "than what has to be said.")["version"])
    listed = [v["version"] for v in api.pages(f"/documents/d00/versions?collection={collection}", limit=2)]
    assert listed[:5] == versions and len(listed) == 6


def test_duplicate_text_is_held_and_let_go_when_the_original_leaves(api, collection):
    text = "Exactly the same paragraph stands in two documents, word for word and stop for stop, which one may serve."
    api.put(collection, "original", text)
    copy = api.put(collection, "copy", text)
    assert copy["states"] == {**copy["states"], "active": 0, "quarantined": 1}
    entry = api.entries(collection, reason="duplicate")[0]
    assert entry["document"] == "copy" and entry["evidence"]
    assert api.found(collection, "same paragraph word for word") == ["original"]
    api.remove(collection, "original")
    assert api.found(collection, "same paragraph word for word") == ["copy"]


@pytest.mark.parametrize("body, status, slug, pointer", [
    ({"source": "nobody", "id": "x", "text": "words enough"}, 422, "unknown-source", "/source"),
    ({"collection": "nowhere", "source": "src", "id": "x", "text": "t"}, 422, "unknown-collection", "/collection"),
    ({"source": "src", "text": "t"}, 400, None, None),
    ({"source": "src", "id": "x"}, 400, None, None),
    ({"source": "src", "id": "x", "text": "t", "content_base64": "dA=="}, 400, None, None),
    ({"source": "src", "id": "x", "text": 5}, 400, None, "/text"),
    ({"source": "src", "id": "x", "text": "t", "colour": "red"}, 400, None, "/colour"),
    ({"source": "src", "id": "x", "content_base64": "!!!"}, 400, None, "/content_base64"),
    ({"source": "src", "id": "x", "text": "t", "modified_at": "yesterday"}, 400, None, "/modified_at"),
    ({"source": "src", "id": "x", "text": "t", "metadata": [1]}, 400, None, "/metadata"),
    ({"source": "src", "id": "x", "text": "t", "acl": [1]}, 400, None, "/acl/0"),
    ({"source": "src", "id": "", "text": "t"}, 400, None, "/id"),
    ({"source": "src", "id": "x" * 1025, "text": "t"}, 400, None, "/id"),
    ({"source": "src", "id": "a\u0001b", "text": "t"}, 400, None, "/id"),
    ({"source": "src", "id": "x", "text": ""}, 422, "empty-document", None),
    ({"source": "src", "id": "x", "text": " \n\t \n"}, 422, "empty-document", None),
    ({"source": "src", "id": "x", "text": "t", "modified_at": "2999-01-01T00:00:00Z"}, 422, None, "/modified_at"),
])
def test_faulty_document_is_refused_precisely(api, collection, body, status, slug, pointer):
    body.setdefault("collection", collection)
    problem = api.call("POST", "/documents", (status, 422), json=body).json()
    assert problem["status"] == status, problem
    if slug:
        assert problem["type"].endswith(":" + slug), problem
    if pointer:
        assert pointer in [e["pointer"] for e in problem.get("errors", [])], problem
    assert api.get(f"/documents?collection={collection}").json()["items"] == []


def test_missing_things_are_404_with_their_name(api, collection):
    api.problem("GET", f"/documents/none?collection={collection}", 404, "unknown-document")
    api.problem("GET", f"/documents/none/versions?collection={collection}", 404, "unknown-document")
    api.problem("GET", f"/documents/x?collection=nowhere", 404, "unknown-collection")
    api.problem("GET", f"/chunks/{'a' * 64}?collection={collection}", 404, "unknown-chunk")
    api.problem("GET", "/collections/nowhere", 404, "unknown-collection")
    api.put(collection, "here", "A document that is here, so that only its version is what cannot be found.")
    api.problem("GET", f"/documents/here/versions/{'b' * 64}?collection={collection}", 404)
    assert quote("a/b") == "a%2Fb"


def test_reader_gets_the_text_of_what_is_served_and_of_nothing_else(api, collection):
    reader = api.key_for(f"reader-of-{collection}", ["read"])
    old = api.put(collection, "a", "The first edition of the manual for the loom, which has been replaced by now.")
    new = api.put(collection, "a", "The second edition of the manual for the loom, which is the one being served.")
    assert "second edition" in reader.canonical(collection, "a", new["version"])
    assert reader.canonical(collection, "a", old["version"]) is None
    hit = reader.search(collection, "manual for the loom", k=1)["hits"][0]
    assert reader.get(f"/chunks/{hit['chunk']}?collection={collection}").json()["text"] == hit["text"]
    api.post("/quarantine", {"collection": collection, "document": "a", "note": "not for readers"}, 201)
    held = reader.get(f"/chunks/{hit['chunk']}?collection={collection}").json()
    assert held["text"] is None and held["state"] == "quarantined" and held["quarantine"][0]["reason"] == "manual"
    assert "note" not in held["quarantine"][0]
    assert reader.canonical(collection, "a", new["version"]) is None
    assert "second edition" in api.canonical(collection, "a", new["version"])
