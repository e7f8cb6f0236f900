#!/usr/bin/env python3
"""Feeds the demo corpus, drives bench/load against each search mode; the part of bar 1 about text queries."""

import argparse
import json
import os
import random
import time
import urllib.request

import common
from common import cpu_text, demo, median, verdict

HYBRID_RUNS = 5
WORDS_PER_QUERY = (3, 8)


def queries(n, seed=20260101):
    """Questions of the manual's own words: a title, or a run of words of a page, so that no two legs are starved."""
    pick = random.Random(seed)
    pages = demo.manual_pages()
    out = []
    while len(out) < n:
        text = demo.as_document(pick.choice(pages))["text"]
        start = pick.randrange(max(1, len(text) - 2000))
        words = [w for w in text[start:start + 1500].split() if w.isalpha() and len(w) > 2]
        length = pick.randint(*WORDS_PER_QUERY)
        if len(words) >= length + 1:
            at = pick.randrange(len(words) - length)
            out.append(" ".join(words[at:at + length]))
    return out


def bodies(path, texts, mode):
    with open(path, "w", encoding="utf-8") as f:
        for text in texts:
            f.write(json.dumps({"query": text, "k": 10, "mode": mode}) + "\n")
    return path


def drive(args, path, connections, file):
    return common.drive(args.load, args.port, os.environ["ASSAY_KEY"], file, connections, args.seconds, path,
                        os.environ.get("BENCH_SERVER_PID"))


def chunk_count(api):
    _, quality = api.call("GET", "/quality?collection=default")
    return sum(quality["chunks"].values()), quality


def ingest(api):
    demo.ensure_source(api, name=demo.MANUAL, owner="bench", max_age="P5Y")
    demo.ensure_source(api, name=demo.NOTES, owner="bench", max_age="P5Y")
    documents = [json.dumps(demo.as_document(p)).encode() + b"\n" for p in demo.manual_pages()]
    size = sum(map(len, documents))
    rows = []
    for name in ("first", "again, unchanged"):
        started = time.monotonic()
        _, report = api.call("POST", "/documents?wait=indexed", iter(documents), "application/x-ndjson")
        took = time.monotonic() - started
        chunks, _ = chunk_count(api)
        rows.append((name, report["accepted"], report["unchanged"], took, len(documents) / took, chunks / took,
                     size / took / 1e6))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--work", required=True)
    args = parser.parse_args()
    api = demo.Assay(os.environ["ASSAY_URL"], os.environ["ASSAY_KEY"])

    print("\n== demo: the PostgreSQL manual")
    print("ingest, one NDJSON request, PostgreSQL with fsync, until searchable")
    print(f"  {'':18} {'accepted':>8} {'unchanged':>9} {'seconds':>8} {'docs/s':>8} {'chunks/s':>9} {'MB/s':>6}")
    for name, accepted, unchanged, took, docs, chunks, mb in ingest(api):
        print(f"  {name:18} {accepted:8d} {unchanged:9d} {took:8.2f} {docs:8.0f} {chunks:9.0f} {mb:6.1f}")
    chunks, quality = chunk_count(api)
    print(f"  {chunks} chunks, {quality['chunks']['active']} active\n")

    print("search, k=10; floor is GET /healthz on the same connections, ratio is search over floor")
    print(f"  {'mode':8} {'conns':>5} {'req/s':>8} {'ratio':>6} {'client p50':>10} {'p99 ms':>8} {'server p50':>10} "
          f"{'p99 ms':>8}")
    texts = queries(2000)
    floors = {}
    for connections in (1, 8):
        floors[connections] = drive(args, "/healthz", connections, "-")["per_second"]
        print(f"  {'floor':8} {connections:5d} {floors[connections]:8.0f} {1.0:6.2f}")
    for mode in ("lexical", "vector", "hybrid"):
        file = bodies(os.path.join(args.work, mode + ".ndjson"), texts, mode)
        drive(args, "/search", 8, file)  # warm up
        for connections in (1, 8):
            r = drive(args, "/search", connections, file)
            print(f"  {mode:8} {connections:5d} {r['per_second']:8.0f} {r['per_second'] / floors[connections]:6.2f} "
                  f"{r['client_p50_ms']:10.3f} {r['client_p99_ms']:8.3f} {r['server_p50_ms']:10.3f} "
                  f"{r['server_p99_ms']:8.3f}")
    runs = [drive(args, "/search", 8, file) for _ in range(HYBRID_RUNS)]  # of the last mode, hybrid
    verdict(1, "text queries, hybrid, built-in embedder, demo corpus, per s", median([r["per_second"] for r in runs]),
            ">=", 5000, f"{chunks} chunks, 8 connections, median of {HYBRID_RUNS}; " + cpu_text(runs))
    with urllib.request.urlopen(os.environ["ASSAY_URL"] + "/metrics") as reply:
        rss = next(line.split()[1] for line in reply.read().decode().splitlines()
                   if line.startswith("process_resident_memory_bytes "))
    print(f"\nserver resident memory: {float(rss) / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
