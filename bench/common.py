#!/usr/bin/env python3
"""What the parts of `make bench` share: verdicts, the machine, servers of their own, the load generator.

    common.py machine           what this runs on
    common.py table             every bar with its verdict, from the file that BENCH_VERDICTS names
    common.py skip BAR WHAT WHY a bar that cannot be measured
    common.py serve --assayd FILE --load FILE --port N --work DIR --name NAME -- COMMAND...
                                COMMAND with ASSAY_URL and ASSAY_KEY of a new server
"""
import argparse
import array
import http.client
import json
import operator
import os
import platform
import subprocess
import sys
import textwrap
import time
import urllib.parse

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "docker"))
import demo  # noqa: E402  (the small client is the demo's)

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
K = 10
REST_S, IDLE_S = 1800, 4
HOLDS = {">": operator.gt, ">=": operator.ge, "<=": operator.le, "<": operator.lt, "=": operator.eq}


# ---- verdicts ----

def number(x):
    if x is None:
        return "-"
    return f"{x:.4f}" if 0 < abs(x) < 10 else f"{x:,.1f}" if abs(x) < 1000 and x != int(x) else f"{x:,.0f}"


def record(row):
    print(f"  {row['verdict']}  bar {row['bar']}, {row['what']}: {number(row['value'])} "
          f"({row['op']} {number(row['limit'])}); {row['of']}", flush=True)
    if os.environ.get("BENCH_VERDICTS"):
        with open(os.environ["BENCH_VERDICTS"], "a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")


def verdict(bar, what, value, op, limit, of):
    """One line of the report: is `value` what the bar asks for (">=", "<=", "<" or "=" `limit`)? `of`: what it is made
    of."""
    holds = value is not None and HOLDS[op](value, limit)
    record({"bar": str(bar), "what": what, "value": value, "op": op, "limit": limit, "of": of,
            "verdict": "PASS" if holds else "MISS"})
    return holds


def skip(bar, what, why):
    """A bar that cannot be measured here."""
    print(f"  SKIP  bar {bar}, {what}: {why}", flush=True)
    if os.environ.get("BENCH_VERDICTS"):
        with open(os.environ["BENCH_VERDICTS"], "a", encoding="utf-8") as f:
            f.write(json.dumps({"bar": str(bar), "what": what, "value": None, "op": "", "limit": None, "of": why,
                                "verdict": "SKIP"}) + "\n")


def table():
    try:
        with open(os.environ["BENCH_VERDICTS"], encoding="utf-8") as f:
            rows = sorted((json.loads(line) for line in f), key=lambda r: r["bar"])
    except OSError:
        rows = []
    print(f"\nevery bar\n  {'':4} {'bar':>3}  {'what':62} {'measured':>10} {'bar':>11}  made of")
    for r in rows:
        limit = f"{r['op']} {number(r['limit'])}" if r["op"] else "-"
        of = textwrap.wrap(r["of"], 90) or [""]
        print(f"  {r['verdict']:4} {r['bar']:>3}  {r['what']:62} {number(r['value']):>10} {limit:>11}  {of[0]}")
        for more in of[1:]:
            print(f"{'':97}{more}")
    counts = {v: sum(r["verdict"] == v for r in rows) for v in ("PASS", "MISS", "SKIP")}
    print("  " + ", ".join(f"{n} {name}" for name, n in counts.items()))


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        cpu = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    given = " ".join(f"{k}={v}" for k, v in sorted(os.environ.items())
                     if k.startswith("BENCH_") and k not in ("BENCH_VERDICTS", "BENCH_ID"))
    print(f"machine: {os.cpu_count()} cores, {cpu}, {memory:.0f} GiB, {platform.platform()}")
    print(f"command: {given + ' ' if given else ''}make bench   (load generator, server and PostgreSQL share these "
          f"cores; load average at the start {load:.1f})")


