"""The main job, end to end: a collection, a source, documents of every format in, passages with provenance out."""
import base64

import pytest

from harness import documents
from harness.documents import article

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ODT = "application/vnd.oasis.opendocument.text"

HTML = """<!doctype html><html lang="en"><head><title>Lighthouse keeping</title>
<style>.x{color:red}</style><script>var tracker = "neverindexedscript";</script></head><body>
<nav><a href="/">Home neverindexednavigation</a></nav>
<main><h1>Lighthouse keeping</h1><p>The keeper trims the <b>wick</b> of the lamp at midnight &amp; winds the clockwork.</p>
<h2>Fog signals</h2><p>In fog the keeper sounds the horn twice every minute until the far headland can be seen.</p>
<table><tr><th>Lamp</th><th>Range</th></tr><tr><td>First order</td><td>twenty miles</td></tr></table></main>
<footer>Copyright neverindexedfooter</footer></body></html>"""


def every_hit_keeps_its_promises(api, collection, hits):
    """text == canonical[from:to], in bytes; and the receipt of origin on each."""
    for hit in hits:
        canonical = api.canonical(collection, hit["document"], hit["version"]).encode("utf-8")
        start, end = hit["span"]
        assert canonical[start:end] == hit["text"].encode("utf-8")
        assert hit["state"] == "active"
        chunk = api.get(f"/chunks/{hit['chunk']}?collection={collection}").json()
        assert chunk["text"] == hit["text"] and chunk["span"] == hit["span"]
        assert chunk["pipeline"] == hit["provenance"]["pipeline"]
        assert chunk["run"] == hit["provenance"]["run"]
        assert hit["provenance"]["node_id"] == f"dataset:assay:{collection}/chunk/{hit['chunk']}"


def test_documents_become_passages_in_all_three_modes(api, collection):
    for topic in range(6):
        reply = api.put(collection, f"doc-{topic}", article(topic), media_type="text/markdown",
                        uri=f"https://example.org/{topic}", metadata={"topic": topic})
        assert reply["outcome"] == "created" and reply["collection"] == collection
        assert reply["chunks"] == reply["states"]["active"] > 1, reply
        assert reply["states"]["quarantined"] == reply["states"]["pending"] == 0
    for topic, question in enumerate(["how does a glacier move down a valley", "which wood does a violin maker choose",
                                      "ash of an erupting volcano", "flour for a sourdough starter",
                                      "the harbour pilot and the freighter", "the seed of an orchid"]):
        for mode in ("hybrid", "vector", "lexical"):
            reply = api.search(collection, question, k=5, mode=mode)
            assert reply["degraded"] is False
            assert len(reply["hits"]) == 5
            assert reply["hits"][0]["document"] == f"doc-{topic}", (mode, question)
            scores = [hit["score"] for hit in reply["hits"]]
            assert scores == sorted(scores, reverse=True)
            every_hit_keeps_its_promises(api, collection, reply["hits"])
            assert {hit["source"] for hit in reply["hits"]} == {"src"}
            assert reply["hits"][0]["metadata"] == {"topic": topic}
            assert reply["hits"][0]["uri"] == f"https://example.org/{topic}"


def test_search_by_query_string_answers_like_search_by_body(api, collection):
    api.put(collection, "a", article(0), media_type="text/markdown", metadata={"lang": "en"})
    api.put(collection, "b", article(1), media_type="text/markdown", metadata={"lang": "de"})
    by_body = api.search(collection, "violin spruce", k=3, mode="lexical", filter={"lang": "de"})["hits"]
    by_query = api.get("/search", params={"q": "violin spruce", "k": 3, "mode": "lexical", "collection": collection,
                                          "filter": '{"lang":"de"}'}).json()["hits"]
    assert by_query == by_body and by_body
    assert {hit["document"] for hit in by_body} == {"b"}


