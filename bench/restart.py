"""Bar 6: from exec to the first right answer."""
import http.client
import time

from common import demo, verdict

TIMES, PATIENCE_S = 3, 120


def first_answer(server, body, expected, kill):
    """Seconds from exec until a search answers `expected`."""
    server.stop(kill)
    server.start(wait=False)
    while time.monotonic() - server.started < PATIENCE_S:
        try:
            server.api = demo.Assay(f"http://127.0.0.1:{server.port}", server.key())
            if [hit["document"] for hit in server.search(body)["hits"]] == expected:
                return time.monotonic() - server.started
        except (OSError, http.client.HTTPException, SystemExit):
            if server.process.poll() is not None:
                raise SystemExit("assayd did not start; see " + server.log) from None
        time.sleep(0.002)
    raise SystemExit("no right answer after a restart")


def measure(server, requests, rows, limit):
    with open(requests, encoding="ascii") as f:
        body = f.readline()
    expected = [hit["document"] for hit in server.search(body)["hits"]]
    for kill, how in ((False, "SIGTERM"), (True, "kill -9")):
        took = [first_answer(server, body, expected, kill) for _ in range(TIMES)]
        verdict(6, f"first right answer, {rows:,} chunks, after {how}, s from exec", max(took), "<=", limit,
                "slowest of " + ", ".join(f"{t:.2f}" for t in took) + "; files in the page cache")
        while not server.answers():
            time.sleep(0.01)


def run(bench):
    print("\n== restart: bar 6")
    measure(bench.server, bench.served.requests, bench.data.rows, 1.5)
