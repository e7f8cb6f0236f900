"""Generations of a collection's index: another embedder or other parameters, built beside what is served."""
import threading
import time

import pytest

from harness.documents import article
from harness.mock_embeddings import MockEmbeddings
from harness.server import wait_until
from harness.static_model import StaticModel

WORDS = ("glacier valley rock ice river snow violin maker spruce belly maple bow bread flour oven yeast salt water "
         "harbour ship sail anchor rope tide report notes").split()


@pytest.fixture(scope="module")
def endpoint():
    mock = MockEmbeddings(dim=64)
    yield mock
    mock.released.set()
    mock.close()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    StaticModel(folder / "small", WORDS)
    return folder


@pytest.fixture(scope="module")
def server(new_server, models):
    return new_server(models_dir=models, poll_interval_ms=50, checkpoint_interval_s=1)


@pytest.fixture
def name(request, endpoint):
    endpoint.mode, endpoint.texts, endpoint.calls = "ok", [], 0
    endpoint.released.clear()
    return f"g{abs(hash(request.node.name)) % 10**8}"


def openai(endpoint, **more):
    return {"kind": "openai", "base_url": endpoint.base_url, "model": "mock", "dim": endpoint.dim, "batch_size": 4,
            "timeout_ms": 1500, "retries": 0, **more}


def fill(api, name, n=12, **more):
    api.collection(name, **more)
    api.source(name, "src")
    report = api.bulk([{"collection": name, "source": "src", "id": f"d{i}", "text": article(i, 2, f"mark{i}"),
                        "media_type": "text/markdown"} for i in range(n)], "?wait=indexed")
    assert report["accepted"] == n, report
    return n


def path(name, number=None, move=None):
    return f"/collections/{name}/generations" + (f"/{number}" if number else "") + (f"/{move}" if move else "")


def begin(api, name, **body):
    reply = api.post(path(name), body, 202)
    generation = reply.json()
    assert reply.headers["Location"] == path(name, generation["number"])
    return generation["number"]


def generation(api, name, number):
    return api.get(path(name, number)).json()


def wait_state(api, name, number, state, seconds=20, served=None):
    def there():
        g = generation(api, name, number)
        return g["state"] == state and served in (None, g["served"])
    wait_until(f"generation {number} of {name} to be {state}", there, seconds)
    return generation(api, name, number)


def documents(api, name, **more):
    reply = api.search(name, "report notes", k=1000, exact=True, **more)
    return {h["document"] for h in reply["hits"]}, {h["provenance"]["generation"] for h in reply["hits"]}


# ---- what is declared ----

def test_policy_is_changed_in_place_and_guarded_by_its_etag(api, name):
    fill(api, name, 3)
    reply = api.get(f"/collections/{name}")
    etag = reply.headers["ETag"]
    assert etag == f'"{reply.json()["revision"]}"'
    policy = {"fusion": {"quality_weight": 0.5}, "weights": {"uniqueness": 2}}
    changed = api.patch(f"/collections/{name}", {"policy": policy}, headers={"If-Match": etag})
    assert changed.json()["policy"] == policy and changed.headers["ETag"] != etag
    assert api.search(name, "report", explain=True)["explain"]["quality_weight"] == 0.5
    api.problem("PATCH", f"/collections/{name}", 412, json={"description": "x"}, headers={"If-Match": etag})
    merged = api.patch(f"/collections/{name}", {"policy": {"fusion": None}, "description": "of tests"}).json()
    assert merged["policy"] == {"weights": {"uniqueness": 2}} and merged["description"] == "of tests"
    assert api.search(name, "report", explain=True)["explain"]["quality_weight"] == 0
    assert api.get(f"/collections/{name}").json()["policy"] == merged["policy"]


@pytest.mark.parametrize("body, status, pointer", [
    ({}, 400, None), ({"policy": {"fusion": {"k": 0}}}, 400, "/policy/fusion/k"), ({"policy": {"x": 1}}, 400, "/policy/x"),
    ({"policy": 3}, 400, "/policy"), ({"embedder": {"kind": "builtin"}}, 400, "/embedder"),
    ({"policy": {"weights": {"uniqueness": -1}}}, 400, "/policy/weights/uniqueness"), ({"description": None}, 400, "/description")])