def test_spans_are_bytes_also_where_a_character_is_many(api, collection):
    text = "\n\n".join(
        f"# Übergröße {n} — 東京\n\nDer Fluß fließt schnell und trägt Eis; naïve café “quotes” 🏔️ 山 e\u0301tude nummer {n}. "
        f"Die Brücke über den großen Strom wurde im Jahr {1800 + n} von fleißigen Leuten gebaut." for n in range(30))
    reply = api.put(collection, "umlaut", text, media_type="text/markdown", language="de")
    assert reply["chunks"] > 3
    hits = api.search(collection, "Brücke über den Strom", k=100, exact=True)["hits"]
    assert len(hits) > 2
    every_hit_keeps_its_promises(api, collection, hits)
    canonical = api.canonical(collection, "umlaut", reply["version"])
    assert "étude" in canonical and "e\u0301" not in canonical, "canonical text is NFC"
    assert "\r" not in canonical


def put_bytes(api, collection, key, data, media_type, **more):
    return api.put(collection, key, content_base64=base64.b64encode(data).decode(), media_type=media_type, **more)


def test_html_loses_its_boilerplate_and_keeps_title_and_headings(api, collection):
    api.put(collection, "page", HTML, media_type="text/html")
    document = api.document(collection, "page")
    assert document["title"] == "Lighthouse keeping" and document["media_type"] == "text/html"
    canonical = api.canonical(collection, "page", document["version"])
    assert "neverindexed" not in canonical and "color:red" not in canonical
    assert "midnight & winds" in canonical and "twenty miles" in canonical
    hits = api.search(collection, "sound the horn in fog", k=10)["hits"]
    assert hits and any("horn" in hit["text"] for hit in hits)
    every_hit_keeps_its_promises(api, collection, hits)


def test_pdf_is_read_and_its_chunks_know_their_page(api, collection):
    pages = [[f"The windmill on page {n} grinds barley for the whole island,",
              f"and the miller of page {n} turns the cap into the wind with a long tail pole every single morning.",
              ] + [f"Line {i} of page {n} tells how the sails are set when the breeze is number {i * n}." for i in
                   range(1, 25)] for n in (1, 2, 3)]
    reply = put_bytes(api, collection, "mill", documents.pdf(pages, "Windmills"), "application/pdf")
    assert reply["states"]["active"] == reply["chunks"] >= 3
    hits = api.search(collection, "miller turns the cap into the wind", k=50, exact=True)["hits"]
    every_hit_keeps_its_promises(api, collection, hits)
    assert {hit["page"] for hit in hits} >= {1, 2, 3}
    for hit in hits:
        assert f"page {hit['page']}" in hit["text"]


@pytest.mark.parametrize("media_type, data", [
    (DOCX, documents.docx("Clockwork", [
        ("Heading1", "Clockwork"), (None, "The escapement lets the wheel of the clock turn by one tooth at a time."),
        ("Heading2", "Winding"), (None, "The mainspring is wound with a key every eighth day, on Sunday after lunch.")])),
    (ODT, documents.odt("Clockwork", [
        (1, "Clockwork"), (0, "The escapement lets the wheel of the clock turn by one tooth at a time."),
        (2, "Winding"), (0, "The mainspring is wound with a key every eighth day, on Sunday after lunch.")])),
])
def test_office_files_are_read(api, collection, media_type, data):
    reply = put_bytes(api, collection, "clock", data, media_type)
    assert reply["states"]["active"] == reply["chunks"] >= 1
    document = api.document(collection, "clock")
    assert document["title"] == "Clockwork" and document["media_type"] == media_type
    hits = api.search(collection, "mainspring wound with a key", k=5)["hits"]
    assert any("mainspring" in hit["text"] for hit in hits)
    every_hit_keeps_its_promises(api, collection, hits)


@pytest.mark.parametrize("data, name, expected", [
    (documents.pdf([["A pdf about umbrellas is recognised by its first bytes, whatever the name."]]), "x", "application/pdf"),
    (documents.docx("t", [(None, "A docx about parasols is recognised by what the archive holds inside.")]), "x", DOCX),
    (documents.odt("t", [(0, "An odt about awnings is recognised by what the archive holds inside.")]), "x", ODT),
    (b"<!doctype html><html><body><p>A page about marquees is recognised by how it begins.</p></body></html>", "x",
     "text/html"),
    (b"# Canopies\n\nA markdown file about canopies is recognised by the ending of its name.", "x.md", "text/markdown"),
    (b"Plain words about pavilions are text when nothing else fits what was sent to us.", "x", "text/plain"),
])
def test_media_type_is_recognised_when_none_is_declared(api, collection, data, name, expected):
    api.put(collection, name, content_base64=base64.b64encode(data).decode())
    assert api.document(collection, name)["media_type"] == expected


