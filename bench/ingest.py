#!/usr/bin/env python3
"""Bar 5: how fast text and vectors go in, and what searches feel of it.

Text with the built-in embedder, one NDJSON request of BENCH_INGEST_CHUNKS (100000) chunks (bench/text.py), PostgreSQL
with fsync, while hybrid searches come in at RATE a second on one connection; once without searches for vectors alone
(bench/vectors.c). A search's latency is the client's, from sending to the last byte.
"""
import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from common import Server, cpu_of, skip, verdict

import text

RATE = 200
WINDOWS = 10
QUIET_S = 10
BLOCK = 1 << 18


# ---- the searching client, a process of its own ----

def search_forever(port, key, file):
    """One keep-alive connection; a request every 1/RATE seconds, or later when the one before took longer."""
    with open(file, encoding="utf-8") as f:
        requests = [(f"POST /search HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nContent-Type: "
                     f"application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
                    for body in (line.strip().encode() for line in f)]
    conn = socket.create_connection(("127.0.0.1", port))
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    length = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")
    took, server, running = [], [], True

    def stop(_signal, _frame):
        nonlocal running
        running = False
    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    due = time.monotonic()
    while running:
        due = max(due + 1 / RATE, time.monotonic())
        time.sleep(max(0, due - time.monotonic()))
        started = time.perf_counter()
        conn.sendall(requests[len(took) % len(requests)])
        reply = conn.recv(1 << 20)
        while b"\r\n\r\n" not in reply:
            reply += conn.recv(1 << 20)
        head, _, body = reply.partition(b"\r\n\r\n")
        want = int(length.search(head + b"\r\n").group(1))
        while len(body) < want:
            body += conn.recv(1 << 20)
        took.append((time.perf_counter() - started) * 1e3)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"a search failed: {head[:100]!r}")
        server.append(json.loads(body)["took_ms"])
    print(json.dumps({"n": len(took), "p50": at(took, 0.5), "p99": at(took, 0.99), "server_p99": at(server, 0.99)}))