def test_faulty_change_of_a_collection_is_refused_precisely(api, body, status, pointer):
    api.problem("PATCH", "/collections/default", status, pointer=pointer, json=body)
    api.problem("PATCH", "/collections/unheard", 404, "unknown-collection", json={"description": "x"})


def test_policies_changed_at_once_do_not_lose_each_other(api, name):
    api.collection(name)
    parts = ["lineage_coverage", "validation_pass_rate", "freshness_rate"]
    members = [{"weights": {p: 3 for p in parts}}, {"fusion": {"quality_weight": 0.25}},
               {"reranker": {"base_url": "http://localhost:9/v1"}}]
    threads = [threading.Thread(target=lambda m=m: api.with_key(api.key).patch(f"/collections/{name}", {"policy": m}))
               for m in members]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(api.get(f"/collections/{name}").json()["policy"]) == {"weights", "fusion", "reranker"}


def test_parameters_at_creation(api, name):
    params = {"m": 16, "ef_construction": 50, "ef_search": 64, "precision": "int8"}
    assert api.collection(name, index=params)["index"]["params"] == params
    assert generation(api, name, 1)["index"] == params


@pytest.mark.parametrize("index, pointer", [
    ({"m": 3}, "/index/m"), ({"m": 129}, "/index/m"), ({"ef_construction": 9}, "/index/ef_construction"),
    ({"ef_search": 0}, "/index/ef_search"), ({"precision": "float16"}, "/index/precision"), ({"x": 1}, "/index/x")])
def test_faulty_parameters_are_refused_precisely(api, index, pointer):
    api.problem("POST", "/collections", 400, pointer=pointer, json={"name": "never-made", "index": index})
    api.problem("POST", "/index/rebuild", 400, pointer=pointer, json={"index": index})
    api.problem("POST", path("default"), 400, pointer=pointer, json={"index": index})


# ---- going over ----

def test_row_18_index_is_rebuilt_with_new_parameters_while_searches_and_writes_go_on(api, name):
    """weaviate#3171; no search is empty, short, or of two generations."""
    n = fill(api, name, 60)
    stop, seen, wrong, wrote = threading.Event(), set(), [], []

    def search():
        mine = api.with_key(api.key)
        while not stop.is_set():
            found, generations = documents(mine, name)
            seen.update(generations)
            if len(generations) != 1 or not found >= {f"d{i}" for i in range(n)}:
                wrong.append((len(found), generations))

    def write():
        mine = api.with_key(api.key)
        while not stop.is_set():
            key = f"w{len(wrote)}"
            mine.put(name, key, article(len(wrote), 1, "report notes " + key), media_type="text/markdown")
            wrote.append(key)
            found, _ = documents(mine, name, filter={"document": key})
            if found != {key}:
                wrong.append((key, "was acknowledged and is not found"))

    threads = [threading.Thread(target=f) for f in (search, search, write)]
    for t in threads:
        t.start()
    reply = api.post("/index/rebuild", {"collection": name, "index": {"m": 16, "ef_construction": 50}}, 202)
    number = reply.json()["number"]
    assert reply.json()["embedder"]["kind"] == "builtin" and reply.headers["Location"] == path(name, number)
    wait_state(api, name, number, "active", served=True)
    time.sleep(0.3)
    stop.set()
    for t in threads:
        t.join()
    assert not wrong, wrong[:5]
    assert seen == {1, number}
    collection = api.get(f"/collections/{name}").json()
    assert collection["generation"] == number and collection["index"]["params"] == {"ef_construction": 50, "m": 16}
    assert documents(api, name) == ({f"d{i}" for i in range(n)} | set(wrote), {number})
    assert generation(api, name, 1)["state"] == "previous"


