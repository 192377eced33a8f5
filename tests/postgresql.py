"""A PostgreSQL server of the tests' own, on a socket in a temporary folder; databases of it are empty at first."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from sdxl_lora.records import postgresql

DEBIAN = "/usr/lib/postgresql/*/bin"


def _program(name: str) -> str | None:
    places = [str(path) for path in sorted(Path("/").glob(DEBIAN.lstrip("/")), reverse=True)]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))


def _user() -> str | None:
    """Whom the server runs as: not as root, which it refuses."""
    if os.name == "nt" or os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Address of a running server, without a database's name. Skips the test where none can be had."""
    initdb, program = _program("initdb"), _program("postgres")
    if initdb is None or program is None:
        pytest.skip("PostgreSQL is not installed; apt-get install postgresql")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path must be short
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    try:
        made = [initdb, "-D", str(data), "-U", "studio", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*made, "--locale=C"], user=user, check=True, capture_output=True, cwd=folder)
        settings = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"]
        process = subprocess.Popen(
            [program, "-D", str(data), "-k", str(folder), *settings],
            user=user,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        try:
            yield f"postgresql://studio@/{{name}}?host={folder}"
        finally:
            process.send_signal(signal.SIGINT)  # waits for no client
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running() as address:
        deadline = time.monotonic() + 30
        engine = postgresql.open_server(postgresql.parse(address.format(name="postgres")))
        while True:
            try:
                engine.connect().close()
            except sa.exc.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                break
        engine.dispose()
        yield address


def empty(server: str, name: str) -> str:
    """Address of a new, empty database of that server."""
    engine = postgresql.open_server(postgresql.parse(server.format(name="postgres")))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.format(name=name)


@pytest.fixture
def address(server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new, empty database, which is the one of `DATABASE_URL`."""
    found = empty(server, f"t{abs(hash(request.node.name))}")
    monkeypatch.setenv("DATABASE_URL", found)
    return found
