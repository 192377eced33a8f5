"""What is PostgreSQL's own: how a server is reached, how writers take turns, and what its errors mean.

For several machines that work at one line of jobs, by `DATABASE_URL`. Everything else of `records/` is portable
SQLAlchemy. Knows nothing of tables.
"""

import importlib.util

import sqlalchemy as sa

from sdxl_lora.errors import StorageError

PATIENCE = 10  # seconds to wait for another process to finish its write, or for the server to answer
_TURN = 0x5DC1  # any number; writers hold the lock of it
_WRITES = "sdxl_lora_writes"  # execution option
_LOCKED = ("55P03", "40P01", "57014")  # lock_not_available, deadlock_detected, query_canceled
_FULL = ("53100", "53200")  # disk_full, out_of_memory
_GONE = ("42P01", "42703", "3D000")  # undefined table, column, database
_REFUSED = ("28P01", "28000", "42501")  # wrong password, no such user, no right


def parse(text: str) -> sa.URL:
    """The address in `DATABASE_URL`. Raises `StorageError` for what is none of PostgreSQL, or lacks its driver."""
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError as error:
        raise StorageError(
            "DATABASE_URL is no address; write postgresql://user:password@host/name"
        ) from error
    if url.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise StorageError(
            f"DATABASE_URL names {url.drivername[:40]!r}; write postgresql://user:password@host/name, or leave it"
            " out: then SQLite in the data folder is used"
        )
    if importlib.util.find_spec("psycopg") is None:
        raise StorageError("DATABASE_URL needs the package psycopg; pip install -r requirements-extra.txt")
    return url.set(drivername="postgresql+psycopg")


def open_server(url: sa.URL) -> sa.Engine:
    """Engine on the server; connections that it has dropped meanwhile are made again."""
    settings = {
        "connect_timeout": PATIENCE,
        "options": f"-c lock_timeout={PATIENCE}s -c timezone=UTC -c client_encoding=UTF8",
    }
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=settings)
    sa.event.listen(engine, "begin", _begin)
    return engine


def for_writing(engine: sa.Engine) -> sa.Engine:
    """The same engine, whose transactions wait for each other from their beginning, as SQLite's do: files are
    written inside them, too, in the order of the rows."""
    return engine.execution_options(**{_WRITES: True})


def advice(error: BaseException) -> str:
    """What is wrong and what to do, in half a line; no password is in it."""
    code = str(getattr(error, "sqlstate", None) or "")
    if code in _LOCKED:
        return f"another program kept it locked for {PATIENCE} s; close that program and try again"
    if code in _FULL:
        return "the server's disk or memory is full; free some there"
    if code in _GONE:
        return "what this program keeps there is gone; restart the program, which makes it anew"
    if code in _REFUSED:
        return "the server refuses this user; check name, password and rights in DATABASE_URL"
    if code.startswith(("08", "57", "53")) or not code:
        return "the server does not answer; check that it runs, and DATABASE_URL"
    return f"{str(error).splitlines()[0]}; check the server's log"


def _begin(connection: sa.Connection) -> None:
    if connection.get_execution_options().get(_WRITES, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")