def test_row_15_builtin_to_static_with_trial_cutover_and_rollback(api, name):
    """hindsight#1884: dual index, shadow evaluation, cutover, rollback."""
    n = fill(api, name)
    number = begin(api, name, embedder={"kind": "static", "model": "small"}, cutover="manual")
    ready = wait_state(api, name, number, "ready")
    assert ready["progress"]["done"] == ready["progress"]["total"] > 0 and not ready["served"]
    everything = {f"d{i}" for i in range(n)}
    assert documents(api, name) == (everything, {1})
    assert documents(api, name, generation=number) == (everything, {number}), "tried before it is served"
    trial = api.search(name, "glacier ice", mode="vector", generation=number, explain=True)
    assert trial["explain"]["generation"] == number
    assert trial["hits"][0]["provenance"]["embedder"] == ready["embedder_id"]
    api.put(name, "late", article(3, 1, "late report notes"), media_type="text/markdown")
    everything.add("late")
    served = api.post(path(name, number, "cutover"), {}, 200).json()
    assert served["state"] == "active" and served["served"]
    assert documents(api, name) == (everything, {number})
    assert api.get(f"/collections/{name}").json()["embedder"]["kind"] == "static"
    api.put(name, "later", article(4, 1, "later report notes"), media_type="text/markdown")
    everything.add("later")
    assert documents(api, name) == (everything, {number})
    back = api.post(path(name, number, "rollback"), {}, 200).json()
    assert back["state"] == "previous" and not back["served"]
    assert documents(api, name) == (everything, {1}), "the one before was followed all along"
    assert api.get(f"/collections/{name}").json()["embedder"]["kind"] == "builtin"
    api.delete(path(name, number), 200)
    wait_until("the index to be closed", lambda: api.raw("POST", "/search", json={
        "collection": name, "query": "x", "generation": number}).status_code == 422)
    api.problem("POST", path(name, 1, "rollback"), 409, "nothing-to-roll-back-to", json={})
    assert [g["state"] for g in api.pages(path(name), limit=1)] == ["dropped", "active"]
    assert documents(api, name) == (everything, {1})


def test_only_stewards_search_what_is_not_served(api, name):
    fill(api, name, 2)
    reader = api.key_for(name, ["read"])
    reader.problem("POST", "/search", 403, "not-a-steward", json={"collection": name, "query": "x", "generation": 1})
    api.problem("POST", "/search", 422, "unknown-generation", "/generation",
                json={"collection": name, "query": "x", "generation": 7})
    api.problem("POST", "/search", 400, pointer="/generation", json={"collection": name, "query": "x", "generation": 0})
    assert api.key_for(name + "s", ["steward"]).search(name, "report", generation=1)["hits"]


def test_pause_resume_cancel(api, name, server):
    n = fill(api, name)
    number = begin(api, name, index={"m": 8}, cutover="manual")
    api.problem("POST", path(name), 409, "generation-under-way", json={})
    api.problem("POST", path(name, 1, "pause"), 409, "generation-state", json={})
    wait_state(api, name, number, "ready")
    assert api.post(path(name, number, "pause"), {}, 200).json()["state"] == "paused"
    api.put(name, "meanwhile", article(5, 1, "meanwhile report notes"), media_type="text/markdown")
    time.sleep(0.3)
    assert "meanwhile" not in documents(api, name, generation=number)[0], "it stands still"
    assert "meanwhile" in documents(api, name)[0]
    api.problem("POST", path(name, number, "cutover"), 409, "generation-state", json={})
    api.post(path(name, number, "resume"), {}, 200)
    wait_state(api, name, number, "ready")
    assert "meanwhile" in documents(api, name, generation=number)[0]
    files = server.data_dir.rglob(f"*-{number}")
    assert any(files)
    assert api.post(path(name, number, "cancel"), {}, 200).json()["state"] == "cancelled"
    for move in ("pause", "resume", "cancel", "cutover", "rollback"):
        api.problem("POST", path(name, number, move), 409, "generation-state", json={})
    api.problem("DELETE", path(name, number), 409, "generation-state")
    assert documents(api, name) == ({f"d{i}" for i in range(n)} | {"meanwhile"}, {1})
    again = begin(api, name)
    assert again == number + 1, "numbers are not used twice"
    wait_state(api, name, again, "active", served=True)
    assert documents(api, name) == ({f"d{i}" for i in range(n)} | {"meanwhile"}, {again})


@pytest.mark.parametrize("body, status, slug, pointer", [
    ({"embedder": {"kind": "client", "dim": 3}}, 422, "vectors-from-clients", "/embedder/kind"),
    ({"embedder": {"kind": "static", "model": "unheard"}}, 422, "unknown-model", "/embedder/model"),
    ({"embedder": {"kind": "crystal"}}, 400, None, "/embedder/kind"), ({"embedder": {}}, 400, None, "/embedder/kind"),
    ({"cutover": "soon"}, 400, None, "/cutover"), ({"x": 1}, 400, None, "/x")])