def at(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Searches:
    def __init__(self, server, file):
        self.process = subprocess.Popen([sys.executable, __file__, "search", str(server.port), server.key(), file],
                                        stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("the searching client did not start")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        out = self.process.communicate()[0]
        if self.process.returncode != 0:
            raise SystemExit("the searching client failed")
        return json.loads(out)


# ---- feeding ----

def blocks(path):
    with open(path, "rb") as f:
        yield from iter(lambda: f.read(BLOCK), b"")


def postgres_cpu_s():
    """Of all backends of every cluster of this machine, which is the bench's own unless one was given."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                total += cpu_of(pid) if f.read().startswith("postgres") else 0
        except (OSError, IndexError):
            pass
    return total


class Chunks(threading.Thread):
    """When how many chunks were searchable."""

    def __init__(self, server, collection):
        super().__init__(daemon=True)
        self.watch = Server.__new__(Server)
        self.watch.__dict__.update(server.__dict__)
        self.watch.answers()  # a connection of its own
        self.collection, self.seen, self.running = collection, [], True

    def count(self):
        return self.watch.gauge("assay_index_slots", collection=self.collection) or 0

    def run(self):
        while self.running:
            self.seen.append((time.monotonic(), self.count()))
            time.sleep(0.5)  # a scrape of /metrics takes its time from searches

    def windows(self):
        """Chunks per second in each of WINDOWS equal parts of the chunks."""
        self.running = False
        self.join()
        end, rates, last = self.seen[-1][1], [], self.seen[0]
        for k in range(1, WINDOWS + 1):
            now = next(p for p in self.seen if p[1] >= end * k / WINDOWS)
            if now[0] > last[0] and now[1] > last[1]:
                rates.append((now[1] - last[1]) / (now[0] - last[0]))
            last = now
        return rates


def feed(server, collection, path, what):
    """(chunks per second over all, rates of the windows); prints what it cost."""
    before, backends = server.cpu_s(), postgres_cpu_s()
    chunks = Chunks(server, collection)
    chunks.start()
    started = time.monotonic()
    _, report = server.api.call("POST", "/documents?wait=indexed", blocks(path), "application/x-ndjson")
    took = time.monotonic() - started
    used, backends = server.cpu_s() - before, postgres_cpu_s() - backends
    n = chunks.count()
    rates = chunks.windows()
    print(f"  {what}: {report['accepted']} documents, {n:.0f} chunks, {report['rejected_count']} refused, "
          f"{took:.1f} s until searchable, {n / took:.0f} chunks/s")
    print(f"    in {len(rates)} windows: {' '.join(f'{r:.0f}' for r in rates)} chunks/s; CPU for 1,000 chunks: "
          f"assayd {used / n * 1e3:.3f} s (building included), PostgreSQL {backends / n * 1e3:.3f} s", flush=True)
    return n / took, rates


def text_bar(server, chunks, folder):
    corpus, requests = os.path.join(folder, "text.ndjson"), os.path.join(folder, "text.requests")
    text.write(corpus, chunks, collection="ingest")
    with open(requests, "w", encoding="utf-8") as f:
        for query in text.queries(2000):
            f.write(json.dumps({"collection": "ingest", "query": query, "k": 10}) + "\n")
    server.post("/collections", {"name": "ingest"})
    server.post("/sources", {"collection": "ingest", "name": "bench", "owner": "bench", "max_age": "P5Y"})
    searches = Searches(server, requests)
    rate, windows = feed(server, "ingest", corpus, f"text, built-in embedder, {RATE} hybrid searches a second")
    busy = searches.stop()
    print(f"  at rest after another {server.rest('ingest'):.0f} s")
    searches = Searches(server, requests)
    time.sleep(QUIET_S)
    quiet = searches.stop()
    for name, r in (("meanwhile", busy), ("quiet, all chunks there", quiet)):
        print(f"    searches {name}: {r['n']}, p50 {r['p50']:.3f} ms, p99 {r['p99']:.3f} ms, server p99 "
              f"{r['server_p99']:.3f} ms")
    verdict(5, "text ingest, chunks/s", rate, ">=", 4000,
            f"slowest of {len(windows)} windows {min(windows, default=0):.0f}/s; {RATE} searches a second meanwhile")
    verdict(5, "p99 of searches during text ingest / quiet", busy["p99"] / quiet["p99"], "<=", 3,
            f"{busy['p99']:.3f} ms / {quiet['p99']:.3f} ms at {RATE} hybrid searches a second, one connection")


def vector_bar(server, args, chunks, folder):
    subprocess.run([args.vectors, "make", folder, str(chunks), "10", "1"], check=True)
    documents = os.path.join(folder, "documents.ndjson")
    with open(documents, "wb") as f:
        subprocess.run([args.vectors, "documents", folder, "vectors", "0", str(chunks)], check=True, stdout=f)
    server.post("/collections", {"name": "vectors", "embedder": {"kind": "client", "dim": 384}})
    for source in ("kept", "held", "old", "mass"):
        server.post("/sources", {"collection": "vectors", "name": source, "owner": "bench", "max_age": "P5Y"})
    rate, windows = feed(server, "vectors", documents, "client vectors as JSON numbers")
    verdict(5, "vector ingest, vectors/s", rate, ">=", 10000,
            f"slowest of {len(windows)} windows {min(windows, default=0):.0f}/s; 384 floats each, as JSON text")
    os.remove(documents)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("assayd", "load", "vectors", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=1)
    args = parser.parse_args()
    chunks = int(os.environ.get("BENCH_INGEST_CHUNKS", "100000"))
    print(f"\ningest, PostgreSQL with fsync, one NDJSON request of about {chunks} chunks")
    if chunks <= 0:
        return skip(5, "ingest", "BENCH_INGEST_CHUNKS is 0")
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        for bar in (lambda s: vector_bar(s, args, chunks, folder), lambda s: text_bar(s, chunks, folder)):
            server = Server(args.assayd, args.load, args.port, args.work, "ingest" + os.urandom(4).hex())
            try:
                bar(server)
            finally:
                server.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["search"]:
        search_forever(int(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        main()
