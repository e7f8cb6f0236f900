"""Bars 1 and 2: vector search over HTTP beside FAISS in process at the same recall, without filter, with one, and with
a part of the slots quarantined.

Every served measurement stands between two of FAISS in process, and its ratio is taken to their mean: what the machine
does to both cancels."""
import dataset
from common import cpu_text, median, verdict

TARGETS = (0.98, 0.99)
PAIRS_OF_ONE = 3  # measurements at one connection
PAIRS_OF_FILTER = 5


class Pairs:
    """Served measurements between ones of FAISS in process."""

    def __init__(self, bench, requests, faiss_ef, runs, connections=8):
        threads = bench.threads if connections > 1 else 1
        control = [bench.faiss.run(faiss_ef, threads, bench.seconds)]
        self.served, self.ratios, self.extra_ms = [], [], []
        for _ in range(runs):
            run = bench.server.drive(requests, connections, bench.seconds)
            control.append(bench.faiss.run(faiss_ef, threads, bench.seconds))
            before, after = control[-2:]
            self.served.append(run)
            self.ratios.append(run["per_second"] / (before["per_second"] + after["per_second"]) * 2)
            self.extra_ms.append(run["client_p50_ms"] - (before["p50_ms"] + after["p50_ms"]) / 2)
        self.rate = median([r["per_second"] for r in self.served])
        self.ratio = median(self.ratios)
        self.control_rate = median([c["per_second"] for c in control])
        self.control_p50 = median([c["p50_ms"] for c in control])
        self.control_spread = spread(control)

    def median(self, member):
        return median([r[member] for r in self.served])


def spread(runs):
    rates = [r["per_second"] for r in runs]
    return max(rates) / min(rates) - 1


class Served:
    """One collection, `bench.server` at several beams."""

    def __init__(self, bench):
        self.bench = bench
        self.requests = bench.data.requests("all", "vectors")
        self.recalls = {}
        self.bases = {}  # setting -> Pairs without filter

    def at(self, ef):
        """Restarts with this beam (0: the default) when another is set."""
        if self.bench.server.settings.get("ef_search", 0) != ef:
            self.bench.server.restart(ef_search=ef)

    def recall(self, ef, truth_name="all"):
        if (ef, truth_name) not in self.recalls:
            self.at(ef)
            truth = self.bench.truth(truth_name)
            self.recalls[ef, truth_name] = dataset.recall(self.bench.server, self.requests, truth)
        return self.recalls[ef, truth_name][0]

    def least(self, target, truth_name="all"):
        return dataset.least(lambda ef: self.recall(ef, truth_name), target, 512)

    # ---- bar 1 ----
    def bar_1(self, ef, target):
        """The served beam `ef` (0: the default), which must find `target`."""
        bench, found = self.bench, self.recall(ef)
        self.at(ef)
        like = bench.faiss.least(found)
        name = f"recall {target}" if ef else "default"
        print(f"\n{'ef_search ' + str(ef) if ef else 'default setting'}: recall@10 {found:.4f}; FAISS in process needs "
              f"efSearch {like} for {bench.faiss.recall(like):.4f}")
        verdict(1, f"recall@10, {'least beam for ' + str(target) if ef else 'the default setting'}", found, ">=",
                target, f"{len(bench.data.queries)} queries against exact" + (f", ef_search {ef}" if ef else ""))
        many = Pairs(bench, self.requests, like, bench.runs)
        self.bases[name] = (ef, like, many)
        verdict(1, f"throughput, 8 connections, of FAISS in process ({name})", many.ratio, ">=", 0.7,
                f"{many.rate:,.0f}/s over {many.control_rate:,.0f}/s by {bench.threads} threads, median of "
                f"{bench.runs} interleaved; ratios {min(many.ratios):.2f} to {max(many.ratios):.2f}; "
                + cpu_text(many.served))
        verdict(1, f"p99 over p50, 8 connections ({name})",
                median([r["client_p99_ms"] / r["client_p50_ms"] for r in many.served]), "<=", 5,
                f"{many.median('client_p99_ms'):.3f} over {many.median('client_p50_ms'):.3f} ms; the server's own "
                f"{many.median('server_p99_ms'):.3f} over {many.median('server_p50_ms'):.3f} ms")
        rates = [r["per_second"] for r in many.served]
        verdict(1, f"spread of {bench.runs} runs, fastest over slowest - 1 ({name})", spread(many.served), "<=", 0.15,
                f"{min(rates):,.0f} to {max(rates):,.0f}/s, {bench.seconds} s each; FAISS in process meanwhile "
                f"{many.control_spread:.2f}")
        one = Pairs(bench, self.requests, like, PAIRS_OF_ONE, connections=1)
        verdict(1, f"p50 at one connection above FAISS in process, ms ({name})", median(one.extra_ms), "<=", 0.10,
                f"{one.median('client_p50_ms'):.3f} - {one.control_p50:.3f} ms")

    # ---- bar 2 ----
    def bar_2(self, what, requests, name, found, floors, faiss_ef=None):
        """floors: (recall, its comparison, throughput to bar 1 at the same setting `name`)."""
        _, like, base = self.bases[name]
        pairs = Pairs(self.bench, requests, faiss_ef or like, min(self.bench.runs, PAIRS_OF_FILTER))
        recall_floor, comparison, ratio_floor = floors
        verdict(2, f"{what}: recall@10 ({name})", found[0], comparison, recall_floor, f"{found[1]} answers too short")
        verdict(2, f"{what}: throughput to bar 1 ({name})", pairs.ratio / base.ratio, ">=", ratio_floor,
                f"{pairs.rate:,.0f}/s is {pairs.ratio:.2f} of FAISS in process unfiltered; without {base.rate:,.0f}/s "
                f"is {base.ratio:.2f}")

    def keyword(self, name):
        """With a keyword filter, at the beam that is set."""
        for filter_name, what, floors in (("percent", "filter keeps 1 %", (1.0, ">=", 0.7)),
                                          ("tenth", "filter keeps 10 %", (0.98, ">=", 0.4))):
            requests = self.bench.data.requests(filter_name, "vectors", filter=dataset.FILTERS[filter_name])
            found = dataset.recall(self.bench.server, requests, self.bench.truth(filter_name))
            self.bar_2(what, requests, name, found, floors)

    def quarantined(self):
        """5 % of the slots held back: at the default setting, and at the beam that then reaches 0.99."""
        self.bench.hold("held")
        print("\n5 % quarantined")
        for name in ("default", "recall 0.99"):
            ef = 0 if name == "default" else self.least(0.99, "held")
            self.recall(ef, "held")
            self.at(ef)
            self.bar_2("5 % quarantined" + (f", ef_search {ef}" if ef else ""), self.requests, name,
                       self.recalls[ef, "held"], (0.99, ">=", 0.9))


def run(bench):
    print("\n== vectors: bars 1 and 2")
    built = bench.faiss.built
    print(f"FAISS in process: {built['graph']}, built in {built['build_s']} s with {built['threads']} threads, kernel "
          f"{built['kernel']}")
    served = bench.served
    served.bar_1(0, TARGETS[0])
    served.keyword("default")
    for target in TARGETS:
        served.bar_1(served.least(target), target)
        if target == TARGETS[0]:
            served.keyword(f"recall {target}")