def test_faulty_generation_is_refused_precisely(api, body, status, slug, pointer):
    api.problem("POST", path("default"), status, slug, pointer, json=body)


def test_unknown_generation_and_collection(api):
    api.problem("GET", path("default", 99), 404, "unknown-generation")
    api.problem("POST", path("unheard"), 404, "unknown-collection", json={})
    for number in ("x", "0", "-1", "99999999999999999999"):
        api.problem("GET", path("default", number), 404, "unknown-generation")
        api.problem("POST", path("default", number, "pause"), 404, "unknown-generation", json={})
    api.problem("POST", "/index/rebuild", 422, "unknown-collection", json={"collection": "unheard"})
    api.problem("POST", path("default", 1, "pause"), 400, pointer="/x", json={"x": 1})


def test_kill_9_while_it_is_built_and_after_the_cutover(new_server, models, endpoint):
    server = new_server(models_dir=models, poll_interval_ms=50, checkpoint_interval_s=1)
    api = server.admin()
    n = fill(api, "k", 40)
    everything = {f"d{i}" for i in range(n)}
    number = begin(api, "k", embedder={"kind": "static", "model": "small"}, cutover="manual")
    server.kill()
    server.start()
    assert documents(api, "k") == (everything, {1})
    wait_state(api, "k", number, "ready")
    api.post(path("k", number, "pause"), {}, 200)
    server.kill()
    server.start()
    assert generation(api, "k", number)["state"] == "paused"
    api.post(path("k", number, "resume"), {}, 200)
    wait_state(api, "k", number, "ready")
    api.post(path("k", number, "cutover"), {}, 200)
    assert documents(api, "k") == (everything, {number})
    server.kill()
    server.start()
    assert documents(api, "k") == (everything, {number})
    api.put("k", "after", article(3, 1, "after report notes"), media_type="text/markdown")
    api.post(path("k", number, "rollback"), {}, 200)
    server.kill()
    server.start()
    assert documents(api, "k") == (everything | {"after"}, {1})


def test_files_of_a_generation_that_ended_while_the_server_was_down_are_removed(new_server, models):
    server = new_server(models_dir=models, poll_interval_ms=50, checkpoint_interval_s=1)
    api = server.admin()
    fill(api, "k", 4)
    number = begin(api, "k", cutover="manual")
    wait_state(api, "k", number, "ready")
    other = new_server(dsn=server.dsn, models_dir=models, poll_interval_ms=50)
    there = type(api)(other, api.key)
    server.stop()
    assert any(server.data_dir.rglob(f"*-{number}"))
    there.post(path("k", number, "cancel"), {}, 200)
    server.start()
    assert not any(server.data_dir.rglob(f"*-{number}"))
    assert documents(api, "k")[1] == {1}


def test_two_servers_switch_each_in_its_own_time_and_roll_back(new_server, models):
    server = new_server(models_dir=models, poll_interval_ms=50)
    other = new_server(dsn=server.dsn, models_dir=models, poll_interval_ms=50)
    api = server.admin()
    there = type(api)(other, api.key)
    n = fill(api, "pair", 30)
    everything = {f"d{i}" for i in range(n)}
    wait_until("the other server to follow", lambda: other_follows(there, "pair", everything))
    number = begin(api, "pair", embedder={"kind": "static", "model": "small"})
    for one in (api, there):
        wait_state(one, "pair", number, "active", served=True)
        assert documents(one, "pair") == (everything, {number})
    there.put("pair", "more", article(3, 1, "more report notes"), media_type="text/markdown")
    everything.add("more")
    there.post(path("pair", number, "rollback"), {}, 200)
    for one in (api, there):
        wait_state(one, "pair", 1, "active", served=True)
        wait_until("both to see all", lambda one=one: documents(one, "pair") == (everything, {1}))
    there.patch("/collections/pair", {"policy": {"fusion": {"quality_weight": 0.75}}})
    wait_until("the policy to be known everywhere",
               lambda: api.search("pair", "x", explain=True)["explain"]["quality_weight"] == 0.75)


