"""The index on disk is a cache of PostgreSQL: it may be missing, damaged, or somebody else's, and answers stay right."""
import re
import shutil

import pytest

from harness.documents import article
from harness.server import wait_until

QUESTIONS = ["glacier valley", "violin spruce", "report notes people", "harbour pilot", "honey in the hive"]


def answers(api):
    return [[(h["chunk"], h["score"]) for h in api.search("default", q, k=1000, exact=True, mode=m)["hits"]]
            for q in QUESTIONS for m in ("hybrid", "lexical")]


def caught_up(api):
    row = api.get("/collections/default").json()
    return row["index"] and row["index"]["seq"] >= row["seq"]


@pytest.fixture(scope="module")
def filled(new_server):
    server = new_server(head_max=40, checkpoint_interval_s=1)
    api = server.admin()
    api.source("default", "src")
    for n in range(40):
        api.put("default", f"d{n}", article(n, sections=3, mark=f"m{n}"), media_type="text/markdown", wait="stored")
    api.post("/quarantine", {"document": "d1"}, 201)
    api.remove("default", "d2")
    wait_until("the index", lambda: caught_up(api))
    return server, api


def restart(server, api):
    assert server.stop() == 0
    files = [p for p in server.data_dir.rglob("*") if p.is_file() and p.parent != server.data_dir]
    assert files, "a stop leaves the index on disk"

    def again():
        server.start()
        wait_until("the index to be complete", lambda: caught_up(api), 30)
    return files, again


def test_restart_loads_the_index_and_answers_alike(filled):
    server, api = filled
    before = answers(api)
    _, again = restart(server, api)
    again()
    assert answers(api) == before
    assert "d2" not in api.found("default", "volcano") and "d1" not in api.found("default", "violin", k=5)[:0]


def test_row_16_index_files_may_be_deleted_and_come_back_from_postgresql(filled):
    """chroma#7090, qdrant#3935: the index is lost after a restart. Here it is a cache."""
    server, api = filled
    before = answers(api)
    files, again = restart(server, api)
    for path in files:
        path.unlink()
    again()
    assert answers(api) == before


@pytest.mark.parametrize("damage", ["flip a byte", "cut short", "empty", "garbage"])
def test_damaged_files_mean_a_rebuild_never_a_wrong_answer(filled, damage):
    server, api = filled
    before = answers(api)
    files, again = restart(server, api)
    for path in files:
        data = bytearray(path.read_bytes())
        if damage == "flip a byte" and data:
            data[len(data) // 2] ^= 0x55
        elif damage == "cut short":
            data = data[:len(data) * 2 // 3]
        elif damage == "empty":
            data = bytearray()
        elif damage == "garbage":
            data = bytearray(b"\x00\xff" * 500)
        path.write_bytes(bytes(data))
    again()
    assert answers(api) == before


def test_each_file_alone_may_be_damaged(filled):
    server, api = filled
    before = answers(api)
    damaged = set()
    for _ in range(8):
        files, again = restart(server, api)
        fresh = [p for p in files if p.stat().st_size and re.sub(r"\d+", "N", p.name) not in damaged]
        for path in fresh[:1]:
            damaged.add(re.sub(r"\d+", "N", path.name))
            data = bytearray(path.read_bytes())
            for at in range(len(data) // 40, len(data), max(1, len(data) // 20)):
                data[at] ^= 0x21  # small enough to stay a plausible number, or letter, or edge
            path.write_bytes(bytes(data))
        again()
        assert answers(api) == before, damaged
        if not fresh:
            break
    assert len(damaged) >= 2, damaged


def test_files_of_another_database_are_not_believed(filled, new_server, tmp_path):
    server, api = filled
    copy = tmp_path / "copied"
    server.stop()
    shutil.copytree(server.data_dir, copy)
    (copy / "admin.key").unlink()
    server.start()
    other = new_server(data_dir=copy)
    there = other.admin()
    assert there.search("default", "glacier valley report", k=100, include_quarantined=True)["hits"] == []
    there.source("default", "src")
    there.put("default", "only", "The only document of the other database speaks about nothing in particular.")
    assert there.found("default", "report document database", k=100) == ["only"]


def test_database_restored_from_an_older_backup_is_followed(filled, new_server, cluster):
    """The change log went back: what the restored database does not know is gone from search as well."""
    import psycopg2
    server = new_server()
    api = server.admin()
    api.source("default", "src")
    api.put("default", "kept", article(0), media_type="text/markdown")
    server.stop()
    name = psycopg2.extensions.parse_dsn(server.dsn)["dbname"]
    backup, _ = cluster.create_database()
    with cluster.connect() as cursor:
        cursor.execute(f'DROP DATABASE "{backup}"')
        cursor.execute(f'CREATE DATABASE "{backup}" TEMPLATE "{name}"')
    server.start()
    api.put("default", "lost", article(1), media_type="text/markdown")
    api.put("default", "lost-too", article(2), media_type="text/markdown")
    assert server.stop() == 0
    with cluster.connect() as cursor:
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        cursor.execute(f'ALTER DATABASE "{backup}" RENAME TO "{name}"')
    server.start()
    wait_until("the index to follow", lambda: set(api.found("default", "report notes violin", k=500)) == {"kept"}, 20)
