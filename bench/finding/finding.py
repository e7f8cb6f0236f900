#!/usr/bin/env python3
"""How well Assay finds, beside plain BM25, on judged collections in BEIR layout.

    finding.py FOLDER...     each with corpus.jsonl, queries.jsonl and qrels.tsv

Feeds each folder to the running server that ASSAY_URL and ASSAY_KEY name, as a collection of its own, searches it in
every mode, collapses hits to documents by their best chunk, and prints trec_eval's measures with their ratios to the
better BM25 of the same run. Needs Python's standard library only.
"""
import argparse
import concurrent.futures
import http.client
import json
import math
import os
import sys
import threading
import time
import urllib.parse

import metrics
import reference

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from common import verdict  # noqa: E402

MODES = ("lexical", "hybrid", "vector")
QUERY_BYTES_MAX, K_MAX = 8192, 1000
BARS = {"lexical": 0.97, "hybrid": 1.0}


class Server:
    """One keep-alive connection for each thread."""

    def __init__(self, url, key):
        self.address = urllib.parse.urlsplit(url)
        self.key = key
        self.local = threading.local()

    def call(self, method, path, body=None, kind="application/json", ok=(200, 201)):
        reused = getattr(self.local, "connection", None) is not None
        try:
            reply, data = self.exchange(method, path, body, kind)
        except (ConnectionError, http.client.HTTPException):
            if not reused:
                raise
            self.local.connection = None  # it was idle for too long and the server has closed it
            reply, data = self.exchange(method, path, body, kind)
        if reply.status not in ok:
            raise SystemExit(f"{method} {path} answered {reply.status}: {data.decode(errors='replace')[:500]}")
        return json.loads(data) if data else None

    def exchange(self, method, path, body, kind):
        if getattr(self.local, "connection", None) is None:
            plain = self.address.scheme != "https"
            maker = http.client.HTTPConnection if plain else http.client.HTTPSConnection
            self.local.connection = maker(self.address.hostname, self.address.port, timeout=600)
        headers = {"Authorization": "Bearer " + self.key, "Content-Type": kind}
        self.local.connection.request(method, path, body, headers)
        reply = self.local.connection.getresponse()
        return reply, reply.read()


# ---- a folder ----

def lines(path):
    try:
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                if line.strip():
                    yield json.loads(line)
    except OSError as e:
        raise SystemExit(str(e)) from None
    except ValueError as e:
        raise SystemExit(f"{path}:{number}: {e}") from None


def read_qrels(path):
    """query-id, corpus-id, score, tab-separated; a first line whose score is no number is a header."""
    qrels = {}
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f):
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) < 3:
                continue
            try:
                qrels.setdefault(fields[0], {})[fields[1]] = int(float(fields[2]))
            except ValueError:
                if number > 0:
                    raise SystemExit(f"{path}:{number + 1}: the score is not a number") from None
    return qrels


def qrels_path(folder):
    for name in ("qrels.tsv", "qrels/test.tsv"):
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    raise SystemExit(f"{folder} has no qrels.tsv")


class Folder:
    def __init__(self, path, limit):
        self.name = os.path.basename(os.path.normpath(path))
        qrels = read_qrels(qrels_path(path))
        self.documents = {str(d["_id"]): d for d in lines(os.path.join(path, "corpus.jsonl"))}
        texts = {str(q["_id"]): q["text"] for q in lines(os.path.join(path, "queries.jsonl"))}
        judged = [q for q in texts if metrics.relevant(qrels.get(q, {}))]
        step = max(1, math.ceil(len(judged) / limit)) if limit else 1
        self.queries = {q: texts[q] for q in judged[::step]}
        self.qrels = {q: qrels[q] for q in self.queries}


# ---- both sides ----

def feed(server, folder):
    name = "finding-{}-{:x}".format("".join(c if c.isalnum() else "-" for c in folder.name.lower())[:32],
                                    time.time_ns() // 1000)
    server.call("POST", "/collections", json.dumps({"name": name}))
    server.call("POST", "/sources", json.dumps({"collection": name, "name": "corpus", "owner": "bench"}))
    started = time.monotonic()
    batch, rejected = [], 0
    for number, document in enumerate(folder.documents.values(), 1):
        line = {"collection": name, "source": "corpus", "id": str(document["_id"]), "text": document.get("text", ""),
                "media_type": "text/plain"}
        if document.get("title"):
            line["title"] = document["title"]
        batch.append(json.dumps(line))
        if len(batch) == 5000 or number == len(folder.documents):
            reply = server.call("POST", "/documents?wait=indexed", "\n".join(batch).encode() + b"\n",
                                "application/x-ndjson")
            rejected += reply.get("rejected_count", len(reply["rejected"]))
            batch = []
    while (server.call("GET", "/collections/" + name)["index"] or {}).get("learning"):
        time.sleep(0.2)  # the built-in embedder, of what it was fed
    quality = server.call("GET", "/quality?collection=" + name)
    print(f"  {len(folder.documents)} documents, {rejected} refused, {quality['chunks']['active']} chunks active, "
          f"{quality['chunks']['quarantined']} held back; fed in {time.monotonic() - started:.1f} s")
    return name


def ask(server, collection, mode, text, depth):
    """Documents by their best chunk. Where chunks crowd documents out, it asks for more of them."""
    query = text.encode()[:QUERY_BYTES_MAX].decode(errors="ignore")
    k = depth
    while True:
        body = {"collection": collection, "query": query, "mode": mode, "k": k}
        hits = server.call("POST", "/search", json.dumps(body))["hits"]
        documents = metrics.collapse(hit["document"] for hit in hits)
        if len(documents) >= depth or len(hits) < k or k == K_MAX:
            return documents[:depth]
        k = min(K_MAX, 2 * k)


def search_all(server, collection, mode, folder, depth, threads):
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda text: ask(server, collection, mode, text, depth), folder.queries.values())
        return dict(zip(folder.queries, found))


