"""What the service says of itself: the quality report and the Prometheus metrics."""
import re
import shutil
import subprocess

import pytest

from harness.documents import article
from harness.server import wait_until


def test_quality_report_adds_up(api, collection):
    api.source(collection, "old", max_age="P1D", owner="o@example.org")
    for n in range(4):
        api.put(collection, f"d{n}", article(n), media_type="text/markdown", uri=f"https://example.org/{n}",
                modified_at="2026-01-01T00:00:00Z", source="old" if n == 3 else "src")
    hold = api.post("/quarantine", {"collection": collection, "document": "d0"}, 201).json()["held"]
    report = api.get(f"/quality?collection={collection}").json()
    chunks = report["chunks"]
    sources = {s["source"]: s for s in report["sources"]}
    assert set(sources) == {"src", "old"}
    assert sources["old"]["usable_ratio"] == {"chunks": 0, "bytes": 0}
    assert sources["old"]["tier"] == "low"
    assert sources["src"]["chunks"]["quarantined"] == hold
    total = chunks["active"] + chunks["quarantined"] + chunks["pending"]
    usable = sources["src"]["chunks"]["active"]
    assert report["usable_ratio"]["chunks"] == pytest.approx(usable / total) and usable > 0
    parts = {p["name"]: p for p in report["parts"]}
    assert set(parts) == {"lineage_coverage", "validation_pass_rate", "freshness_rate", "bias_safety", "uniqueness"}
    assert parts["bias_safety"]["measured"] is False and parts["bias_safety"]["value"] is None
    assert parts["freshness_rate"]["value"] < 1
    for part in report["parts"]:
        if part["measured"]:
            assert part["value"] == pytest.approx(part["evidence"]["passed"] / part["evidence"]["of"])
    measured = [p for p in report["parts"] if p["measured"]]
    mean = sum(p["value"] * p["weight"] for p in measured) / sum(p["weight"] for p in measured)
    assert report["quality_index"] == pytest.approx(mean)
    assert {s["source"]: s["documents"] for s in report["sources"]} == {"src": 3, "old": 1}
    api.problem("GET", "/quality?collection=nowhere", 404, "unknown-collection")


def test_empty_collection_is_unmeasured_not_bad(api, collection):
    report = api.get(f"/quality?collection={collection}").json()
    assert report["tier"] == "unmeasured" and report["usable_ratio"] == {"chunks": None, "bytes": None}
    assert report["quality_index"] is None


def test_weights_of_the_policy_decide_the_index(api):
    api.collection("weighted", policy={"weights": {"lineage_coverage": 0, "validation_pass_rate": 0, "freshness_rate": 1,
                                                   "bias_safety": 0, "uniqueness": 0}})
    api.source("weighted", "src", max_age="P1D")
    api.put("weighted", "a", article(0), media_type="text/markdown", modified_at="2020-01-01T00:00:00Z")
    assert api.get("/quality?collection=weighted").json()["quality_index"] == 0


# ---- metrics ----

def samples(text):
    out = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            out[name] = float(value)
    return out


def metric(api, prefix):
    return {k: v for k, v in samples(api.get("/metrics").text).items() if k.startswith(prefix)}


def test_metrics_pass_promtool(api, collection):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed")
    api.put(collection, "a", article(0), media_type="text/markdown")
    api.search(collection, "glacier")
    text = api.get("/metrics").text
    done = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_metrics_cover_what_a_dashboard_needs(api, collection):
    api.put(collection, "a", article(0), media_type="text/markdown")
    api.post("/quarantine", {"collection": collection, "document": "a", "reason": "unsafe"}, 201)
    api.search(collection, "glacier")
    text = wait_until("the gauges to be refreshed", lambda: (
        lambda t: t if re.search(r'assay_quarantine\w*\{[^}]*reason="unsafe"', t) and f'"{collection}"' in t else None)(
        api.get("/metrics").text), 20, 0.2)
    for pattern in (r"^assay_build_info\{", r"^assay_http_requests_total\{", r"^assay_http_request_duration_seconds_bucket",
                    r"^assay_search_duration_seconds_bucket\{", r'^assay_chunks\{[^}]*state="active"', r"usable_ratio",
                    r"quality_index", r"^assay_index_\w*bytes", r"lag", r"pool", r"^process_resident_memory_bytes ",
                    r"^process_cpu_seconds_total ", r"^process_open_fds ", r"^process_start_time_seconds ",
                    r"fresh\w*_seconds"):
        assert re.search(pattern, text, re.M), f"nothing matches {pattern}"


def test_metrics_count_requests_and_searches(api, collection):
    before = metric(api, "assay_")
    for _ in range(5):
        api.search(collection, "x")
    after = metric(api, "assay_")
    grew = {k for k in after if after[k] - before.get(k, 0) >= 5}
    assert any(k.startswith("assay_http_requests_total") and 'search"' in k for k in grew), sorted(grew)
    assert any(k.startswith("assay_search_duration_seconds_count") for k in grew), sorted(grew)


def test_labels_are_bounded(api, collection):
    api.put(collection, "a-very-special-document-id", article(1), media_type="text/markdown")
    api.search(collection, "a-very-special-query")
    api.call("GET", "/documents/another-special-id", 404)
    api.raw("GET", "/no-such-path-at-all")
    text = api.get("/metrics").text
    for word in ("very-special", "another-special", "no-such-path"):
        assert word not in text


def test_openmetrics_is_given_when_asked_for(api):
    reply = api.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert reply.text.endswith("# EOF\n")
    plain = api.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4") and "# EOF" not in plain.text


def test_probes_are_open_and_say_what_is_so(api, server):
    nobody = api.with_key(None)
    assert nobody.get("/healthz").json()["status"] == "ok"
    ready = nobody.get("/readyz").json()
    assert ready["status"] == "ready" and ready["postgresql"] is True and ready["index"] is True
    assert nobody.get("/metrics").text and nobody.get("/openapi.json").json()["openapi"] == "3.1.0"
    for path in ("/healthz", "/metrics"):
        head = nobody.raw("HEAD", path)
        assert head.status_code == 200 and head.content == b""
