"""A real assayd in a process of its own, with a data directory of its own."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import requests

from .api import Api
from .contract import ROOT

# Under a sanitizer or on a busy machine everything takes longer; waits are upper bounds, not sleeps.
PATIENCE = float(os.environ.get("ASSAY_TEST_PATIENCE", "1"))
SANITIZED = os.environ.get("ASSAY_SANITIZE", "0") != "0"
SANITIZER_REPORTS = re.compile(
    r"(ERROR|WARNING): (Address|Leak|Thread|Memory|Undefined\w*)Sanitizer|runtime error:|Assertion .* failed")


def binary():
    return pathlib.Path(os.environ.get("ASSAYD", ROOT / "build" / "assayd"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def base_environment():
    """This process' environment without ASSAY_*: the server refuses settings that it does not know."""
    return {k: v for k, v in os.environ.items() if not k.startswith("ASSAY")}


def wait_until(what, condition, seconds=10.0, interval=0.02):
    """Polls until condition() is true and returns its value; fails with `what` after `seconds` (times PATIENCE)."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds * PATIENCE:.0f} s in vain: {what}")
        time.sleep(interval)


class Server:
    def __init__(self, contract, dsn, data_dir, openapi_file, settings=None, name="assayd"):
        self.contract = contract
        self.dsn = dsn
        self.data_dir = pathlib.Path(data_dir)
        self.openapi_file = openapi_file
        self.settings = dict(settings or {})
        self.port = free_port()
        self.log_path = self.data_dir.parent / f"{self.data_dir.name}.log"
        self.process = None
        self.preexec = None
        self.secrets = set()   # what must never be in the log: keys, texts of documents, queries
        self.clean_exit = True
        self.name = name

    @property
    def tls(self):
        return "tls_cert" in self.settings

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def environment(self):
        env = base_environment()
        values = {
            "database_url": self.dsn, "listen": f"127.0.0.1:{self.port}", "data_dir": self.data_dir,
            "migrations_dir": ROOT / "migrations", "openapi_file": self.openapi_file, "log_format": "json",
            "log_level": "debug", "http_threads": 2, "worker_threads": 8, "pool_size": 8, "build_threads": 1,
            "poll_interval_ms": 100, **self.settings,
        }
        env.update({f"ASSAY_{k.upper()}": str(v) for k, v in values.items() if v is not None})
        return env

    def start(self, wait=True):
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(binary())], env=self.environment(), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=self.preexec, cwd="/")
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=30):
        def ready():
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"
            try:
                return requests.get(self.url + "/readyz", timeout=2, verify=False).status_code == 200
            except requests.RequestException:
                return False
        wait_until(f"{self.name} to be ready\n{self.tail()}", ready, seconds)

    def admin(self):
        key = (self.data_dir / "admin.key").read_text().strip()
        self.secrets.add(key)
        return Api(self, key)

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def tail(self, n=40):
        return "\n".join(self.log().splitlines()[-n:])

    def rss(self):
        """Resident bytes."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=40):
        """SIGTERM; the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(f"{self.name} did not stop on SIGTERM:\n{self.tail()}") from None
        return code

    def finish(self):
        """The end of every server in the tests: it stops with 0 and has said nothing it must not say."""
        was_running = self.running()
        code = self.stop()
        log = self.log()
        report = SANITIZER_REPORTS.search(log)
        assert not report, f"{self.name} reported:\n{log[max(0, report.start() - 200):report.start() + 6000]}"
        if was_running:
            assert code == 0, f"{self.name} ended with {code} on SIGTERM:\n{self.tail()}"
        for secret in self.secrets:
            assert secret not in log, f"{self.name} logged what it must not log: {secret!r}"
