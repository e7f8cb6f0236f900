"""Bar 4: the same vectors and filters in PostgreSQL with pgvector, in a cluster of its own with room for all in memory.

pgvector is asked as fast as it can be: prepared statements with binary vectors, eight connections of one C client,
plans made once, inner product, ids alone as the answer. Every measurement of Assay stands between two of PostgreSQL."""
import json
import os
import subprocess
import time

import dataset
import served
from common import ROOT, median, recall_of, skip, verdict

PAIRS = 3
M, EF_CONSTRUCTION = 32, 100  # as of the graphs that Assay builds
EF_MAX = 1000  # pgvector takes no more
FULL = 0.9995  # what counts as recall 1.0
BEAMS, SAMPLE = (10, 20, 40, 80, 160, 400, 1000), 200  # for the filter: beams tried, and queries asked of each
SETTINGS = ("jit=off", "plan_cache_mode=force_generic_plan", "max_parallel_workers_per_gather=0")
ORDER = "ORDER BY v <#> $1::vector LIMIT 10"


class Postgres:
    def __init__(self, bench):
        self.bench = bench
        self.script = os.path.join(ROOT, "docker", "cluster.sh")
        self.folder = os.path.join(bench.args.work, "pgvector")
        self.url = self.cluster("start")

    def cluster(self, command):
        done = subprocess.run([self.script, command, self.folder], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def sql(self, *statements, check=True):
        commands = [part for s in statements for part in ("-c", s)]
        done = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", self.url, *commands], check=check,
                              stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def has_vector(self):
        return self.sql("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")

    def fill(self):
        self.sql("ALTER SYSTEM SET shared_buffers = '1GB'", "ALTER SYSTEM SET max_wal_size = '8GB'")
        self.cluster("stop")
        self.cluster("start")
        self.sql("CREATE EXTENSION vector",
                 f"CREATE TABLE items (id int PRIMARY KEY, percent text, tenth text, v vector({dataset.DIM}))",
                 "ALTER TABLE items ALTER v SET STORAGE PLAIN")
        with subprocess.Popen([self.bench.data.tool, "copy", self.bench.data.folder], stdout=subprocess.PIPE) as rows:
            subprocess.run(["psql", "-X", "-q", self.url, "-c", "\\copy items FROM STDIN (FORMAT binary)"], check=True,
                           stdin=rows.stdout)
        build = ["SET maintenance_work_mem = '1GB'", f"SET max_parallel_maintenance_workers = {self.bench.threads}"]
        hnsw = f"USING hnsw (v vector_ip_ops) WITH (m = {M}, ef_construction = {EF_CONSTRUCTION})"
        started = time.monotonic()
        self.sql(*build, "CREATE INDEX items_hnsw ON items " + hnsw)
        took = time.monotonic() - started
        self.sql(*build, "CREATE INDEX items_percent ON items (percent)",
                 f"CREATE INDEX items_partial ON items {hnsw} WHERE percent = 'y'", "VACUUM ANALYZE items",
                 "CREATE EXTENSION pg_prewarm", "SELECT pg_prewarm('items'), pg_prewarm('items_hnsw')")
        print(f"  HNSW with m {M}, ef_construction {EF_CONSTRUCTION} built in {took:.1f} s", flush=True)

    def load(self, seconds, sql, settings):
        out = subprocess.run([self.bench.args.pgload, self.url, "8", str(seconds), self.bench.data.path("queries.f32"),
                              str(dataset.DIM), sql, *SETTINGS, *settings], check=True, stdout=subprocess.PIPE)
        return json.loads(out.stdout)

    def check(self, plan):
        """Says so when the planner does not do what the plan is named for."""
        sets = [f"SET {s}" for s in (*SETTINGS, *plan.settings(EF_MAX))]
        text = self.sql(*sets, "EXPLAIN (GENERIC_PLAN, COSTS OFF) " + plan.sql, check=False)
        if text and plan.uses not in text:
            print(f"  {plan.name}: not by {plan.uses} but\n{text}")


class Plan:
    """One way to ask: SQL, the index it is meant to go by, and settings beside hnsw.ef_search."""

    def __init__(self, name, sql, uses, *settings):
        self.name, self.sql, self.uses, self.more = name, sql, uses, settings
        self.recalls = {}

    def settings(self, ef):
        return (f"hnsw.ef_search={ef}", *self.more)

    def recall(self, postgres, truth, ef, queries=0):
        """Of the first so many queries; 0: all."""
        if ef not in self.recalls:
            ids = postgres.load(-queries, self.sql, self.settings(ef))["ids"]
            self.recalls[ef] = recall_of(ids, truth)[0]
        return self.recalls[ef]

    def least(self, postgres, truth, target):
        """The least hnsw.ef_search that finds so much, or None."""
        ef = dataset.least(lambda at: self.recall(postgres, truth, at), target, EF_MAX)
        return ef if self.recall(postgres, truth, ef) >= target else None

    def least_of(self, postgres, truth, target, beams, queries):
        """The first of `beams` that finds so much, or None."""
        return next((ef for ef in beams if self.recall(postgres, truth, ef, queries) >= target), None)


UNFILTERED = Plan("HNSW", f"SELECT id FROM items {ORDER}", "items_hnsw", "enable_seqscan=off")
ANY_VALUE = (
    Plan("column index, sorted exactly",
         "SELECT id FROM items WHERE percent = 'y' ORDER BY (v <#> $1::vector) + 0 LIMIT 10", "items_percent",
         "enable_seqscan=off"),
    Plan("HNSW, iterative scan", f"SELECT id FROM items WHERE percent || '' = 'y' {ORDER}", "items_hnsw",
         "enable_seqscan=off", "enable_sort=off", "hnsw.iterative_scan=strict_order", "hnsw.max_scan_tuples=1000000"),
)
ONE_VALUE = (Plan("an HNSW index of just these rows", f"SELECT id FROM items WHERE percent = 'y' {ORDER}",
                  "items_partial", "enable_seqscan=off", "enable_sort=off"),)


def compare(bench, postgres, plan, ef, requests, found, what):
    """Assay between PostgreSQL; found: (ours, theirs)."""
    control, ours, ratios = [postgres.load(bench.seconds, plan.sql, plan.settings(ef))], [], []
    for _ in range(PAIRS):
        ours.append(bench.server.drive(requests, 8, bench.seconds))
        control.append(postgres.load(bench.seconds, plan.sql, plan.settings(ef)))
        ratios.append(2 * ours[-1]["per_second"] / (control[-2]["per_second"] + control[-1]["per_second"]))
    mine, theirs = median([r["per_second"] for r in ours]), median([c["per_second"] for c in control])
    print(f"  {plan.name}, hnsw.ef_search {ef}: recall@10 {found[1]:.4f}, {theirs:,.0f}/s, p50 "
          f"{median([c['client_p50_ms'] for c in control]):.2f} ms; Assay {found[0]:.4f}, {mine:,.0f}/s", flush=True)
    return median(ratios), (f"{mine:,.0f}/s over {theirs:,.0f}/s, recall@10 {found[0]:.4f} over "
                            f"{found[1]:.4f}; {what}, hnsw.ef_search {ef}; CPU of a query in the client "
                            f"{control[-1]['load_cpu_us']:.0f} us")


def unfiltered(bench, postgres):
    for target in served.TARGETS:
        ef = bench.served.least(target)
        mine = bench.served.recall(ef)
        bench.served.at(ef)
        theirs = UNFILTERED.least(postgres, bench.truth("all"), mine)
        if theirs is None:
            skip(4, f"throughput to pgvector at recall {target}", f"HNSW in PostgreSQL does not find {mine:.4f}")
            continue
        ratio, of = compare(bench, postgres, UNFILTERED, theirs, bench.served.requests,
                            (mine, UNFILTERED.recalls[theirs]), UNFILTERED.name)
        verdict(4, f"throughput to pgvector at recall {target}", ratio, ">=", 3, of)


def filtered(bench, postgres):
    """The filter that keeps 1 %: by plans for any value of the column, and by an index for this value alone."""
    bench.served.at(0)
    requests = bench.data.requests("percent", "vectors", filter=dataset.FILTERS["percent"])
    truth = bench.truth("percent")
    mine = dataset.recall(bench.server, requests, truth)[0]
    for what, plans in (("best plan for any value", ANY_VALUE), ("partial index for the value", ONE_VALUE)):
        results = []
        for plan in plans:
            ef = plan.least_of(postgres, truth, FULL, BEAMS, SAMPLE)
            if ef is None:
                print(f"  {plan.name}: recall@10 {max(plan.recalls.values()):.4f} at most")
            else:
                results.append(compare(bench, postgres, plan, ef, requests, (mine, plan.recalls[ef]), plan.name))
        if results:
            ratio, of = min(results)
            verdict(4, f"throughput to pgvector, 1 % filter, recall 1.0, {what}", ratio, ">=", 3, of)
    verdict(4, "recall@10 beside it, 1 % filter", mine, ">=", FULL, "Assay at the default setting")


def run(bench):
    print("\n== pgvector: bar 4")
    postgres = Postgres(bench)
    try:
        version = postgres.has_vector()
        if not version:
            skip(4, "throughput to pgvector",
                 "this PostgreSQL has no extension vector (Debian 13: postgresql-17-pgvector)")
            return
        print(f"  pgvector {version}")
        postgres.fill()
        for plan in (UNFILTERED, *ANY_VALUE, *ONE_VALUE):
            postgres.check(plan)
        unfiltered(bench, postgres)
        filtered(bench, postgres)
    finally:
        postgres.cluster("stop")
