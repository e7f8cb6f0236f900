"""PostgreSQL for the tests: the one that ASSAY_TEST_DATABASE_URL names, or a private cluster."""
import contextlib
import subprocess
import uuid

import psycopg2
from psycopg2.extensions import make_dsn

from .contract import ROOT

SCRIPT = str(ROOT / "docker" / "cluster.sh")


class Cluster:
    """Databases in one PostgreSQL. With `directory` it is a cluster of our own, which can be stopped and started."""

    def __init__(self, url=None, directory=None):
        self.url = url
        self.directory = directory
        if directory is not None:
            self.start()

    def start(self):
        done = subprocess.run([SCRIPT, "start", str(self.directory)], check=True, stdout=subprocess.PIPE, timeout=120)
        self.url = done.stdout.decode().split()[-1]

    def stop(self, mode="immediate"):
        subprocess.run([SCRIPT, "stop", str(self.directory), mode], check=True, timeout=120)

    def destroy(self):
        if self.directory is not None:
            subprocess.run([SCRIPT, "destroy", str(self.directory)], check=True, timeout=120)

    @contextlib.contextmanager
    def connect(self, database=None):
        dsn = make_dsn(self.url, **({"dbname": database} if database else {}))
        connection = psycopg2.connect(dsn, connect_timeout=10)
        connection.autocommit = True
        try:
            yield connection.cursor()
        finally:
            connection.close()

    def create_database(self):
        """A new empty database; returns (name, connection string)."""
        name = "assay_test_" + uuid.uuid4().hex
        with self.connect() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}"')
        return name, make_dsn(self.url, dbname=name)

    def drop_database(self, name):
        with self.connect() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
