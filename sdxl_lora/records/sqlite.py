"""What is SQLite's own: how a file is opened, locked, checked, copied, moved aside, and what its errors mean.

Everything else of `records/` is portable SQLAlchemy. Knows nothing of tables.
"""

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from sdxl_lora import files

BUSY_TIMEOUT = 10.0  # seconds to wait for another process to finish its write
BEFORE_ALEMBIC = 4  # `PRAGMA user_version` of the last version of this program that had no Alembic
_JOURNALS = ("-wal", "-shm")
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_BLOCKED = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")
_WRITES = "sdxl_lora_writes"  # execution option


class Damaged(sqlite3.DatabaseError):
    """`PRAGMA quick_check` found something."""

    sqlite_errorname = "SQLITE_CORRUPT"


def open_file(path: Path) -> sa.Engine:
    """Engine on the file at `path`, whatever characters are in it; made when it is first written to."""
    url = sa.URL.create("sqlite", database=str(path))
    return _listened(sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT}))


def open_copy(path: Path) -> sa.Engine:
    """Engine on a copy of the database in memory, for a disk that takes no writes; threads take turns.

    Raises `sqlite3.Error` if it cannot be read either.
    """
    source = _reader(path)
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    with contextlib.closing(source):
        source.backup(memory)

    def connect() -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        memory.backup(copy)
        return copy

    engine = sa.create_engine(
        "sqlite://", creator=connect, poolclass=sa.pool.QueuePool, pool_size=1, max_overflow=0
    )
    return _listened(engine)


def for_writing(engine: sa.Engine) -> sa.Engine:
    """The same engine, whose transactions take the lock when they begin: none fails half-way for another's write."""
    return engine.execution_options(**{_WRITES: True})


def check(engine: sa.Engine) -> None:
    """Looks for damage, and lets readers and a writer work at the same time. Raises `Damaged`, `sa.exc.DBAPIError`."""
    raw = engine.raw_connection()  # outside any transaction, which both need
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA quick_check(1)")
        row = cursor.fetchone()
        if row is None or row[0] != "ok":
            raise Damaged(str(row and row[0]))
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.close()
    finally:
        raw.close()


def allow_versions_before_alembic(connection: sa.Connection) -> None:
    """Lets the last version without Alembic, which counts in the file's header, work in this folder too."""
    connection.exec_driver_sql(f"PRAGMA user_version={BEFORE_ALEMBIC}")


def identity(path: Path) -> tuple[int, int] | None:
    """Which file lies there, whatever is written into it; None: none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def back_up(path: Path, target: Path) -> None:
    """A copy of the database as of now, while others may use it. Raises `sqlite3.Error`, `StorageError`."""
    partial = target.with_name(target.name + files.TEMPORARY_SUFFIX)
    partial.unlink(missing_ok=True)
    with contextlib.ExitStack() as both:
        source = both.enter_context(contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT)))
        source.backup(both.enter_context(contextlib.closing(sqlite3.connect(partial))))
    with files.storage_errors(target):
        partial.replace(target)


def move_aside(path: Path) -> Path:
    """Renames a damaged database and its journals; returns its new place. Raises `StorageError`."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    with files.storage_errors(path, "move aside"):
        for ending in ("", *_JOURNALS):
            with contextlib.suppress(FileNotFoundError):  # no journal, or another process was first
                path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    return aside


def is_damage(error: BaseException) -> bool:
    """Whether the file itself is broken."""
    return _kind(error) in _DAMAGED


def is_blocked(error: BaseException) -> bool:
    """Whether the disk takes no writes, while the file may be whole: full, read-only, or out of quota."""
    return _kind(error) in _BLOCKED


def advice(error: BaseException) -> str:
    """What is wrong and what to do, in half a line."""
    text = str(error)
    if "full" in text:
        return "the disk is full; free some space, or set SDXL_LORA_HOME to a folder on another disk"
    if "readonly" in text or "unable to open" in text:
        return "it cannot be written; set SDXL_LORA_HOME to a folder that you may write"
    if "locked" in text or "busy" in text:
        return f"another program kept it locked for {BUSY_TIMEOUT:g} s; close that program and try again"
    if "malformed" in text or "not a database" in text:
        return "it is damaged; restart the program, which rebuilds it from the pictures"
    if _kind(error) == "SQLITE_IOERR":
        return "the disk refuses, perhaps because it is full; free some space, and check the disk if this comes back"
    return f"{text}; restart the program, and check the disk if this comes back"


def _kind(error: BaseException) -> str:
    """`SQLITE_IOERR` of `SQLITE_IOERR_SHMSIZE`."""
    original = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    return "_".join(str(getattr(original, "sqlite_errorname", "")).split("_")[:2])


def _listened(engine: sa.Engine) -> sa.Engine:
    sa.event.listen(engine, "connect", _connected)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _connected(connection: sqlite3.Connection, _record: object) -> None:
    # transactions begin where `_begin` says so, not where the driver guesses; changes of tables are in them, too
    connection.isolation_level = None
    # with WAL a power cut may lose the last rows; their files bring them back
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _reader(path: Path) -> sqlite3.Connection:
    """A connection that reads although no journal can be made beside the file. Raises `sqlite3.Error`."""
    uri = path.absolute().as_uri()  # escapes what means something in an address
    attempts = (
        (f"{uri}?mode=rw", "EXCLUSIVE"),  # keeps in memory what would lie beside the file
        (f"{uri}?mode=ro", "NORMAL"),
        (f"{uri}?immutable=1", "NORMAL"),  # leaves out what is in the journal only
    )
    refused: sqlite3.Error | None = None
    for address, locking in attempts:
        connection = sqlite3.connect(address, uri=True, timeout=1.0, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA locking_mode={locking}")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            connection.close()
            refused = error
            continue
        return connection
    assert refused is not None  # every attempt failed
    raise refused
