"""Bar 7: resident memory, modes of lower precision, and a million vectors."""
import os

import dataset
import restart
from common import Server, skip, verdict

FULL, LOWER = "float32", "int8"
MILLION, MILLION_S = 1000000, 6


def text(m):
    return f"{m['all']:.0f} MiB: anonymous {m['anon']:.0f}, file {m['file']:.0f}"


class Memory:
    """What one server holds at each stage, beside what it was given."""

    def __init__(self, server, data):
        self.server, self.data = server, data
        self.empty = server.memory()
        self.vectors = data.rows * dataset.DIM * 4 / 2**20
        self.texts = data.text_bytes() / 2**20
        print(f"  raw vectors {self.vectors:.0f} MiB, text {self.texts:.0f} MiB; the empty server {text(self.empty)}")

    def fed(self, collection):
        print(f"  after feeding {text(self.server.memory())}")
        took = self.server.rest(collection)
        rest = self.server.memory()
        own = (self.server.gauge("assay_index_memory_bytes", collection=collection) or 0) / 2**20
        print(f"  at rest {took:.0f} s later {text(rest)}; most so far {rest['peak']:.0f}; index by its own count "
              f"{own:.0f} MiB", flush=True)
        return took

    def judge(self, stage):
        now = self.server.memory()
        verdict(7, f"resident over vectors and text, {self.data.rows:,}, {stage}",
                now["all"] / (self.vectors + self.texts), "<=", 1.7,
                f"{text(now)} over {self.vectors:.0f} + {self.texts:.0f}; the empty server has {self.empty['all']:.0f}")
        return now


def searched(server, requests, truth):
    """Memory after a restart and the whole query set, with recall and throughput."""
    server.restart()
    found, _ = dataset.recall(server, requests, truth)
    run = server.drive(requests, 8, 2)
    return found, run


def precision(bench, name):
    """A collection whose index has this precision, in a server of its own: (memory, recall, throughput), each after a
    restart and the whole query set, or why there is none."""
    print(f"\nprecision {name}")
    server = Server(*bench.server_args, "vectors-" + name)
    try:
        status, reply = server.post("/collections", {"name": "vectors", "index": {"precision": name},
                                                     "embedder": {"kind": "client", "dim": dataset.DIM}},
                                    ok=(200, 201, 400, 404, 409, 422))
        if status not in (200, 201):
            return None, f"POST /collections answers {status}: {reply.get('detail')}"
        memory = Memory(server, bench.data)
        bench.data.feed(server, "vectors", create=False)
        memory.fed("vectors")
        found, run = searched(server, bench.served.requests, bench.truth("all"))
        now = server.memory()
        print(f"  after a restart and all queries {text(now)}; recall@10 {found:.4f}, {run['per_second']:,.0f}/s")
        return (now, found, run["per_second"]), ""
    finally:
        server.stop()


def run(bench):
    """After feeding and rest (bench.memory has looked already): after a restart and the whole query set."""
    print("\n== memory: bar 7")
    bench.memory.judge("at rest")
    found, load = searched(bench.server, bench.served.requests, bench.truth("all"))
    bench.memory.judge("after a restart and all queries")
    print(f"  recall@10 {found:.4f}, {load['per_second']:,.0f}/s on 8 connections meanwhile")


def precisions(bench):
    """The lower precision beside the full one, whichever of them is the default."""
    what = f"resident at {LOWER}, of {FULL}"
    full, why = precision(bench, FULL)
    lower, why = precision(bench, LOWER) if full else (None, why)
    if not lower:
        skip(7, what, why)
        return
    empty = bench.memory.empty["all"]
    verdict(7, what, (lower[0]["all"] - empty) / (full[0]["all"] - empty), "<=", 0.5,
            f"{text(lower[0])} over {text(full[0])}, both after a restart and the whole query set, without the "
            f"{empty:.0f} MiB of an empty server")
    verdict(7, f"recall@10 at {LOWER}", lower[1], ">=", 0.98,
            f"default beam; {lower[2]:,.0f}/s on 8 connections, {full[2]:,.0f}/s at {FULL}")


def million(bench):
    """BENCH_PRECISION: at that precision."""
    lower = os.environ.get("BENCH_PRECISION")
    more = {"index": {"precision": lower}} if lower else {}
    print(f"\n== a million: bars 6 and 7, {MILLION:,} x {dataset.DIM}{', ' + lower if lower else ''}")
    data = dataset.Dataset(bench.args.vectors, bench.args.dir + "/million", MILLION)
    truth, _ = data.truth("all")
    requests = data.requests("all", "vectors")
    server = Server(*bench.server_args, "million")
    try:
        memory = Memory(server, data)
        fed = data.feed(server, "vectors", **more)
        rest = memory.fed("vectors")
        verdict(7, "1,000,000 works: fed and built, s", fed + rest, ">", 0,
                f"{fed:.0f} s until searchable, {rest:.0f} s more until the graphs are at rest")
        memory.judge("at rest")
        restart.measure(server, requests, MILLION, MILLION_S)
        found, load = searched(server, requests, truth)
        memory.judge("after a restart and all queries")
        verdict(7, "1,000,000: recall@10 at the default setting", found, ">=", 0.98,
                f"{load['per_second']:,.0f}/s on 8 connections, p50 {load['client_p50_ms']:.2f} ms")
    finally:
        server.stop()
