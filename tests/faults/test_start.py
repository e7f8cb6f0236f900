"""The start: what is wrong is said in one sentence, and nothing starts by half."""
import os
import shutil
import subprocess

import pytest

from harness.contract import ROOT
from harness.server import base_environment, binary, free_port

SENTENCE_MAX = 400


def run(*arguments, timeout=60, **settings):
    env = base_environment()
    env.update({f"ASSAY_{k.upper()}": str(v) for k, v in settings.items()})
    return subprocess.run([str(binary()), *arguments], env=env, capture_output=True, timeout=timeout, cwd="/")


@pytest.fixture(scope="module")
def database(cluster):
    name, dsn = cluster.create_database()
    yield dsn
    cluster.drop_database(name)


@pytest.fixture
def usable(database, openapi_file, tmp_path):
    """Settings with which the server would start."""
    return {"database_url": database, "listen": f"127.0.0.1:{free_port()}", "data_dir": tmp_path / "data",
            "migrations_dir": ROOT / "migrations", "openapi_file": openapi_file, "log_format": "json"}


def refused(done, *words):
    """The start stopped; among what it logged is one clear sentence with these words."""
    assert done.returncode > 0, done
    said = [line for line in done.stderr.decode().splitlines() if line.startswith("assayd: ")]
    assert len(said) == 1, done.stderr
    line = said[0]
    assert len(line) < SENTENCE_MAX
    for word in words:
        assert word.lower() in line.lower(), line
    return line


@pytest.mark.parametrize("setting, value, words", [
    ("listen", "nonsense", ["listen"]), ("listen", "127.0.0.1:99999", ["listen"]), ("listen", "", ["listen"]),
    ("http_threads", "many", ["http_threads"]), ("http_threads", "-1", ["http_threads"]), ("pool_size", "0", ["pool_size"]),
    ("log_level", "loud", ["log_level"]), ("log_format", "xml", ["log_format"]), ("receipt_sample", "2", ["receipt_sample"]),
    ("body_max", "1", ["body_max"]), ("tls_cert", "/nonexistent.pem", ["tls"]), ("database_url", "", ["database_url"]),
    ("request_timeout_s", "0", ["request_timeout_s"]), ("colour", "red", ["ASSAY_COLOUR"]),
    ("migrations_dir", "/nonexistent", ["migrations"]), ("openapi_file", "/nonexistent", ["openapi_file"]),
    ("data_dir", "/proc/nowhere", ["data_dir"]), ("endpoint_keys_file", "/nonexistent", ["endpoint_keys"]),
    ("models_dir", "/nonexistent", ["models_dir"]),
])
def test_wrong_setting_stops_the_start_with_one_sentence(usable, setting, value, words):
    refused(run(**{**usable, setting: value}), *words)


def test_tls_files_that_are_no_pem_are_refused(usable, tmp_path):
    for name in ("cert", "key"):
        (tmp_path / name).write_text("this is no PEM")
    refused(run(**usable, tls_cert=tmp_path / "cert", tls_key=tmp_path / "key"), "tls")


def test_configuration_file_with_a_mistake_is_refused_with_its_line(usable, tmp_path):
    config = tmp_path / "assay.conf"
    for text, words in (("colour = red\n", ["line 1", "colour"]), ("\n# fine\nlisten\n", ["line 3"]),
                        ("pool_size = 4\npool_size = 5\n", ["pool_size", "twice"])):
        config.write_text(text)
        refused(run("--config", str(config), **usable), *words)
    refused(run("--config", str(tmp_path / "missing.conf"), **usable), "cannot be read")


def test_help_lists_every_setting_with_its_default():
    done = run("--help")
    text = done.stdout.decode()
    assert done.returncode == 0
    source = (ROOT / "server" / "config.c").read_text()
    table = source[source.index("settings[] = {"):]
    import re
    names = re.findall(r'^ {4}(?:\w+\(\s*"?(\w+)"?,|\{"(\w+)")', table[:table.index("\n};")], re.M)
    names = [a or b for a, b in names]
    assert len(names) > 25
    for name in names:
        assert re.search(rf"^\s+{name}\b.*", text, re.M), name
    assert "default" in text


