#!/usr/bin/env python3
"""Vector search over HTTP against the same graph in FAISS, in process: one report, every figure also as a ratio.

Starts assayd itself (the environment holds its settings), so that it can be restarted with another beam.
"""

import argparse
import array
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docker"))
import demo  # noqa: E402

K = 10
FILTERS = ("half", "tenth", "percent", "permille", "myriad")
SHARE = {"half": "50 %", "tenth": "10 %", "percent": "1 %", "permille": "0.1 %", "myriad": "0.01 %"}
BUILD_WAIT_S = 1800


class Server:
    def __init__(self, args, ef=0):
        env = dict(os.environ, ASSAY_EF_SEARCH=str(ef))
        self.args, self.started = args, time.monotonic()
        self.process = subprocess.Popen([args.assayd], env=env, stderr=open(os.path.join(args.work, "log"), "ab"))
        while True:
            try:
                self.api = demo.Assay(f"http://127.0.0.1:{args.port}", self.key())
                self.api.call("GET", "/readyz")
                break
            except (OSError, SystemExit):
                if self.process.poll() is not None:
                    raise SystemExit("assayd did not start; see its log")
                time.sleep(0.01)

    def key(self):
        with open(os.path.join(os.environ["ASSAY_DATA_DIR"], "admin.key"), encoding="ascii") as f:
            return f.read().strip()

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def memory_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024

    def gauge(self, name, **labels):
        self.api.conn.request("GET", "/metrics", headers=self.api.headers)
        text = self.api.conn.getresponse().read().decode()
        for line in text.splitlines():
            if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                return float(line.split()[-1])
        return None

    def drive(self, name, connections, seconds):
        file = os.path.join(self.args.dir, name + ".requests")
        out = subprocess.run([self.args.load, "127.0.0.1", str(self.args.port), "/search", str(connections),
                              str(seconds), file], check=True, capture_output=True, text=True,
                             env=dict(os.environ, ASSAY_KEY=self.key()))
        return json.loads(out.stdout)

    def recall(self, name, truth_name=None):
        """Recall at K, and how many answers were shorter than min(K, matches)."""
        truth = array.array("i")
        with open(os.path.join(self.args.dir, (truth_name or name) + ".truth"), "rb") as f:
            truth.frombytes(f.read())
        right = wanted = short = 0
        with open(os.path.join(self.args.dir, name + ".requests"), encoding="ascii") as f:
            for i, body in enumerate(f):
                _, reply = self.api.call("POST", "/search", json.loads(body))
                want = {str(row) for row in truth[i * K:(i + 1) * K] if row >= 0}
                got = {hit["document"] for hit in reply["hits"]}
                right += len(want & got)
                wanted += len(want)
                short += len(got) != len(want)
        return right / wanted if wanted else 1.0, short


def feed(server, args):
    api = server.api
    api.call("POST", "/collections", {"name": "vectors", "embedder": {"kind": "client", "dim": 384}})
    for source in ("kept", "held"):
        api.call("POST", "/sources", {"collection": "vectors", "name": source, "owner": "bench", "max_age": "P5Y"})
    with open(os.path.join(args.dir, "documents.ndjson"), "rb") as f:
        started = time.monotonic()
        _, report = api.call("POST", "/documents?wait=indexed", iter(f), "application/x-ndjson")
        took = time.monotonic() - started
    print(f"ingest, one NDJSON request, until searchable: {report['accepted']} vectors in {took:.1f} s, "
          f"{report['accepted'] / took:.0f}/s, {len(report['rejected'])} refused")
    started = time.monotonic()
    while server.gauge("assay_index_segments", collection="vectors") != 1:
        if time.monotonic() - started > BUILD_WAIT_S:
            print("  the index has not come to rest")
            break
        time.sleep(0.25)
    print(f"one graph after another {time.monotonic() - started:.1f} s; resident {server.memory_mib():.0f} MiB, "
          f"raw vectors {args.rows * 384 * 4 / 2**20:.0f} MiB\n")


