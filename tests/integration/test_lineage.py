"""Every hit can be walked back to its source, and forward to every receipt; OpenLineage events come in."""
import gzip
import json
import uuid

import pytest

from harness.documents import article


def graph(api, node, **params):
    reply = api.lineage(node, **params)
    nodes = {n["id"]: n for n in reply["graph"]}
    for n in nodes.values():
        for edge in n["inEdges"]:
            assert edge["destination"] == n["id"]
        for edge in n["outEdges"]:
            assert edge["origin"] == n["id"]
    return nodes


@pytest.fixture
def served(api, collection):
    """A document, a hit on it, and the receipt of that search."""
    api.put(collection, "doc", article(0), media_type="text/markdown", uri="https://example.org/doc")
    reply = api.search(collection, "glacier valley", k=3)
    return collection, reply


def test_hit_is_walked_back_to_source_version_pipeline_and_run(api, served):
    collection, reply = served
    hit = reply["hits"][0]
    nodes = graph(api, hit["provenance"]["node_id"], direction="up")
    prefix = f"dataset:assay:{collection}/"
    wanted = {prefix + f"chunk/{hit['chunk']}", prefix + f"version/{hit['version']}", prefix + "document/doc",
              prefix + "source/src", f"run:{hit['provenance']['run']}",
              f"job:assay:{collection}/pipeline/{hit['provenance']['pipeline']}"}
    assert wanted <= set(nodes), wanted - set(nodes)
    kinds = {i: n["type"] for i, n in nodes.items()}
    assert kinds[prefix + "source/src"] == "DATASET"
    assert kinds[f"job:assay:{collection}/pipeline/{hit['provenance']['pipeline']}"] == "JOB"
    assert "grinds the rock" not in json.dumps(list(nodes.values())), "the graph never carries text of documents"


def test_source_is_walked_forward_to_the_receipts_that_used_it(api, served):
    collection, reply = served
    api.get(f"/lineage/receipts/{reply['receipt']}")
    prefix = f"dataset:assay:{collection}/"
    nodes = graph(api, prefix + "source/src", direction="down")
    assert prefix + f"receipt/{reply['receipt']}" in nodes
    assert prefix + f"chunk/{reply['hits'][0]['chunk']}" in nodes


def test_depth_limits_the_walk(api, served):
    collection, reply = served
    node = reply["hits"][0]["provenance"]["node_id"]
    assert set(graph(api, node, depth=0)) == {node}
    near, far = graph(api, node, depth=1), graph(api, node, depth=20)
    assert node in near and set(near) < set(far)
    api.problem("GET", f"/lineage?nodeId={node}&depth=51", 400)
    api.problem("GET", f"/lineage?nodeId={node}&depth=-1", 400)


def test_marquez_path_answers_the_same_graph(api, served):
    _, reply = served
    api.get(f"/lineage/receipts/{reply['receipt']}")  # it is stored by then, and in both graphs
    node = reply["hits"][0]["provenance"]["node_id"]
    ours = api.lineage(node)
    theirs = api.get("/api/v1/lineage", params={"nodeId": node}).json()
    assert {n["id"] for n in theirs["graph"]} == {n["id"] for n in ours["graph"]}


def test_receipt_tells_everything_behind_one_answer(api, served):
    collection, reply = served
    receipt = api.get(f"/lineage/receipts/{reply['receipt']}").json()
    assert receipt["collection"] == collection and receipt["commit"] == reply["commit"]
    assert receipt["mode"] == "hybrid" and receipt["k"] == 3 and receipt["degraded"] is False
    assert [h["chunk"] for h in receipt["hits"]] == [h["chunk"] for h in reply["hits"]]
    for mine, shown in zip(receipt["hits"], reply["hits"]):
        assert mine["document"] == shown["document"] == "doc" and mine["span"] == shown["span"]
        assert mine["version"] == shown["version"] and mine["pipeline"] == shown["provenance"]["pipeline"]
        assert mine["run"] == shown["provenance"]["run"] and mine["source"] == "src" and mine["state_now"] == "active"
        assert mine["score"] == pytest.approx(shown["score"], abs=1e-6)
    assert "glacier valley" not in json.dumps(receipt), "the query's text is not kept"
    api.problem("GET", f"/lineage/receipts/{uuid.uuid4()}", 404, "unknown-receipt")


def test_receipt_knows_what_has_become_of_its_passages(api, served):
    collection, reply = served
    api.get(f"/lineage/receipts/{reply['receipt']}")
    api.remove(collection, "doc")
    hits = api.get(f"/lineage/receipts/{reply['receipt']}").json()["hits"]
    assert {h["state_now"] for h in hits} == {"retired"}


