"""Keys: what each may do, that they are shown once, and that they end."""
import stat
import time
import uuid

import psycopg2
import pytest

from harness.server import wait_until

ZERO = "0" * 64
NOBODY = "00000000-0000-4000-8000-000000000000"

# One request of each operation, chosen so that being let in shows as anything but 401 and 403.
REQUESTS = {
    "read": [("GET", "/search?q=x"), ("POST", "/search"), ("POST", "/search/batch"), ("GET", "/documents"),
             ("GET", "/documents/x"), ("GET", "/documents/x/versions"), ("GET", f"/documents/x/versions/{ZERO}"), ("GET", f"/chunks/{ZERO}"),
             ("GET", f"/jobs/{NOBODY}"), ("GET", f"/jobs/{NOBODY}/events"), ("GET", "/collections"),
             ("GET", "/collections/default"), ("GET", "/pipelines"), ("GET", f"/pipelines/{ZERO}"), ("GET", "/sources"),
             ("GET", "/sources/x"), ("GET", "/lineage?nodeId=run:" + NOBODY), ("GET", "/api/v1/lineage?nodeId=run:" + NOBODY),
             ("GET", f"/lineage/receipts/{NOBODY}"), ("GET", "/quality"), ("GET", "/collections/x/generations"),
             ("GET", "/collections/x/generations/1")],
    "write": [("POST", "/documents"), ("DELETE", "/documents/x"), ("POST", "/sources"), ("PATCH", "/sources/x"),
              ("POST", "/lineage"), ("POST", "/api/v1/lineage")],
    "steward": [("POST", "/sources/x/block"), ("POST", "/sources/x/unblock"), ("GET", "/quarantine"), ("POST", "/quarantine"),
                ("GET", f"/quarantine/{NOBODY}"), ("POST", f"/quarantine/{NOBODY}/release"),
                ("POST", f"/quarantine/{NOBODY}/retire"), ("POST", "/quarantine/sweep")],
    "admin": [("GET", "/keys"), ("POST", "/keys"), ("DELETE", f"/keys/{NOBODY}"), ("POST", "/collections"),
              ("PATCH", "/collections/x"), ("POST", "/collections/x/embedder/revert"), ("POST", "/collections/x/generations"),
              ("DELETE", "/collections/x/generations/1"), ("POST", "/index/rebuild"),
              *(("POST", f"/collections/x/generations/1/{move}") for move in ("pause", "resume", "cancel", "cutover", "rollback"))],
}
IMPLIED = {"read": {"read"}, "write": {"write"}, "steward": {"steward", "read"},
           "admin": {"admin", "read", "write", "steward"}, "delegate": set()}


def test_table_of_this_test_has_every_guarded_operation(contract):
    asked = {contract.find(m, path.split("?")[0]) for requests in REQUESTS.values() for m, path in requests}
    guarded = {o for o, (_, _, operation) in contract.operations.items() if operation.get("security") != []}
    assert asked == guarded


@pytest.mark.parametrize("scope", list(IMPLIED))
def test_scope_opens_what_it_should_and_nothing_else(api, scope):
    key = api.key_for(f"only-{scope}", [scope])
    for needed, requests in REQUESTS.items():
        for method, path in requests:
            body = {"data": b"{", "headers": {"Content-Type": "application/json"}} if method in ("POST", "PATCH") else {}
            reply = key.call(method, path, **body)
            if needed in IMPLIED[scope]:
                assert reply.status_code not in (401, 403), (scope, method, path)
            else:
                assert reply.status_code == 403, (scope, method, path, reply.status_code)


