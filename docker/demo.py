#!/usr/bin/env python3
"""The main job, end to end: feed the PostgreSQL manual, ask it, hold a source back, trace a hit.

Needs only Python's standard library, ASSAY_URL and ASSAY_KEY. Running it again ingests nothing again.
"""

import argparse
import datetime
import glob
import http.client
import json
import os
import sys
import textwrap
import time
import urllib.parse

QUESTIONS = [
    ("What determines the maximum number of concurrent connections to the database?", "runtime-config-connection"),
    ("How can I build an index without locking out writes to the table?", "sql-createindex"),
    ("How does vacuuming prevent transaction ID wraparound failures?", "routine-vacuuming"),
]
MANUAL, NOTES = "pg-manual", "pg-release-notes"
NOTES_QUESTION = "What changed in this minor release, and what do I do to migrate to it?"


class Assay:
    """A client of a few lines: one keep-alive connection, JSON in and out, problems as exceptions."""

    def __init__(self, url, key):
        parts = urllib.parse.urlsplit(url)
        self.conn = http.client.HTTPConnection(parts.hostname, parts.port, timeout=600)
        self.headers = {"Authorization": "Bearer " + key}

    def call(self, method, path, body=None, content_type="application/json", ok=(200, 201)):
        headers = dict(self.headers)
        chunked = False
        if body is not None:
            headers["Content-Type"] = content_type
            if content_type == "application/json":
                body = json.dumps(body).encode()
            else:
                chunked = True
        self.conn.request(method, path, body=body, headers=headers, encode_chunked=chunked)
        reply = self.conn.getresponse()
        data = reply.read()
        parsed = json.loads(data) if data else None
        if reply.status not in ok:
            raise SystemExit(f"{method} {path} answered {reply.status}: {data.decode(errors='replace')[:500]}")
        return reply.status, parsed


def manual_pages():
    """The manual's pages, from whichever version of postgresql-doc is installed."""
    folders = sorted(glob.glob("/usr/share/doc/postgresql-doc-*/html"))
    if not folders:
        raise SystemExit("the PostgreSQL manual is not installed (Debian package postgresql-doc)")
    return sorted(glob.glob(os.path.join(folders[-1], "*.html")))


def as_document(path):
    name = os.path.basename(path)[: -len(".html")]
    modified = datetime.datetime.fromtimestamp(os.path.getmtime(path), datetime.timezone.utc)
    with open(path, encoding="utf-8", errors="replace") as page:
        text = page.read()
    return {
        "source": NOTES if name.startswith("release") else MANUAL,
        "id": name,
        "uri": "file://" + path,
        "media_type": "text/html",
        "modified_at": modified.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "metadata": {"manual": "postgresql", "page": name},
        "text": text,
    }


def ndjson(pages, started):
    """Lines for the bulk endpoint; prints progress as the server takes them."""
    tty = sys.stdout.isatty()
    for i, path in enumerate(pages, 1):
        yield json.dumps(as_document(path)).encode() + b"\n"
        if i == len(pages) or i % (25 if tty else 200) == 0:
            end = "\r" if tty and i < len(pages) else "\n"
            print(f"  sent {i:5d} of {len(pages)} pages, {time.monotonic() - started:5.1f} s", end=end, flush=True)


def ensure_source(api, **source):
    status, reply = api.call("POST", "/sources", source, ok=(201, 409))
    if status == 201:
        print(f"  source {reply['name']} registered (owner {reply['owner']}, max_age {reply.get('max_age')})")


