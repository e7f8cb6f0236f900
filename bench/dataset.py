"""The generated vectors of `make bench`: made once, fed to servers, asked as request files, answered by FAISS."""
import json
import os
import subprocess
import time

import common

DIM = 384
QUERIES = 1000
PART = 100000  # documents in one bulk request
BLOCK = 1 << 20
FILTERS = {"tenth": {"tenth": "y"}, "percent": {"percent": "y"}}  # a keyword each


class Dataset:
    def __init__(self, tool, folder, rows, queries=QUERIES):
        self.tool, self.folder, self.rows = tool, folder, rows
        os.makedirs(folder, exist_ok=True)
        subprocess.run([tool, "make", folder, str(rows), str(queries), "1"], check=True)
        with open(self.path("queries.b64"), encoding="ascii") as f:
            self.queries = f.read().split()

    def path(self, name):
        return os.path.join(self.folder, name)

    def requests(self, name, collection, **more):
        """A file of one request for each query; its path."""
        more = {"collection": collection, "mode": "vector", "k": common.K, **more}
        head = json.dumps(more)[:-1]
        with open(self.path(name + ".requests"), "w", encoding="ascii") as f:
            f.writelines(f'{head},"vector":"{q}"}}\n' for q in self.queries)
        return self.path(name + ".requests")

    def truth(self, name, *conditions):
        """Exact answers among the rows that every condition keeps (see bench/vectors.c), and how many rows those are.
        """
        out = subprocess.run([self.tool, "truth", self.folder, name, *conditions], check=True, stdout=subprocess.PIPE)
        return common.read_truth(self.path(name + ".truth")), int(out.stdout)

    def feed(self, server, collection, acl=False, create=True, **more):
        """Makes the collection (unless it is there) and puts everything into it; returns the seconds that took."""
        if create:
            server.post("/collections", {"name": collection, "embedder": {"kind": "client", "dim": DIM}, **more})
        for source in ("kept", "held", "old", "mass"):
            server.post("/sources", {"collection": collection, "name": source, "owner": "bench", "max_age": "P5Y"})
        started, refused = time.monotonic(), 0
        for at in range(0, self.rows, PART):
            with subprocess.Popen([self.tool, "documents", self.folder, collection, str(at),
                                   str(min(at + PART, self.rows)), *(["acl"] if acl else [])],
                                  stdout=subprocess.PIPE) as lines:
                blocks = iter(lambda: lines.stdout.read(BLOCK), b"")
                _, report = server.api.call("POST", "/documents?wait=indexed", blocks, "application/x-ndjson")
            refused += report.get("rejected_count", len(report["rejected"]))
        took = time.monotonic() - started
        _, quality = server.api.call("GET", "/quality?collection=" + collection)
        active = quality["chunks"]["active"]
        print(f"  fed {self.rows} vectors of {DIM} until searchable in {took:.1f} s, {self.rows / took:.0f}/s; "
              f"{refused} refused, {active} chunks active", flush=True)
        return took

    def text_bytes(self):
        """About the bytes of all texts, by a sample of neighbours in the middle."""
        n = min(200, self.rows)
        at = (self.rows - n) // 2
        out = subprocess.run([self.tool, "documents", self.folder, "x", str(at), str(at + n)], check=True,
                             stdout=subprocess.PIPE)
        return sum(len(json.loads(line)["text"].encode()) for line in out.stdout.splitlines()) * self.rows // n


def recall(server, requests, truth):
    with open(requests, encoding="ascii") as f:
        found = [[hit["document"] for hit in server.search(line)["hits"]] for line in f]
    return common.recall_of(found, truth)


class Faiss:
    """FAISS's own HNSW index over the same vectors, in a process that sleeps while it is not asked."""

    def __init__(self, data, truth_name):
        self.process = subprocess.Popen([data.tool, "faiss", data.folder, truth_name], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, OMP_WAIT_POLICY="passive"))
        self.built = json.loads(self.process.stdout.readline())
        self.recalls = {}

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def recall(self, ef):
        if ef not in self.recalls:
            self.recalls[ef] = self.ask(f"recall {ef}")["recall"]
        return self.recalls[ef]

    def run(self, ef, threads, seconds):
        return self.ask(f"run {ef} {threads} {seconds}")

    def least(self, target):
        """The least efSearch that finds as much."""
        return least(self.recall, target, 1024)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def least(recall_at, target, limit):
    """The least beam of common.K to `limit` whose recall reaches `target`; `limit` when none does."""
    low, high = common.K, common.K
    while high < limit and recall_at(high) < target:
        low, high = high + 1, min(limit, high * 2)
    while low < high:
        mid = (low + high) // 2
        if recall_at(mid) >= target:
            high = mid
        else:
            low = mid + 1
    return high
