"""Bar 3: a source of 10,000 chunks is quarantined while eight connections search."""
import json
import os
import subprocess
import time

from common import verdict

BEFORE_S, AFTER_S, LONGEST_S = 1.0, 2.0, 300


def run(bench):
    print("\n== quarantine: bar 3")
    server = bench.server
    command = [server.load, "127.0.0.1", str(server.port), "/search", "8", str(LONGEST_S), bench.served.requests,
               '"source":"mass"']
    env = dict(os.environ, ASSAY_KEY=server.key())
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as load:
        time.sleep(BEFORE_S)
        asked = time.monotonic_ns()
        _, reply = server.post("/quarantine", {"collection": "vectors", "source": "mass", "reason": "manual"})
        acknowledged = time.monotonic_ns()
        time.sleep(AFTER_S)
        load.terminate()
        result = json.loads(load.stdout.read())
    bench.hidden.add("mass")
    if result["seen"] == 0:
        raise SystemExit("no search returned the source before it was quarantined: nothing is shown by this")
    verdict(3, f"quarantine of {reply['held']:,} chunks acknowledged, s", (acknowledged - asked) / 1e9, "<", 1,
            f"by source, {result['per_second']:,.0f} searches/s on 8 connections all along, p99 "
            f"{result['client_p99_ms']:.1f} ms")
    verdict(3, "last search to return one began after the acknowledgement, ms",
            (result["seen_sent_ns"] - acknowledged) / 1e6, "<=", 0,
            f"{result['seen']} of {result['requests']} answers had one; searches went on for {AFTER_S} s")
