"""What the text of a query may ask for: phrases, prefixes, plain language; and where in the text it was found."""
import pytest

TEXTS = {
    "wal": "The write ahead log is flushed before data pages are. Vacuuming does not touch it.",
    "order": "They write far ahead of what the log can take, and write it again.",
    "pool": "A connection pool keeps connections open: r\u00e9sum\u00e9s and caf\u00e9s are served.",
    "screen": "A monitor of 24 inches costs more than one of 20.",
}


@pytest.fixture(scope="module")
def words(api):
    name = "words"
    api.collection(name)
    api.source(name, "src")
    for key, text in TEXTS.items():
        api.put(name, key, text, language="en")
    return name


@pytest.mark.parametrize("query, expected", [
    ('"write ahead log"', ["wal"]),
    ("what is the \u201cwrite ahead log\u201d?", ["wal"]),
    ('"connection pools"', ["pool"]),
    ("connect*", ["pool"]),
    ("cafe*", ["pool"]),
    ("vacuum", ["wal"]),
    ('24" monitor', ["screen"]),
    ('"monitor', ["screen"]),
    ("monitor * (*)", ["screen"]),
])
def test_a_query_is_read_as_it_is_meant(api, words, query, expected):
    assert api.found(words, query, mode="lexical") == expected


def test_a_phrase_that_is_nowhere_does_not_hide_the_words(api, words):
    assert set(api.found(words, '"log ahead write"', mode="lexical")) == {"wal", "order"}


@pytest.mark.parametrize("query", ["*", '"', '""', "***", '"*"', "\u201c", '" "', "\\"])
def test_marks_alone_are_a_query_without_words(api, words, query):
    assert api.search(words, query, mode="lexical")["hits"] == []


@pytest.mark.parametrize("mode", ["lexical", "hybrid", "vector"])
def test_highlights_are_bytes_of_the_text(api, words, mode):
    hits = api.search(words, "cafes and connect* the", mode=mode, highlight=True)["hits"]
    hit = next(h for h in hits if h["document"] == "pool")
    text = hit["text"].encode()
    assert [text[a:b].decode() for a, b in hit["highlights"]] == ["connection", "connections", "caf\u00e9s"]


def test_highlights_come_when_asked_for(api, words):
    assert "highlights" not in api.search(words, "vacuum")["hits"][0]
    query = "/search?collection=words&q=vacuum&mode=lexical&highlight=true"
    hit = api.get(query).json()["hits"][0]
    begin = hit["text"].index("Vacuuming")
    assert hit["highlights"] == [[begin, begin + len("Vacuuming")]]
    api.problem("POST", "/search", 400, pointer="/highlight", json={"collection": words, "query": "x", "highlight": 1})