def test_unknown_or_faulty_nodes_are_refused(api, collection):
    api.problem("GET", "/lineage", 400, pointer="?nodeId")
    api.problem("GET", "/lineage?nodeId=nonsense", 400)
    api.problem("GET", f"/lineage?nodeId=dataset:assay:{collection}/document/none", 404, "unknown-node")
    api.problem("GET", f"/lineage?nodeId=run:{uuid.uuid4()}", 404, "unknown-node")
    api.problem("GET", f"/lineage?nodeId=dataset:assay:{collection}/source/src&direction=sideways", 400)


def run_event(**more):
    return {"eventType": "COMPLETE", "eventTime": "2026-01-01T10:00:00.123Z", "producer": "https://example.org/etl/1.0",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": {"runId": str(uuid.uuid4())}, "job": {"namespace": "etl", "name": f"job-{uuid.uuid4().hex[:8]}"}, **more}


def test_openlineage_run_event_joins_the_graph(api, collection):
    upstream = {"namespace": "postgres://db.example.org:5432", "name": f"cms.public.pages{uuid.uuid4().hex[:6]}"}
    mine = {"namespace": "assay", "name": f"{collection}/source/src"}
    event = run_event(inputs=[{**upstream, "facets": {"schema": {"_producer": "x", "_schemaURL": "y"}}}], outputs=[mine])
    assert api.post("/lineage", event, 200).json() == {}
    api.post("/lineage", event, 200)
    nodes = graph(api, f"dataset:assay:{collection}/source/src", direction="up")
    far = f"dataset:{upstream['namespace']}:{upstream['name']}"
    assert far in nodes and f"job:etl:{event['job']['name']}" in nodes
    back = graph(api, far, direction="down")
    assert f"dataset:assay:{collection}/source/src" in back


def test_marquez_clients_get_201_and_an_empty_body(api):
    reply = api.post("/api/v1/lineage", run_event(), 201)
    assert reply.content == b""


def test_job_and_dataset_events_and_old_events_without_schema_are_taken(api):
    event = run_event()
    del event["run"], event["eventType"]
    api.post("/lineage", {**event, "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"}, 200)
    api.post("/lineage", {"eventTime": "2026-01-01T10:00:00Z", "producer": "https://example.org/p",
                          "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/DatasetEvent",
                          "dataset": {"namespace": "file", "name": "/data/x"}}, 200)
    old = run_event()
    del old["schemaURL"]
    api.post("/lineage", old, 200)


def test_gzipped_event_is_inflated_and_a_bomb_is_not(api):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    api.call("POST", "/api/v1/lineage", 201, data=gzip.compress(json.dumps(run_event()).encode()), headers=headers)
    bomb = gzip.compress(b'{"x":"' + b"a" * (200 << 20) + b'"}')
    api.call("POST", "/api/v1/lineage", (400, 413), data=bomb, headers=headers)
    api.call("POST", "/api/v1/lineage", 400, data=b"no gzip at all", headers=headers)


@pytest.mark.parametrize("change", [
    {"eventTime": "yesterday"}, {"eventTime": None}, {"producer": None}, {"producer": 5}, {"run": {}},
    {"run": {"runId": "not-a-uuid"}}, {"job": {"name": "x"}}, {"job": None, "run": None}, {"inputs": [{"name": "x"}]},
    {"inputs": "x"}, {"eventType": "DONE"},
])
def test_faulty_event_is_refused(api, change):
    event = {k: v for k, v in {**run_event(), **change}.items() if v is not None}
    api.problem("POST", "/lineage", 400, json=event)


def test_openlineage_python_client_is_understood(api, server):
    client = pytest.importorskip("openlineage.client", reason="the OpenLineage client is not installed")
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport
    transport = HttpTransport(HttpConfig(url=server.url, auth=ApiKeyTokenProvider({"apiKey": api.key})))
    run, job = Run(runId=str(uuid.uuid4())), Job(namespace="py", name="client-test")
    client.OpenLineageClient(transport=transport).emit(RunEvent(
        eventType=RunState.COMPLETE, eventTime="2026-01-01T00:00:00Z", run=run, job=job, producer="https://example.org",
        inputs=[InputDataset(namespace="file", name="/in")], outputs=[OutputDataset(namespace="file", name="/out")]))
    assert "dataset:file:/out" in graph(api, "dataset:file:/in", direction="down")