def write_run(path, rankings, tag):
    with open(path, "w", encoding="utf-8") as f:
        for query, documents in rankings.items():
            for rank, document in enumerate(documents, 1):
                f.write(f"{query} Q0 {document} {rank} {len(documents) - rank} {tag}\n")


def row(name, means, base=None):
    values = "".join(f"{means[m]:12.4f}" for m in metrics.MEASURES)
    ratio = "" if base is None else f"{means['nDCG@10'] / base if base else float('nan'):10.3f}"
    print(f"  {name:22}{values}{ratio}", flush=True)


def references(folder, depth):
    """Every plain BM25, so that the better one is not a matter of choice."""
    runs = {}
    for stop, label in ((frozenset(), ""), (reference.STOP_WORDS, " stop")):
        bm25 = reference.Bm25(((name, d.get("title", "") + " " + d.get("text", ""))
                               for name, d in folder.documents.items()), stop)
        for k1, b in reference.PARAMETERS:
            runs[f"BM25 {k1} {b}{label}"] = {q: bm25.search(t, depth, k1, b) for q, t in folder.queries.items()}
    return runs


def evaluate(server, path, args):
    folder = Folder(path, args.queries)
    print(f"\n{folder.name}: {len(folder.queries)} judged queries")
    if not folder.queries or not folder.documents:
        print("  nothing is judged here: left out")
        return None
    runs = references(folder, args.depth)
    bases = {name: metrics.evaluate(rankings, folder.qrels) for name, rankings in runs.items()}
    best = max(m["nDCG@10"] for m in bases.values())
    collection = args.collection or feed(server, folder)
    print(f"  {'':22}" + "".join(f"{m:>12}" for m in metrics.MEASURES) + "   of BM25")
    for name, means in bases.items():
        row(name, means)
    ratios = {}
    for mode in args.modes:
        runs[mode] = search_all(server, collection, mode, folder, args.depth, args.threads)
        means = metrics.evaluate(runs[mode], folder.qrels)
        ratios[mode] = means["nDCG@10"] / best if best else float("nan")
        row(mode, means, best)
    if args.runs:
        for name, rankings in runs.items():
            tag = name.replace(" ", "_")
            write_run(os.path.join(args.runs, f"{folder.name}.{tag}.run"), rankings, tag)
    return folder.name, ratios


def summary(results, modes):
    print("\nnDCG@10 over the better BM25 of the same run (bars: lexical 0.97 each; hybrid 1.00 each, 1.05 in the mean)")
    print(f"  {'':22}" + "".join(f"{m:>12}" for m in modes))
    for name, ratios in results:
        print(f"  {name:22}" + "".join(f"{ratios[m]:12.3f}" for m in modes))
    means = {m: math.exp(sum(math.log(max(r[m], 1e-9)) for _, r in results) / len(results)) for m in modes}
    print(f"  {'geometric mean':22}" + "".join(f"{v:12.3f}" for v in means.values()))
    for name, ratios in results:
        for mode, floor in BARS.items():
            if mode in modes:
                verdict(8, f"nDCG@10 to plain BM25, {mode}, {name}", ratios[mode], ">=", floor, "the better BM25 of this run")
    if "hybrid" in modes:
        verdict(8, "nDCG@10 to plain BM25, hybrid, geometric mean", means["hybrid"], ">=", 1.05,
                f"{len(results)} collections")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--modes", type=lambda s: s.split(","), default=list(MODES))
    parser.add_argument("--depth", type=int, default=100, help="documents ranked for each query (100 or more)")
    parser.add_argument("--queries", type=int, default=0, help="at most about so many queries of each folder (0: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", help="a folder to write TREC run files into, for trec_eval itself")
    parser.add_argument("--collection", help="search this one instead of feeding a new one (one folder only)")
    args = parser.parse_args()
    if unknown := set(args.modes) - set(MODES):
        parser.error("unknown mode: " + ", ".join(sorted(unknown)))
    if args.collection and len(args.folders) > 1:
        parser.error("--collection goes with one folder")
    for name in ("ASSAY_URL", "ASSAY_KEY"):
        if not os.environ.get(name):
            parser.error(name + " is not set")
    server = Server(os.environ["ASSAY_URL"], os.environ["ASSAY_KEY"])
    print("finding: trec_eval's definitions, all judged queries, rankings of", args.depth, "documents")
    print("BM25 k1 b: title and text as one document, Porter stems; stop: without Lucene's English stop words")
    results = [r for r in (evaluate(server, path, args) for path in args.folders) if r]
    if results:
        summary(results, args.modes)


if __name__ == "__main__":
    sys.exit(main())
