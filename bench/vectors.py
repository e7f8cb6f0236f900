#!/usr/bin/env python3
"""The bars about generated vectors, in one run: 1 and 2 (vectors), 3 (quarantine), 4 (pgvector), 6 (restart), 7
(memory, million), 9 (filters). Each part is a file of its own; this one sets up what they share."""
import argparse
import os

import dataset
import filters
import memory
import pgvector
import quarantine
import restart
import served
from common import Server

TRUTHS = {"all": (), "held": ("held",), "percent": ("percent",), "tenth": ("tenth",)}
SHARED = ("vectors", "pgvector", "quarantine", "restart", "memory")  # parts about the one big collection


class Bench:
    """What the parts share; FAISS and the exact answers come into being when they are asked for."""

    def __init__(self, args):
        self.args = args
        self.seconds, self.runs, self.threads = args.seconds, args.runs, os.cpu_count()
        self.server_args = (args.assayd, args.load, args.port, args.work)
        self.data = dataset.Dataset(args.vectors, args.dir, args.rows)
        self.hidden, self.truths = set(), {}
        self.server = self.served = self.memory = self.process = None
        print(f"vectors: {args.rows} x {dataset.DIM}, clustered, k=10, base64 in the request; "
              f"{dataset.QUERIES} queries", flush=True)

    def truth(self, name):
        if name not in self.truths:
            self.truths[name] = self.data.truth(name, *TRUTHS[name])[0]
        return self.truths[name]

    @property
    def faiss(self):
        if self.process is None:
            self.truth("all")
            self.process = dataset.Faiss(self.data, "all")
        return self.process

    def open(self):
        """The server and its collection, fed and at rest."""
        self.server = Server(*self.server_args, "vectors")
        self.memory = memory.Memory(self.server, self.data)
        self.data.feed(self.server, "vectors")
        self.memory.fed("vectors")
        self.served = served.Served(self)

    def hold(self, source):
        """Quarantines a source, once."""
        if source not in self.hidden:
            self.hidden.add(source)
            self.server.post("/quarantine", {"collection": "vectors", "source": source, "reason": "manual"})

    def close(self):
        if self.process:
            self.process.close()
        if self.server:
            self.server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("assayd", "load", "pgload", "vectors", "work", "dir"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--sections", type=lambda s: s.split(","), required=True)
    args = parser.parse_args()
    wanted = set(args.sections)
    bench = Bench(args)
    try:
        if wanted & set(SHARED):
            bench.open()
        # In this order: what hides rows comes last.
        for name, part in (("memory", memory.run), ("restart", restart.run), ("vectors", served.run),
                           ("pgvector", pgvector.run), ("vectors", lambda b: b.served.quarantined()),
                           ("quarantine", quarantine.run)):
            if name in wanted:
                part(bench)
        if bench.server:
            bench.server.stop()
        for name, part in (("memory", memory.precisions), ("filters", filters.run), ("million", memory.million)):
            if name in wanted:
                part(bench)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