def test_print_config_hides_secrets():
    done = run("--print-config", database_url="postgresql://u:very-secret-password@h/db")
    assert done.returncode == 0 and b"very-secret-password" not in done.stdout + done.stderr
    assert b"http_threads" in done.stdout


def test_version_and_unknown_options():
    assert run("--version").stdout.startswith(b"assayd ")
    assert run("--frobnicate").returncode != 0
    assert run("surplus").returncode != 0


def test_database_that_is_not_there_stops_the_start(usable):
    done = run(**{**usable, "database_url": "postgresql:///x?host=/nonexistent&connect_timeout=1", "connect_timeout_s": 1})
    refused(done, "PostgreSQL")


def test_changed_old_migration_stops_the_start(usable, tmp_path, cluster):
    name, dsn = cluster.create_database()
    try:
        copy = tmp_path / "migrations"
        shutil.copytree(ROOT / "migrations", copy)
        settings = {**usable, "database_url": dsn, "migrations_dir": copy}
        assert run("--migrate-only", **settings).returncode == 0
        assert run("--migrate-only", **settings).returncode == 0, "a second time there is nothing to do"
        files = sorted(p for p in copy.iterdir() if p.suffix == ".sql")
        original = files[0].read_bytes()
        files[0].write_bytes(original + b"\n-- one more remark\n")
        refused(run(**settings), files[0].name.split("_")[0])
        files[0].write_bytes(original)
        moved = files[0].rename(tmp_path / files[0].name)
        refused(run(**settings))
        moved.rename(files[0])
        broken = copy / f"{int(files[-1].name[:4]) + 1:04d}_broken.sql"
        broken.write_text("CREATE TABLE half_done (id int);\nSELECT no_such_function();\n")
        refused(run(**settings))
        with cluster.connect(name) as cursor:
            cursor.execute("SELECT to_regclass('half_done')")
            assert cursor.fetchone()[0] is None, "a migration that fails leaves nothing"
        broken.write_text("CREATE TABLE added_later (id int);\n")
        assert run("--migrate-only", **settings).returncode == 0
        broken.unlink()
        refused(run(**settings))
    finally:
        cluster.drop_database(name)


def test_two_servers_starting_at_once_on_an_empty_database_both_come_up(new_server, cluster):
    name, dsn = cluster.create_database()
    servers = [new_server(dsn=dsn, start=False) for _ in range(3)]
    for server in servers:
        server.start(wait=False)
    for server in servers:
        server.wait_ready()
    keys = [s for s in servers if (s.data_dir / "admin.key").exists()]
    assert len(keys) == 1, "one first start, one admin key"
    api = keys[0].admin()
    assert [c["name"] for c in api.get("/collections").json()["items"]] == ["default"]
    for server in servers:
        assert server.stop() == 0
    cluster.drop_database(name)


def test_data_dir_belongs_to_one_server(new_server, usable):
    server = new_server()
    refused(run(**{**usable, "data_dir": server.data_dir, "database_url": server.dsn}), "data_dir")
    assert server.running()


def test_address_in_use_stops_the_start(new_server, usable):
    server = new_server()
    refused(run(**{**usable, "listen": f"127.0.0.1:{server.port}"}), "listen")


def test_port_zero_takes_a_free_one_and_logs_it(usable):
    env = base_environment()
    env.update({f"ASSAY_{k.upper()}": str(v) for k, v in {**usable, "listen": "127.0.0.1:0", "log_format": "text"}.items()})
    process = subprocess.Popen([str(binary())], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/")
    try:
        for line in process.stdout:
            if b"listening" in line:
                assert b"127.0.0.1:" in line and b"127.0.0.1:0 " not in line + b" "
                break
        else:
            pytest.fail("it never said where it listens")
    finally:
        process.terminate()
        process.stdout.read()
        assert process.wait(20) == 0


def test_settings_come_from_environment_over_file_over_default(tmp_path):
    config = tmp_path / "assay.conf"
    config.write_text("pool_size = 5\nworker_threads = 7\n")
    out = run("--print-config", "--config", str(config), pool_size=9).stdout.decode()
    values = dict(line.split(" = ", 1) for line in out.splitlines() if " = " in line)
    assert values["pool_size"] == "9" and values["worker_threads"] == "7" and values["idle_timeout_s"] == "60"
    assert os.path.exists(ROOT / "server" / "config.c")
