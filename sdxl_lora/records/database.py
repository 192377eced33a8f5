"""The SQLite database of records: its tables, its versions, and what to do when it is damaged.

`PRAGMA user_version` counts the entries of `MIGRATIONS` a database has seen; to change the schema, change the
mapped classes and append one entry. The database is an index: every picture can be entered again from its own
PNG, so a damaged one is moved aside, never repaired. Knows nothing of pictures' contents.
"""

import contextlib
import logging
import sqlite3
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sdxl_lora.errors import StorageError
from sdxl_lora.records import layout
from sdxl_lora.records.files import explained
from sdxl_lora.records.metadata import finite
from sdxl_lora.request import GenerationRequest

logger = logging.getLogger(__name__)

BUSY_TIMEOUT = 10.0  # seconds to wait for another process to finish its write
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class Base(DeclarativeBase):
    """Root of the mapped classes."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: sa.JSON, list[int]: sa.JSON}


class PictureRow(Base):
    """One picture. Its file is `pictures/YYYY-MM-DD/<id>.png`, by the day in the id."""

    __tablename__ = "pictures"

    id: Mapped[str] = mapped_column(primary_key=True)  # sorts by time, see `layout.new_id`
    created_at: Mapped[datetime]  # UTC, without time zone: SQLite has none
    request: Mapped[dict[str, Any]]  # GenerationRequest.to_dict(), for this one picture
    scores: Mapped[dict[str, Any]]  # scorer key -> values
    seconds: Mapped[float]  # wall clock
    session: Mapped[str] = mapped_column(index=True)
    favourite: Mapped[bool] = mapped_column(index=True)
    width: Mapped[int]  # px
    height: Mapped[int]  # px
    search_text: Mapped[str]  # what `search` looks in, case-folded: SQLite's LIKE folds ASCII only


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE pictures (
            id VARCHAR NOT NULL PRIMARY KEY, created_at DATETIME NOT NULL, request JSON NOT NULL,
            scores JSON NOT NULL, seconds DOUBLE NOT NULL, session VARCHAR NOT NULL,
            favourite BOOLEAN NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
            search_text VARCHAR NOT NULL)""",
        "CREATE INDEX ix_pictures_session ON pictures (session)",
        "CREATE INDEX ix_pictures_favourite ON pictures (favourite)",
    ),
    (
        """CREATE TABLE evaluations (
            id VARCHAR NOT NULL PRIMARY KEY, created_at DATETIME NOT NULL, label VARCHAR NOT NULL,
            folders JSON NOT NULL, summary JSON NOT NULL)""",
    ),
    (
        """CREATE TABLE votes (
            picture_id VARCHAR NOT NULL, brand VARCHAR NOT NULL, created_at DATETIME NOT NULL,
            approved BOOLEAN NOT NULL, notes JSON NOT NULL, features JSON NOT NULL,
            PRIMARY KEY (picture_id, brand))""",
    ),
    (
        """CREATE TABLE comparisons (
            id VARCHAR NOT NULL PRIMARY KEY, created_at DATETIME NOT NULL, title VARCHAR NOT NULL,
            definition JSON NOT NULL, scores JSON NOT NULL)""",
        """CREATE TABLE comparison_cells (
            comparison VARCHAR NOT NULL, "column" INTEGER NOT NULL, row INTEGER NOT NULL,
            file VARCHAR NOT NULL, reason VARCHAR NOT NULL, facts JSON NOT NULL,
            PRIMARY KEY (comparison, "column", row))""",
        """CREATE TABLE comparison_votes (
            comparison VARCHAR NOT NULL, row INTEGER NOT NULL, voter VARCHAR NOT NULL,
            created_at VARCHAR NOT NULL, choice INTEGER, columns JSON NOT NULL, blind BOOLEAN NOT NULL,
            PRIMARY KEY (comparison, row, voter))""",
    ),
)


