"""PostgreSQL goes away and comes back, under load: searches go on and say so, writes wait, nothing is lost."""
import datetime
import time

import pytest
import requests

from harness.documents import article
from harness.load import Load
from harness.server import wait_until


@pytest.fixture
def away(new_server, private_cluster):
    private_cluster.start()
    server = new_server(of=private_cluster, connect_timeout_s=2)
    api = server.admin()
    api.source("default", "src")
    for n in range(6):
        api.put("default", f"d{n}", article(n), media_type="text/markdown")
    yield server, api, private_cluster
    private_cluster.start()
    server.stop()


@pytest.mark.slow
def test_searches_go_on_degraded_and_writes_get_503_and_work_again_after(away):
    server, api, postgres = away
    acknowledged = set()

    def search(n, mine):
        reply = mine.raw("POST", "/search", json={"query": "glacier valley rock", "k": 5}, timeout=10)
        assert reply.status_code == 200, reply.text
        body = reply.json()
        assert body["hits"][0]["document"] == "d0"
        return body["degraded"]

    def write(n, mine):
        key = f"w{n}"
        reply = mine.raw("POST", "/documents", timeout=40, json={
            "source": "src", "id": key, "text": f"Note number {n} was written while the database came and went again."})
        assert reply.status_code in (201, 503), reply.text
        if reply.status_code == 201:
            acknowledged.add(key)
        else:
            assert int(reply.headers["Retry-After"]) >= 1
            assert reply.headers["Content-Type"].startswith("application/problem+json")
        return reply.status_code

    searches, writes = Load(api, search, 2, 0.005), Load(api, write, 2, 0.01)
    wait_until("writes", lambda: len(acknowledged) > 5)
    for mode in ("immediate", "fast"):
        postgres.stop(mode)
        stopped = time.monotonic()
        wait_until("searches to say degraded", lambda: any(searches.since(stopped)[-3:]), 10)
        wait_until("writes to be refused", lambda: 503 in writes.since(stopped), 20)
        settled = time.monotonic()
        assert api.call("GET", "/readyz", 503).json()["postgresql"] is False
        assert api.get("/healthz").status_code == 200
        assert "assay_" in api.get("/metrics").text, "a scrape asks PostgreSQL for nothing"
        began = time.monotonic()
        api.problem("GET", "/documents", 503)
        api.problem("POST", "/sources", 503, json={"name": "late"})
        assert time.monotonic() - began < 15, "what cannot be done is refused soon"
        time.sleep(0.5)
        assert all(searches.since(settled)), "every search from memory says so"
        postgres.start()
        wait_until("the server to be ready again", lambda: api.raw("GET", "/readyz").status_code == 200, 20, 0.1)
        ready = time.monotonic()
        wait_until("writes to work again", lambda: 201 in writes.since(ready), 20)
        wait_until("searches not to be degraded", lambda: False in searches.since(ready), 20)
    writes.stop()
    searches.stop()
    assert not searches.broken and not writes.broken, "not one connection was dropped"
    listed = {d["id"] for d in api.pages("/documents", limit=500)}
    assert acknowledged <= listed, "an acknowledged write survives the crash of PostgreSQL"
    found = {h["document"] for h in api.search("default", "note written while the database came and went", k=1000,
                                               exact=True)["hits"]}
    assert acknowledged <= found


def test_freshness_and_blocks_hold_while_postgres_is_away(away):
    server, api, postgres = away
    api.source("default", "ticker", max_age="PT4S")
    modified = datetime.datetime.now(datetime.timezone.utc)
    api.put("default", "quote", "The price of tin at the exchange changes from one second to the next.", source="ticker",
            modified_at=modified.isoformat().replace("+00:00", "Z"))
    api.post("/quarantine", {"document": "d1"}, 201)
    assert "quote" in api.found("default", "price of tin")
    postgres.stop("immediate")
    time.sleep(max(0, 4.05 - (datetime.datetime.now(datetime.timezone.utc) - modified).total_seconds()))
    reply = api.search("default", "price of tin", k=100)
    assert "quote" not in {h["document"] for h in reply["hits"]}
    assert "d1" not in api.found("default", "violin maker")


def test_restart_without_postgres_stops_with_one_sentence(away):
    server, api, postgres = away
    assert server.stop() == 0
    postgres.stop("fast")
    server.start(wait=False)
    assert server.process.wait(60) != 0
    last = server.log().strip().splitlines()[-1]
    assert "PostgreSQL" in last or "database" in last, last


def test_sigterm_while_postgres_is_away_still_ends_cleanly(away):
    server, api, postgres = away
    postgres.stop("immediate")
    try:
        api.raw("POST", "/search", json={"query": "x"}, timeout=5)
    except requests.RequestException:
        pytest.fail("searches are answered")
    assert server.stop() == 0


def test_sessions_that_postgres_ends_are_made_anew(away):
    server, api, postgres = away
    for n in range(3):
        with postgres.connect() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user "
                           "AND pid <> pg_backend_pid() AND datname LIKE 'assay_test%'")
        wait_until("a write to work", lambda n=n: api.raw("POST", "/documents", json={
            "source": "src", "id": f"t{n}", "text": f"Written after its session was ended for the time number {n}."}
        ).status_code in (200, 201), 10)
