import itertools
import json
import os
import pathlib
import sys

import pytest
import urllib3

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness.cluster import Cluster  # noqa: E402
from harness.contract import Contract  # noqa: E402
from harness.server import Server, binary  # noqa: E402

urllib3.disable_warnings()  # the tests' own self-signed certificate
HERE = pathlib.Path(__file__).resolve().parent


def pytest_collection_modifyitems(items):
    """The tally of called operations comes last, whatever the order of files."""
    items.sort(key=lambda item: item.name.startswith("test_every_operation_was_called"))


@pytest.fixture(scope="session")
def contract():
    return Contract()


@pytest.fixture(scope="session")
def whole_suite(request):
    """Are all integration tests of the directory collected? Only then a missing operation means something."""
    if request.config.getoption("keyword") or request.config.getoption("markexpr"):
        return False
    collected = {item.path.name for item in request.session.items if item.path.parent.name == "integration"}
    if any("::" in argument for argument in request.config.args):
        return False
    return collected >= {p.name for p in (HERE / "integration").glob("test_*.py")}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    url = os.environ.get("ASSAY_TEST_DATABASE_URL")
    if url:
        yield Cluster(url)
        return
    own = Cluster(directory=tmp_path_factory.mktemp("pg"))
    yield own
    own.destroy()


@pytest.fixture(scope="module")
def private_cluster(tmp_path_factory):
    """A PostgreSQL that a test may stop, start and kill."""
    own = Cluster(directory=tmp_path_factory.mktemp("pgown"))
    yield own
    own.destroy()


@pytest.fixture(scope="session")
def openapi_file(contract, tmp_path_factory):
    path = tmp_path_factory.mktemp("contract") / "openapi.json"
    path.write_text(json.dumps(contract.spec), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def new_server(contract, cluster, openapi_file, tmp_path_factory):
    """Makes servers, each with a new database unless `dsn` is given. All are stopped and looked at in the end."""
    if not binary().exists():
        pytest.fail(f"{binary()} is missing: make all, or set ASSAYD")
    servers, databases = [], []

    def make(dsn=None, data_dir=None, start=True, preexec=None, of=None, **settings):
        owner = of or cluster
        if dsn is None:
            name, dsn = owner.create_database()
            databases.append((owner, name))
        directory = data_dir or tmp_path_factory.mktemp("assay") / "data"
        server = Server(contract, dsn, directory, openapi_file, settings, f"assayd-{len(servers)}")
        server.preexec = preexec
        servers.append(server)
        return server.start() if start else server

    yield make
    failures = []
    for server in servers:
        try:
            server.finish()
        except AssertionError as e:
            failures.append(str(e))
    for owner, name in databases:
        try:
            owner.drop_database(name)
        except Exception as e:  # the cluster may be gone on purpose; what matters is reported below
            print(f"could not drop {name}: {e}", file=sys.stderr)
    assert not failures, "\n\n".join(failures)


@pytest.fixture(scope="module")
def server(new_server):
    return new_server()


@pytest.fixture(scope="module")
def api(server):
    """The client of the module's server, with the admin key that its first start wrote."""
    return server.admin()


_numbers = itertools.count(1)


@pytest.fixture
def collection(api):
    """A new collection of the built-in embedder with one source, `src`; its name."""
    name = f"c{next(_numbers)}"
    api.collection(name)
    api.source(name, "src", owner="owner@example.org", licence="CC0-1.0")
    return name
