"""The disk is full: searches go on, what needs the disk is refused, and nothing is left by half."""
import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import time

import pytest

from harness.documents import article
from harness.server import wait_until

NDJSON = {"Content-Type": "application/x-ndjson"}


def small_files():
    """No file may grow past 200 kB; a write beyond is an error (EFBIG), not a signal."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


def fill(api, start, count):
    body = "".join(json.dumps({"source": "src", "id": f"d{n}", "text": article(n, 3, f"m{n}"), "media_type": "text/markdown"})
                   + "\n" for n in range(start, start + count)).encode()
    return body, lambda: api.call("POST", "/documents?wait=indexed", 200, data=body, headers=NDJSON).json()


def test_files_that_cannot_grow_do_not_stop_searching(new_server):
    server = new_server(start=False, preexec=small_files, log_level="error", checkpoint_interval_s=1)
    server.start()
    api = server.admin()
    api.source("default", "src")
    body, put = fill(api, 0, 60)
    assert put()["accepted"] == 60, "PostgreSQL is the truth, not our files"
    time.sleep(2.5)  # checkpoints are tried, and fail
    assert server.running()
    found = api.search("default", "report notes", k=1000, exact=True)["hits"]
    assert len({h["document"] for h in found}) == 60
    assert len(body) > 200_000
    reply = api.call("POST", "/documents?async=true", (503, 507), data=body, headers=NDJSON, check=False)
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert not list((server.data_dir / "spool").glob("*")), "a body that could not be spooled leaves no file"
    server.preexec = None
    server.stop()
    server.start()
    assert api.search("default", "report notes", k=1000, exact=True)["hits"] == found


@pytest.fixture
def tiny_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    libc = ctypes.CDLL(None, use_errno=True)
    where = tmp_path / "tiny"
    where.mkdir()
    if libc.mount(b"tmpfs", os.fsencode(where), b"tmpfs", 0, b"size=4m") != 0:
        pytest.skip(f"no right to mount: {os.strerror(ctypes.get_errno())}")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_full_disk_is_survived_and_the_index_is_written_when_there_is_room_again(new_server, tiny_disk):
    server = new_server(data_dir=tiny_disk / "data", checkpoint_interval_s=1, log_level="error")
    api = server.admin()
    api.source("default", "src")
    fill(api, 0, 10)[1]()
    ballast = tiny_disk / "ballast"
    with open(ballast, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"x" * 4096)
    assert fill(api, 10, 40)[1]()["accepted"] == 40
    time.sleep(2)
    before = [h["chunk"] for h in api.search("default", "report notes", k=1000, exact=True)["hits"]]
    server.kill()
    server.start()
    wait_until("the index to catch up",
               lambda: [h["chunk"] for h in api.search("default", "report notes", k=1000, exact=True)["hits"]] == before, 20)
    ballast.unlink()
    assert server.stop() == 0
    server.start()
    assert [h["chunk"] for h in api.search("default", "report notes", k=1000, exact=True)["hits"]] == before
