"""Bar 9: filters made of state, deadline, access and metadata, and pairs of filters that mean the same."""
import json

import dataset
from common import Server, verdict

# share of the rows: (group that asks, m below this). 90 % are neither quarantined nor stale; the keyword keeps 90 %.
SHARES = {"50 %": ("wide", 8574), "10 %": ("narrow", 5612), "1 %": ("few", 1234), "0.1 %": ("few", 123),
          "0.01 %": ("few", 12)}
PAIRS = 100  # queries asked of each way to say a filter


def ways(m):
    """The same filter, said differently."""
    return {"plain": {"kind": "y", "m": {"$lt": m}},
            "$and of ranges": {"$and": [{"kind": {"$gte": "y"}}, {"kind": {"$lte": "y"}}, {"m": {"$lte": m - 1}}]},
            "$not of $not": {"$not": {"$not": {"kind": {"$in": ["y"]}, "m": {"$not": {"$gte": m}}}}},
            "$or": {"$or": [{"$and": [{"kind": "y"}, {"m": {"$lt": m // 2}}]},
                            {"$and": [{"kind": {"$ne": "n"}}, {"m": {"$gte": m // 2, "$lt": m}}]}]}}


def hits(server, requests):
    with open(requests, encoding="ascii") as f:
        return [[(h["chunk"], h["score"]) for h in server.search(line)["hits"]] for _, line in zip(range(PAIRS), f)]


def share(bench, server, name, group, m):
    truth, matches = bench.data.truth("filtered", "held", "old", "kind", f"below={m}", f"group={group}")
    said = {way: bench.data.requests("filtered-" + str(i), "governed", filter=condition, principal=["group:" + group])
            for i, (way, condition) in enumerate(ways(m).items())}
    found, short = dataset.recall(server, said["plain"], truth)
    run = server.drive(said["plain"], 8, bench.seconds)
    of = f"{matches} rows of {bench.data.rows} match; {run['per_second']:,.0f}/s on 8 connections"
    verdict(9, f"recall@10, state, deadline, ACL and metadata keep {name}", found, ">=", 0.98, of)
    verdict(9, f"answers of other than min(k, matches) hits, {name}", short, "=", 0, f"of {len(truth)}")
    wanted = hits(server, said.pop("plain"))
    differ = {way: sum(a != b for a, b in zip(wanted, hits(server, requests))) for way, requests in said.items()}
    verdict(9, f"answers that differ between equal filters, {name}", sum(differ.values()), "=", 0,
            f"of {PAIRS} queries asked in {len(differ) + 1} ways: " + ", ".join(f"{w} {n}" for w, n in differ.items()))


def run(bench):
    print("\n== filters: bar 9")
    server = Server(*bench.server_args, "governed")
    try:
        bench.data.feed(server, "governed", acl=True)
        server.post("/quarantine", {"collection": "governed", "source": "held", "reason": "manual"})
        server.api.call("PATCH", "/sources/old?collection=governed", {"max_age": "P1Y"})
        server.rest("governed")
        for name, (group, m) in SHARES.items():
            share(bench, server, name, group, m)
    finally:
        server.stop()