def by_recall(reference, at_least):
    """FAISS at the smallest beam of those measured that finds as much."""
    return next((r for r in reference if r["recall"] >= at_least), reference[-1])


def compare(server, reference, args, label):
    found, short = server.recall("all")
    like = by_recall(reference, found)
    one = server.drive("all", 1, args.seconds)
    runs = sorted((server.drive("all", 8, args.seconds) for _ in range(args.runs)), key=lambda r: r["per_second"])
    mid = runs[len(runs) // 2]
    print(f"{label}: recall@10 {found:.4f}; FAISS in process needs efSearch {like['ef']} for {like['recall']:.4f}")
    print(f"  1 connection: p50 {one['client_p50_ms']:.3f} ms, in process {like['p50_ms']:.3f} ms, "
          f"{one['client_p50_ms'] - like['p50_ms']:+.3f} ms")
    print(f"  8 connections: {mid['per_second']:.0f}/s, in process with {args.threads} threads {like['per_second']:.0f}/s, "
          f"ratio {mid['per_second'] / like['per_second']:.2f}; p99 {mid['client_p99_ms']:.3f} ms = "
          f"{mid['client_p99_ms'] / mid['client_p50_ms']:.1f} x p50; {args.runs} runs within "
          f"{(runs[-1]['per_second'] / runs[0]['per_second'] - 1) * 100:.0f} %")
    return mid["per_second"]


def row(server, args, label, name, base, truth_name=None):
    found, short = server.recall(name, truth_name)
    r = server.drive(name, 8, args.seconds)
    print(f"  {label:16} {found:9.4f} {short:6d} {r['per_second']:8.0f} {r['per_second'] / base:6.2f} "
          f"{r['client_p50_ms']:9.3f} {r['client_p99_ms']:9.3f}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("assayd", "load", "vectors", "work", "dir"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    args.threads = os.cpu_count()
    subprocess.run([args.vectors, "make", args.dir, str(args.rows), "1000", "1"], check=True)
    print(f"vectors: {args.rows} x 384, clustered, k=10, base64 in the request; 1000 queries")
    out = subprocess.run([args.vectors, "faiss", args.dir, str(args.threads), str(min(args.seconds, 2))], check=True,
                         capture_output=True, text=True)
    faiss = json.loads(out.stdout)
    print(f"FAISS in process: built in {faiss['build_s']} s with {faiss['threads']} threads, kernel {faiss['kernel']}")
    for r in faiss["faiss"]:
        print(f"  efSearch {r['ef']:4d}  recall@10 {r['recall']:.4f}  p50 {r['p50_ms']:.3f} ms  "
              f"{r['per_second']:7.0f}/s  p99 {r['p99_ms']:.3f} ms")
    server = Server(args)
    feed(server, args)
    base = compare(server, faiss["faiss"], args, "served, default beam")
    print(f"\n  {'filter keeps':16} {'recall@10':>9} {'short':>6} {'req/s':>8} {'ratio':>6} {'p50 ms':>9} {'p99 ms':>9}"
          "   (8 connections; ratio to no filter; short: answers of fewer than min(k, matches) hits)")
    for name in FILTERS:
        row(server, args, SHARE[name], name, base)
    server.stop()

    started = time.monotonic()
    ef = by_recall(faiss["faiss"], 0.98)["ef"]
    server = Server(args, ef)
    with open(os.path.join(args.dir, "all.requests"), encoding="ascii") as f:
        body = json.loads(f.readline())
    while not server.api.call("POST", "/search", body)[1]["hits"]:
        if time.monotonic() - started > 60:
            raise SystemExit("no answer after a restart")
        time.sleep(0.005)
    print(f"\nrestart: first answer {time.monotonic() - started:.2f} s after exec; resident {server.memory_mib():.0f} MiB")
    base = compare(server, faiss["faiss"], args, f"served, ef_search {ef}")
    server.api.call("POST", "/quarantine", {"collection": "vectors", "source": "held", "reason": "manual"})
    print()
    row(server, args, "5 % quarantined", "all", base, "held")
    server.stop()


if __name__ == "__main__":
    main()