def ingest(api):
    print("\n== Ingest: the PostgreSQL manual")
    ensure_source(api, name=MANUAL, owner="PostgreSQL Global Development Group", licence="PostgreSQL",
                  contact="pgsql-docs@lists.postgresql.org", max_age="P5Y", trust=1.0)
    ensure_source(api, name=NOTES, owner="PostgreSQL Global Development Group", licence="PostgreSQL",
                  contact="pgsql-docs@lists.postgresql.org", max_age="P5Y", trust=0.8)
    pages = manual_pages()
    started = time.monotonic()
    _, report = api.call("POST", "/documents?wait=indexed", ndjson(pages, started), "application/x-ndjson")
    took = time.monotonic() - started
    rejected = report.get("rejected_count", len(report["rejected"]))
    print(f"  {report['accepted']} accepted, {report['unchanged']} unchanged, {rejected} refused in {took:.1f} s")
    for line in report["rejected"][:3]:
        print(f"    line {line['line']}: {line['problem'].get('detail')}")
    _, quality = api.call("GET", "/quality?collection=default")
    chunks = quality["chunks"]
    print(f"  chunks: {chunks['active']} active, {chunks['quarantined']} quarantined; "
          f"quality index {quality['quality_index']:.3f}, usable ratio {quality['usable_ratio']['chunks']:.3f} "
          f"({quality['tier']})")


def show(hits, limit=3):
    for rank, hit in enumerate(hits[:limit], 1):
        print(f"  {rank}. {hit['document']}  ({hit['title']})  score {hit['score']:.4f}")
        text = " ".join(hit["text"].split())
        print(textwrap.fill(text[:220] + ("…" if len(text) > 220 else ""), 100, initial_indent="     ",
                            subsequent_indent="     "))


def ask(api):
    """Asks the three questions; gives the first hit and whether every expected page was among the first three."""
    right, first = 0, None
    for question, page in QUESTIONS:
        print(f"\n== {question}")
        _, reply = api.call("POST", "/search", {"query": question, "k": 5})
        show(reply["hits"])
        found = [hit["document"] for hit in reply["hits"][:3]]
        right += page in found
        print(f"  -> {reply['took_ms']:.2f} ms in the server, receipt {reply['receipt']}")
        first = first or reply["hits"][0]
    return first, right


def hold_back(api):
    print(f"\n== Hold a source back: {NOTES}")
    request = {"query": NOTES_QUESTION, "k": 10}
    _, before = api.call("POST", "/search", request)
    held = [hit for hit in before["hits"] if hit["source"] == NOTES]
    print(f"  before: {len(held)} of {len(before['hits'])} hits come from {NOTES}")
    api.call("POST", f"/sources/{NOTES}/block", {"reason": "demonstration: the licence is being reviewed"})
    _, after = api.call("POST", "/search", request)
    left = [hit for hit in after["hits"] if hit["source"] == NOTES]
    print(f"  after the block: {len(left)} of {len(after['hits'])} hits come from {NOTES}")
    _, entries = api.call("GET", f"/quarantine?collection=default&source={NOTES}&reason=source_blocked&state=open")
    for entry in entries["items"]:
        print(f"  why: {entry['reason']}, «{entry['note']}», by {entry['opened_by']} at {entry['opened_at']}, "
              f"{entry['chunks']} chunks")
    api.call("POST", f"/sources/{NOTES}/unblock", {})
    print("  unblocked again")
    return bool(held) and not left and bool(entries["items"])


def lineage(api, hit):
    print(f"\n== Lineage of the first hit: chunk {hit['chunk'][:12]}… of {hit['document']}")
    node = urllib.parse.quote(hit["provenance"]["node_id"], safe="")
    _, graph = api.call("GET", f"/lineage?nodeId={node}&depth=4&direction=up")
    for item in graph["graph"]:
        for edge in item["inEdges"]:
            print(f"  {edge['origin']}\n      -> {edge['destination']}")
    return len(graph["graph"]) >= 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ingest-only", action="store_true", help="feed the manual and stop")
    args = parser.parse_args()
    api = Assay(os.environ["ASSAY_URL"], os.environ["ASSAY_KEY"])
    ingest(api)
    if args.ingest_only:
        return
    first, right = ask(api)
    held = hold_back(api)
    traced = lineage(api, first)
    print(f"\n{right} of {len(QUESTIONS)} questions have the right page among their first three hits.")
    if right < len(QUESTIONS) or not held or not traced:
        raise SystemExit("the demonstration did not show what it should")


if __name__ == "__main__":
    main()