def test_without_a_valid_key_nothing_is_let_in(api):
    wrong = ["", "Bearer", "Bearer ", "Bearer x", "Basic " + api.key, api.key, "Bearer  " + api.key + "x",
             "Bearer " + api.key[:-1], "Bearer assay_" + "A" * 43, "Bearer " + api.key + " " + api.key]
    nobody = api.with_key(None)
    for requests in REQUESTS.values():
        for method, path in requests:
            nobody.problem(method, path, 401, "unauthenticated")
    for value in wrong:
        reply = nobody.call("GET", "/collections", 401, headers={"Authorization": value})
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    assert nobody.call("GET", "/collections", 200, headers={"Authorization": "bearer " + api.key})


def test_key_is_shown_once_and_stored_only_as_a_hash(api, server):
    made = api.post("/keys", {"name": "shown-once", "scopes": ["read"], "groups": ["group:a", "group:b"]}, 201).json()
    secret = made["key"]
    api.with_key(secret).get("/collections")
    assert secret not in api.get("/keys").text
    listed = next(k for k in api.get("/keys").json()["items"] if k["id"] == made["id"])
    assert listed["groups"] == ["group:a", "group:b"] and listed["scopes"] == ["read"] and listed["expires_at"] is None
    connection = psycopg2.connect(server.dsn)
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
                       "AND table_type = 'BASE TABLE'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', (f"%{secret[6:]}%",))
            assert cursor.fetchone()[0] == 0, f"the key's text is in {table}"
    finally:
        connection.close()


def test_deleted_key_is_refused_at_once(api):
    made = api.post("/keys", {"name": "short-lived", "scopes": ["read"]}, 201).json()
    key = api.with_key(made["key"])
    key.get("/collections")
    api.delete(f"/keys/{made['id']}", 204)
    key.problem("GET", "/collections", 401)
    api.problem("DELETE", f"/keys/{made['id']}", 404, "unknown-key")


def test_key_ends_when_its_time_is_up(api):
    key = api.key_for("one-second", ["read"], expires_in="PT1S")
    key.get("/collections")
    time.sleep(1.1)
    key.problem("GET", "/collections", 401)


def test_last_admin_key_cannot_be_deleted(new_server):
    api = new_server().admin()
    mine = api.get("/keys").json()["items"]
    assert len(mine) == 1 and "admin" in mine[0]["scopes"]
    api.problem("DELETE", f"/keys/{mine[0]['id']}", 409, "last-admin-key")
    other = api.key_for("second-admin", ["admin"])
    other.delete(f"/keys/{mine[0]['id']}", 204)
    api.problem("GET", "/keys", 401)
    other.get("/keys")


@pytest.mark.parametrize("body, pointer", [
    ({"scopes": ["read"]}, "/name"), ({"name": "x"}, "/scopes"), ({"name": "x", "scopes": []}, "/scopes"),
    ({"name": "x", "scopes": ["king"]}, "/scopes/0"), ({"name": "x", "scopes": ["read"], "expires_in": "soon"}, "/expires_in"),
    ({"name": "x", "scopes": ["read"], "key": "mine"}, "/key"), ({"name": "x", "scopes": ["read"], "groups": [""]}, "/groups/0"),
])
def test_faulty_key_request_is_refused_precisely(api, body, pointer):
    api.problem("POST", "/keys", 400, pointer=pointer, json=body)


def test_names_of_keys_are_unique(api):
    api.key_for("the-one", ["read"])
    api.problem("POST", "/keys", 409, "key-exists", json={"name": "the-one", "scopes": ["read"]})


def test_first_start_writes_the_admin_key_for_its_owner_only(server, api):
    path = server.data_dir / "admin.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip().startswith("assay_")


def test_key_made_by_one_server_is_taken_by_another_after_sighup(new_server, server, api):
    import signal
    other = new_server(dsn=server.dsn)
    made = api.post("/keys", {"name": "travelling-" + uuid.uuid4().hex[:6], "scopes": ["read"]}, 201).json()
    mine = api.with_key(made["key"])
    there = type(mine)(other, made["key"])
    other.signal(signal.SIGHUP)
    wait_until("the other server to know the key", lambda: there.raw("GET", "/collections").status_code == 200, 5)