def cpu_text(runs):
    """CPU time of a request, from what drive() gave."""
    server, load, other = (median([r[name + "_cpu_us"] for r in runs]) for name in ("server", "load", "other"))
    return f"CPU of a request: server {server:.0f} us, load generator {load:.0f} us, all else {max(0, other):.0f} us"


def median(values):
    values = sorted(values)
    return values[len(values) // 2] if len(values) % 2 else sum(values[len(values) // 2 - 1:len(values) // 2 + 1]) / 2


# ---- servers ----

def cpu_of(pid):
    """User and system time of a process so far, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def cpu_of_all():
    """Of everything that runs on the machine."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _, _, irq, softirq = map(int, f.readline().split()[1:8])
    return (user + nice + system + irq + softirq) * TICK_S


def drive(load, port, key, file, connections, seconds, path="/search", pid=None):
    """What bench/load prints, and with the server's pid the CPU time for each request in microseconds: the server's,
    and that of everything else but the two (on a quiet machine PostgreSQL, which stores receipts)."""
    before = cpu_of(pid) if pid else 0
    all_before = cpu_of_all()
    out = subprocess.run([load, "127.0.0.1", str(port), path, str(connections), str(seconds), file], check=True,
                         stdout=subprocess.PIPE, text=True, env=dict(os.environ, ASSAY_KEY=key))
    result = json.loads(out.stdout)
    if pid:
        requests = max(1, result["requests"])
        result["server_cpu_us"] = (cpu_of(pid) - before) * 1e6 / requests
        known = result["server_cpu_us"] + result["load_cpu_us"]
        result["other_cpu_us"] = (cpu_of_all() - all_before) * 1e6 / requests - known
    return result


def database(name):
    """A new database in the cluster of ASSAY_DATABASE_URL, dropped by run.sh; where none may be made, that one itself.
    """
    url = os.environ["ASSAY_DATABASE_URL"]
    name = f"bench_{name}_{os.environ.get('BENCH_ID', os.getpid())}"
    parts = urllib.parse.urlsplit(url)
    done = subprocess.run(["psql", "-X", "-q", url, "-c", f'CREATE DATABASE "{name}"'], capture_output=True,
                          check=False)
    if done.returncode != 0 or not parts.scheme.startswith("postgres"):
        print(f"  ({name}: no database of its own, {done.stderr.decode().strip()[:200]})")
        return url
    # Not urlunsplit, which drops the empty host of a socket's URL.
    return f"{parts.scheme}://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")