def picture_values(
    identifier: str,
    *,
    created_at: datetime,
    request: GenerationRequest,
    scores: dict[str, dict[str, Any]],
    seconds: float,
    size: tuple[int, int],
    session: str = "",
) -> dict[str, Any]:
    """Column values of one new `PictureRow`; `size` is (width, height) in px."""
    words = [request.prompt, request.negative_prompt, request.model, request.template]
    words.append(str(request.seed))
    words += [value for _, value in request.slots] + [lora.path for lora in request.loras]
    return {
        "id": identifier,
        "created_at": created_at.astimezone(UTC).replace(tzinfo=None),
        "request": request.to_dict(),
        "scores": finite(scores),
        "seconds": seconds,
        "session": session,
        "favourite": False,
        "width": size[0],
        "height": size[1],
        "search_text": fold("\n".join(words)),
    }


def fold(text: str) -> str:
    """`text` as it is searched: compatibility forms unified, case removed, in every script."""
    return unicodedata.normalize("NFKC", text).casefold()


class DatabaseUser:
    """Holds the engine of a data folder's database while in use; what every store begins with.

    Raises `StorageError` if the database cannot be used. `notices`: what the user should be told, one line each.
    """

    def __init__(self, home: Path) -> None:
        self._database = layout.database_path(home)
        engine, notices = open_engine(self._database)
        self._engine: sa.Engine = engine
        self.notices: tuple[str, ...] = notices

    def close(self) -> None:
        """Give the database connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_engine(path: Path) -> tuple[sa.Engine, tuple[str, ...]]:
    """Engine on the database at `path`, created, checked and brought to the newest version.

    Returns also what the user should be told: one line if a damaged database was moved aside.
    Raises `StorageError` if the database cannot be used.
    """
    notices: tuple[str, ...] = ()
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _prepare(path)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "").split(".")[0] not in _DAMAGED:
            raise _storage_error(path, error) from error
        notices = (_move_aside(path),)
        with storage_errors(path):
            _prepare(path)
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT})
    sa.event.listen(engine, "connect", _configure)
    return engine, notices


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn database errors of the block into a `StorageError` of one line."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _storage_error(path, error.orig or error) from error
    except sqlite3.Error as error:
        raise _storage_error(path, error) from error


def _storage_error(path: Path, error: BaseException) -> StorageError:
    text = str(error)
    if "full" in text:
        advice = "the disk is full; free some space, or set SDXL_LORA_HOME to a folder on another disk"
    elif "readonly" in text or "unable to open" in text:
        advice = "it cannot be written; set SDXL_LORA_HOME to a folder that you may write"
    elif "locked" in text or "busy" in text:
        advice = f"another program kept it locked for {BUSY_TIMEOUT:g} s; close that program and try again"
    elif "malformed" in text or "not a database" in text:
        advice = "it is damaged; restart the program, which rebuilds it from the pictures"
    else:
        advice = f"{text}; restart the program, and check the disk if this comes back"
    return StorageError(f"database {path}: {advice}")


def _configure(connection: Any, _record: object) -> None:
    # with WAL a power cut may lose the last rows; their files bring them back
    connection.execute("PRAGMA synchronous=NORMAL")


def _prepare(path: Path) -> None:
    """Check the database and migrate it; one process at a time. Raises `sqlite3.Error` or `StorageError`."""
    # isolation_level None: transactions begin and end where this code says so
    with contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise _Damaged(verdict)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise StorageError(
                    f"database {path} belongs to a newer version of this program (schema {version}, known"
                    f" {len(MIGRATIONS)}); update, or set SDXL_LORA_HOME to another folder"
                )
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement)
            if version < len(MIGRATIONS):  # else write nothing: the disk may be full
                connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


class _Damaged(sqlite3.DatabaseError):
    """`PRAGMA quick_check` found something."""

    sqlite_errorname = "SQLITE_CORRUPT"


def _move_aside(path: Path) -> str:
    """Rename the database and its journals; returns the line for the user."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    with explained(path, "move aside"):
        for ending in ("", "-wal", "-shm"):
            source = path.with_name(path.name + ending)
            with contextlib.suppress(FileNotFoundError):  # no journal, or another process was first
                source.rename(aside.with_name(aside.name + ending))
    notice = (
        f"the database was damaged; it was moved to {aside.name} and rebuilt from the pictures"
        " (favourites and sessions are not in the pictures and are lost)"
    )
    logger.warning("%s", notice)
    return notice