def other_follows(there, name, everything):
    if there.raw("GET", f"/collections/{name}").json().get("index") is None:
        return False
    return there.raw("POST", "/search", json={"collection": name, "query": "x"}).status_code == 200 and \
        documents(there, name)[0] == everything


# ---- vectors from an endpoint ----

def kinds(api, name):
    """Which embedders made the vectors of what a search by vectors finds."""
    hits = api.search(name, "report notes glacier", k=1000, exact=True, mode="vector")["hits"]
    return {h["document"] for h in hits}, {h["provenance"]["embedder"] for h in hits}


def test_row_15_builtin_to_endpoint_fetches_each_text_once_and_goes_on_by_it(api, name, endpoint):
    n = fill(api, name)
    api.put(name, "copy", article(0, 2, "mark0"), media_type="text/markdown")  # texts that are there already
    everything = {f"d{i}" for i in range(n)}
    number = begin(api, name, embedder=openai(endpoint, document_prefix="passage: "))
    active = wait_state(api, name, number, "active", served=True)
    assert active["error"] is None
    found, embedders = kinds(api, name)
    assert found >= everything and embedders == {active["embedder_id"]}
    passages = [t for t in endpoint.texts if t.startswith("passage: ")]
    assert len(passages) == len(set(passages)) >= n, "each different text once"
    endpoint.texts.clear()
    api.put(name, "new", article(4, 1, "brand new report notes"), media_type="text/markdown")
    assert any("brand new" in t for t in endpoint.texts), "intake goes by the new embedder"
    assert "new" in kinds(api, name)[0]
    endpoint.texts.clear()
    api.put(name, "d1", article(1, 2, "mark1") + "\n\nOne more section of it.", media_type="text/markdown")
    assert len([t for t in endpoint.texts if t.startswith("passage: ")]) <= 2, "vectors that were fetched are found again"
    back = api.post(path(name, number, "rollback"), {}, 200).json()
    assert not back["served"] and documents(api, name)[0] >= everything | {"new"}
    again = api.post(path(name, 1, "rollback"), {}, 200).json()
    assert again["state"] == "previous" and kinds(api, name)[1] == {active["embedder_id"]}


def test_endpoint_to_endpoint_of_another_dimension_while_searching_and_writing(api, name, endpoint):
    n = fill(api, name, 40, embedder=openai(endpoint))
    everything = {f"d{i}" for i in range(n)}
    wide = MockEmbeddings(dim=96)
    stop, wrong, wrote, seen = threading.Event(), [], [], set()

    def search():
        mine = api.with_key(api.key)
        while not stop.is_set():
            found, embedders = kinds(mine, name)
            seen.update(embedders)
            if len(embedders) != 1 or not found >= everything:
                wrong.append((len(found), embedders))

    def write():
        mine = api.with_key(api.key)
        while not stop.is_set():
            key = f"w{len(wrote)}"
            mine.put(name, key, article(len(wrote), 1, "report notes " + key), media_type="text/markdown")
            if documents(mine, name, filter={"document": key})[0] != {key}:
                wrong.append((key, "was acknowledged and is not found"))
            wrote.append(key)

    threads = [threading.Thread(target=f) for f in (search, search, write)]
    for t in threads:
        t.start()
    try:
        number = begin(api, name, embedder=openai(wide))
        active = wait_state(api, name, number, "active", served=True)
        time.sleep(0.3)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not wrong, wrong[:5]
    assert active["embedder_id"] in seen and len(seen) == 2
    assert kinds(api, name) == (everything | set(wrote), {active["embedder_id"]})
    assert api.get(f"/collections/{name}").json()["embedder"]["dim"] == 96
    api.post(path(name, number, "rollback"), {}, 200)
    assert kinds(api, name)[0] == everything | set(wrote), "what was written since has vectors of the former embedder too"
    wide.close()


