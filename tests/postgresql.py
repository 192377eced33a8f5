"""A PostgreSQL server of the tests' own, on a socket in a temporary folder; databases of it are empty at first."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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
def server() -> Iterator[str]:
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
