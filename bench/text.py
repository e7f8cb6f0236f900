#!/usr/bin/env python3
"""A corpus of any size for the ingest bar: documents of the demo corpus' own words, none of them twice.

    text.py FILE CHUNKS [SEED]   NDJSON, Markdown documents that make about CHUNKS chunks with the default pipeline

Each document is written by a seeded bigram model (Shannon 1948) over a few pages of the PostgreSQL manual, picked at
random, so that a document has a subject, words have the manual's frequencies, and no two chunks are equal: copies of
real pages would be held back as duplicates, and measure that instead.
"""
import html
import json
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docker"))
import demo  # noqa: E402

PAGES_PER_DOCUMENT = 3
CHUNKS_PER_DOCUMENT = 10
WORDS_PER_CHUNK = 95  # what the chunker makes of its 220 tokens, overlap taken off
PARAGRAPH = (40, 90)
SECTION = 3  # paragraphs


def words_of(page):
    with open(page, encoding="utf-8", errors="replace") as f:
        text = f.read()
    text = re.sub(r"(?s)<(script|style|head)\b.*?</\1>|<[^>]*>", " ", text)
    return re.sub(r"[\x00-\x1f\x7f*_`#\\|<>]+", " ", html.unescape(text)).split()


def chain(pages):
    """Every word with those that follow it in one of the pages, as often as they do."""
    follow = {}
    for words in pages:
        for a, b in zip(words, words[1:]):
            follow.setdefault(a, []).append(b)
    return follow


def run(pick, follow, start, n):
    word, out = start, []
    for _ in range(n):
        out.append(word)
        after = follow.get(word)
        word = after[int(pick.random() * len(after))] if after else start
    return out


def document(pick, pages, i, words):
    follow = chain(pick.sample(pages, PAGES_PER_DOCUMENT))
    starts = list(follow)
    title = " ".join(run(pick, follow, pick.choice(starts), 5))
    parts, written, n = ["# " + title], 0, 0
    while written < words:
        if n % SECTION == SECTION - 1:
            parts.append("## " + " ".join(run(pick, follow, pick.choice(starts), 4)))
        size = pick.randint(*PARAGRAPH)
        parts.append(" ".join(run(pick, follow, pick.choice(starts), size)) + f". That was part {n} of text {i}.")
        written += size + 7
        n += 1
    return {"source": "bench", "id": f"text-{i}", "title": title, "media_type": "text/markdown",
            "metadata": {"number": i, "tens": i % 10}, "text": "\n\n".join(parts)}


def documents(chunks, seed=1):
    """Documents as dicts, in order."""
    pick = random.Random(seed)
    pages = [words for words in map(words_of, demo.manual_pages()) if len(words) > 300]
    for i in range(-(-chunks // CHUNKS_PER_DOCUMENT)):
        yield document(pick, pages, i, CHUNKS_PER_DOCUMENT * WORDS_PER_CHUNK)


def queries(n, seed=2):
    """Runs of words of the manual, as a search would put them."""
    pick = random.Random(seed)
    pages = [words for words in map(words_of, demo.manual_pages()) if len(words) > 300]
    for _ in range(n):
        words = pick.choice(pages)
        at, size = pick.randrange(len(words) - 8), pick.randint(3, 8)
        text = " ".join(w for w in (re.sub(r"\W+", "", w) for w in words[at:at + size]) if w)
        yield text or "index"


def write(path, chunks, seed=1, collection="default"):
    with open(path, "w", encoding="utf-8") as f:
        for d in documents(chunks, seed):
            f.write(json.dumps({"collection": collection, **d}) + "\n")


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