def test_fetching_is_paused_and_resumed_and_survives_kill_9(new_server, models, endpoint):
    endpoint.mode, endpoint.texts = "ok", []
    endpoint.released.clear()
    server = new_server(models_dir=models, poll_interval_ms=50, checkpoint_interval_s=1)
    api = server.admin()
    n = fill(api, "f", 30)
    everything = {f"d{i}" for i in range(n)}
    endpoint.mode = "hang"
    number = begin(api, "f", embedder=openai(endpoint, timeout_ms=60000))
    wait_until("the endpoint to be asked", lambda: endpoint.texts)
    server.kill()
    endpoint.mode = "ok"
    endpoint.released.set()
    endpoint.texts.clear()
    server.start()
    assert documents(api, "f") == (everything, {1})
    api.post(path("f", number, "pause"), {}, 200)
    time.sleep(0.5)
    asked = len(endpoint.texts)
    time.sleep(0.5)
    assert len(endpoint.texts) <= asked + 4 and generation(api, "f", number)["state"] == "paused"
    api.post(path("f", number, "resume"), {}, 200)
    wait_state(api, "f", number, "active", 40, served=True)
    assert len(endpoint.texts) == len(set(endpoint.texts)), "what was fetched before is not fetched again"
    assert kinds(api, "f")[0] == everything
    server.kill()
    server.start()
    assert len(kinds(api, "f")[1]) == 1 and kinds(api, "f")[0] == everything
    assert documents(api, "f") == (everything, {number})


def test_endpoint_that_is_away_delays_and_one_that_refuses_halts(api, name, endpoint):
    n = fill(api, name, 8)
    everything = {f"d{i}" for i in range(n)}
    endpoint.mode = "error"
    number = begin(api, name, embedder=openai(endpoint))
    wait_until("the trouble to be told", lambda: generation(api, name, number)["error"])
    assert generation(api, name, number)["state"] == "building"
    assert documents(api, name) == (everything, {1})
    api.put(name, "poisoned", "poison among report notes", media_type="text/markdown")
    endpoint.mode = "poison"
    halted = wait_state(api, name, number, "paused", 40)
    assert halted["error"]
    assert documents(api, name) == (everything | {"poisoned"}, {1})
    api.remove(name, "poisoned")
    api.post(path(name, number, "resume"), {}, 200)
    active = wait_state(api, name, number, "active", 40, served=True)
    assert active["error"] is None, "a chunk that is gone needs no vector"
    assert kinds(api, name)[0] == everything


def test_vectors_of_a_cancelled_move_are_removed(new_server, models, endpoint):
    import psycopg2
    endpoint.mode = "ok"
    server = new_server(models_dir=models, poll_interval_ms=50)
    api = server.admin()
    fill(api, "v", 6)
    number = begin(api, "v", embedder=openai(endpoint), cutover="manual")
    wait_state(api, "v", number, "ready")

    def rows():
        connection = psycopg2.connect(server.dsn)
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT count(*) FROM vectors")
            return cursor.fetchone()[0]
        finally:
            connection.close()
    assert rows() >= 6
    api.post(path("v", number, "cancel"), {}, 200)
    wait_until("the vectors to be gone", lambda: rows() == 0)


# ---- what the built-in embedder learned ----

def test_what_was_learned_is_reverted_over_http_and_stays_so_over_a_restart(new_server, models):
    server = new_server(models_dir=models, poll_interval_ms=50, checkpoint_interval_s=1)
    api = server.admin()
    api.collection("learner")
    api.source("learner", "src")
    api.problem("POST", "/collections/learner/embedder/revert", 409, "nothing-to-revert", json={})
    api.bulk([{"collection": "learner", "source": "src", "id": f"d{i}", "text": f"word{i % 37} and word{i % 11} of {i} " * 3}
              for i in range(600)], "?wait=indexed")

    def index():
        return api.get("/collections/learner").json()["index"]
    wait_until("it to have learned", lambda: index()["learned"] is not None and not index()["learning"], 40)
    learned = index()["learned"]
    reply = api.post("/collections/learner/embedder/revert", {}, 202).json()
    assert reply == {"collection": "learner", "reverted": learned}
    wait_until("it to be gone back", lambda: index()["learned"] is None and not index()["learning"], 40)
    server.stop()
    server.start()
    assert index()["learned"] is None
    assert api.post("/collections/learner/embedder/revert", {}, 202).json()["reverted"] is None
    wait_until("that to be undone", lambda: index()["learned"] == learned, 40)
    server.stop()
    server.start()
    assert index()["learned"] == learned