@pytest.mark.parametrize("data, media_type", [
    (b"%PDF-1.4\nthis is no pdf at all", "application/pdf"),
    (b"PK\x03\x04 torn archive", DOCX),
    (b"PK\x03\x04 torn archive", ODT),
    (b"\xff\xfe\x00 not utf-8", "text/plain"),
    (b"<p>\xc3\x28 not utf-8</p>", "text/html"),
])
def test_bytes_that_are_not_what_they_claim_are_refused_and_leave_nothing(api, collection, data, media_type):
    body = {"collection": collection, "source": "src", "id": "bad", "media_type": media_type,
            "content_base64": base64.b64encode(data).decode()}
    api.problem("POST", "/documents", 422, json=body)
    api.document(collection, "bad", status=404)


def test_heading_is_kept_with_its_passage(api, collection):
    api.put(collection, "guide", "# Guide\n\nAn introduction to everything that follows, in a few simple words.\n\n"
            "## Mooring\n\nTie the boat to the bollard with two round turns and two half hitches, then check the tide.",
            media_type="text/markdown")
    hits = api.search(collection, "tie the boat to the bollard", k=5)["hits"]
    assert any("Mooring" in hit["heading"] or "Mooring" in hit["text"] for hit in hits)


def test_two_collections_do_not_see_each_other(api, collection):
    other = collection + "-other"
    api.collection(other)
    api.source(other, "src")
    api.put(collection, "mine", article(2), media_type="text/markdown")
    api.put(other, "theirs", article(2), media_type="text/markdown")
    assert api.found(collection, "volcano ash") == ["mine"]
    assert api.found(other, "volcano ash") == ["theirs"]
    api.document(other, "mine", status=404)


def test_default_collection_is_there_from_the_start(api):
    assert "default" in [c["name"] for c in api.get("/collections").json()["items"]]
    api.source("default", "wiki")
    reply = api.post("/documents", {"source": "wiki", "id": "first", "text": article(7), "media_type": "text/markdown"},
                     201).json()
    assert reply["collection"] == "default"
    assert api.get("/search", params={"q": "honey in the hive"}).json()["hits"][0]["document"] == "first"
    assert api.get("/documents/first").json()["id"] == "first"


def test_pipeline_behind_a_passage_can_be_read_back(api, collection):
    api.put(collection, "a", article(3), media_type="text/markdown")
    hit = api.search(collection, "sourdough", k=1)["hits"][0]
    pipeline = api.get(f"/pipelines/{hit['provenance']['pipeline']}").json()
    assert [o["op"] for o in pipeline["pipeline"]["operators"]] == ["extract", "normalise", "chunk", "checks", "embed"]
    assert pipeline["id"] in [p["id"] for p in api.pages("/pipelines")]
    api.problem("GET", f"/pipelines/{'0' * 64}", 404, "unknown-pipeline")
    assert api.get(f"/collections/{collection}").json()["embedder_id"] == hit["provenance"]["embedder"]


def test_checks_hold_back_what_is_not_fit(api, collection):
    junk = "|/-\\+=*&^%$#@! " * 40
    reply = api.put(collection, "junk", "Ordinary words stand at the start of this little text.\n\n# Junk\n\n" + junk,
                    media_type="text/markdown")
    assert reply["states"]["quarantined"] >= 1, reply
    entry = next(e for e in api.entries(collection) if e["document"] == "junk")
    assert entry["reason"] == "failed_check" and entry["evidence"], entry
    chunk = api.get(f"/chunks/{entry['chunk']}?collection={collection}").json()
    failed = [c for c in chunk["checks"] if c["outcome"] == "fail"]
    assert failed and failed[0]["expected"] and failed[0]["actual"], "what was expected, and what was found"
    assert chunk["state"] == "quarantined"