class Server:
    """assayd with a database and a data directory of its own; settings without the prefix, as ef_search=64."""

    def __init__(self, assayd, load, port, work, name, **settings):
        self.assayd, self.load, self.port, self.work = assayd, load, port, work
        self.data = os.path.join(work, name)
        self.log = os.path.join(work, name + ".log")
        self.url = database(name)
        self.process = self.api = None
        self.settings = {}
        self.start(**settings)

    def start(self, wait=True, **settings):
        """`settings` on top of those of before."""
        self.settings.update(settings)
        env = dict(os.environ, ASSAY_DATABASE_URL=self.url, ASSAY_DATA_DIR=self.data,
                   ASSAY_LISTEN=f"127.0.0.1:{self.port}")
        env.pop("ASSAY_KEY", None)
        env.pop("ASSAY_URL", None)
        env.update({"ASSAY_" + k.upper(): str(v) for k, v in self.settings.items()})
        with open(self.log, "ab") as log:
            self.started = time.monotonic()
            self.process = subprocess.Popen([self.assayd], env=env, stdin=subprocess.DEVNULL, stderr=log)
        while wait and not self.answers():
            time.sleep(0.005)

    def answers(self):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                raise SystemExit("assayd ended:\n" + f.read()[-2000:])
        try:
            self.api = demo.Assay(f"http://127.0.0.1:{self.port}", self.key())
            self.api.conn.request("GET", "/readyz")
            reply = self.api.conn.getresponse()
            reply.read()
            return reply.status == 200
        except (OSError, http.client.HTTPException):
            return False

    def key(self):
        with open(os.path.join(self.data, "admin.key"), encoding="ascii") as f:
            return f.read().strip()

    def stop(self, kill=False):
        if self.process:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait()
            self.process = None

    def restart(self, kill=False, **settings):
        self.stop(kill)
        self.start(**settings)

    def post(self, path, body, ok=(200, 201)):
        return self.api.call("POST", path, body, ok=ok)

    def search(self, body):
        """`body` is JSON text already."""
        headers = {**self.api.headers, "Content-Type": "application/json"}
        self.api.conn.request("POST", "/search", body=body, headers=headers)
        reply = self.api.conn.getresponse()
        data = reply.read()
        if reply.status != 200:
            raise SystemExit(f"POST /search answered {reply.status}: {data[:500]!r}")
        return json.loads(data)

    # ---- what it uses ----
    def cpu_s(self):
        return cpu_of(self.process.pid)

    def memory(self):
        """Resident MiB: "anon" (its own) and "file" (mapped files, binary and libraries included), and "peak"."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            kib = {k: int(v.split()[0]) for k, v in (line.split(":", 1) for line in f) if v.strip().endswith("kB")}
        return {"anon": (kib["RssAnon"] + kib["RssShmem"]) / 1024, "file": kib["RssFile"] / 1024,
                "all": kib["VmRSS"] / 1024, "peak": kib["VmHWM"] / 1024}

    def gauge(self, name, **labels):
        self.api.conn.request("GET", "/metrics", headers=self.api.headers)
        text = self.api.conn.getresponse().read().decode()
        for line in text.splitlines():
            if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                return float(line.split()[-1])
        return None

    def rest(self, collection):
        """Waits until the index has nothing left to build and the process is idle; the seconds that took."""
        started, idle = time.monotonic(), 0
        seen = None
        while idle < IDLE_S and time.monotonic() - started < REST_S:
            before, was = self.cpu_s(), seen
            time.sleep(1)
            seen = [self.gauge(f"assay_index_{n}", collection=collection)
                    for n in ("segments", "builds_total", "merges_total", "head_rows")]
            idle = idle + 1 if seen == was and self.cpu_s() - before < 0.03 else 0
        return time.monotonic() - started - idle

    def drive(self, file, connections, seconds, path="/search"):
        return drive(self.load, self.port, self.key(), file, connections, seconds, path, self.process.pid)


# ---- exact answers ----

def read_truth(path):
    """For each query the rows of its exact answer."""
    rows = array.array("i")
    with open(path, "rb") as f:
        rows.frombytes(f.read())
    return [[row for row in rows[i:i + K] if row >= 0] for i in range(0, len(rows), K)]


def recall_of(found, truth):
    """(recall at K, answers shorter or longer than the exact ones); found: for each query the rows, text or number."""
    right = wanted = short = 0
    for got, want in zip(found, truth):
        right += len({str(row) for row in want} & {str(row) for row in got})
        wanted += len(want)
        short += len(got) != len(want)
    return (right / wanted if wanted else 1.0), short


# ---- as a command ----

def serve(*arguments):
    at = arguments.index("--")
    parser = argparse.ArgumentParser()
    for name in ("assayd", "load", "work", "name", "port"):
        parser.add_argument("--" + name, required=True)
    args, _ = parser.parse_known_args(arguments[:at])
    server = Server(args.assayd, args.load, int(args.port), args.work, args.name)
    try:
        env = dict(os.environ, ASSAY_URL=f"http://127.0.0.1:{args.port}", ASSAY_KEY=server.key(),
                   BENCH_SERVER_PID=str(server.process.pid))
        return subprocess.run(list(arguments[at + 1:]), env=env, check=False).returncode
    finally:
        server.stop()


if __name__ == "__main__":
    commands = {"machine": machine, "table": table, "skip": skip, "serve": serve}
    sys.exit(commands[sys.argv[1]](*sys.argv[2:]))
