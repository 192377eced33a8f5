"""The one database of a data folder: opened, checked and brought up to date once, shared by all stores.

A SQLite file in the folder, or the PostgreSQL server that `DATABASE_URL` names, for several machines that share it.

It is an index: every picture, report, comparison and vote can be entered again from its files, so a damaged file is
moved aside, never repaired. Where the disk takes no writes it is read into memory: everything can be looked at,
downloaded and deleted, and as soon as there is room the file is used again. Knows nothing of what the tables mean.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sdxl_lora import config, files
from sdxl_lora.errors import StorageError
from sdxl_lora.records import layout, ownership, postgresql, sqlite, upgrading

logger = logging.getLogger(__name__)


class Database:
    """Sessions on the database under one data folder; may be used by several threads.

    Raises `StorageError` if it cannot be used.

    Attributes:
        notices: what the user should be told about opening it, one line each.
        read_only: why nothing new can be kept, one line; "" where it can.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = layout.database_path(home)
        self.notices: tuple[str, ...] = ()
        self.read_only = ""
        self._forgotten: list[sa.Executable] = []  # in the copy in memory, not yet in the file
        self._lock = threading.RLock()  # of the change from one engine to another
        address = config.database_url()
        self._server = postgresql.parse(address) if address else None
        self._file: tuple[int, int] | None = None  # which file it is, of SQLite
        self._engine = self._open() if self._server is None else self._open_server(self._server)

    @property
    def name(self) -> str:
        """Where it is, for people: a path, or an address without user and password."""
        if (url := self._server) is None:
            return str(self.path)
        return str(sa.URL.create("postgresql", host=url.host, port=url.port, database=url.database))

    def close(self) -> None:
        """Gives the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads."""
        self.check_file()
        with self._errors(), Session(self._engine) as session:
            yield session

    @contextlib.contextmanager
    def writing(self, *, repair: bool = False) -> Iterator[Session]:
        """A session whose changes are kept together or not at all; others' writes wait until it ends.

        Args:
            repair: it only follows files, and may be lost: it is allowed on a disk that takes no writes, too.
        """
        if self.read_only and not repair and not self._try_again():
            raise StorageError(self.read_only)
        self.check_file()
        with self._errors(), Session(self._for_writing()) as session, session.begin():
            session.connection()  # begins now, not with the first statement
            yield session

    def forget(self, *statements: sa.Executable) -> None:
        """Executes DELETE statements whose files are gone, on a full disk too: there in memory until there is room."""
        if self.read_only and not self._try_again():
            self._forgotten += statements
        with self.writing(repair=True) as session:
            for statement in statements:
                session.execute(statement)

    def _for_writing(self) -> sa.Engine:
        backend = sqlite if self._server is None else postgresql
        return backend.for_writing(self._engine)

    def _open_server(self, url: sa.URL) -> sa.Engine:
        with self._errors(), contextlib.ExitStack() as unless_ready:
            engine = postgresql.open_server(url)
            unless_ready.callback(engine.dispose)
            self.notices += upgrading.bring_up_to_date(engine, None)
            ownership.check(engine, self.home)
            unless_ready.pop_all()
        return engine

    def check_file(self) -> None:
        """Whether the file that was opened is still there. Raises `StorageError`."""
        if self._file is None or self.read_only:
            return
        if sqlite.identity(self.path) != self._file:
            raise StorageError(
                f"the database {self.path} was moved or deleted while the program ran; put it back, or restart the"
                " program, which rebuilds it from the pictures"
            )

    def _open(self) -> sa.Engine:
        with files.storage_errors(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            try:
                return self._open_file()
            except (sa.exc.DBAPIError, sqlite3.Error) as error:
                if sqlite.is_blocked(error) and self.path.is_file():
                    return self._open_copy(error)
                if not sqlite.is_damage(error):
                    raise
            aside = sqlite.move_aside(self.path)
            notice = (
                f"the database was damaged; it was moved to {aside.name} and rebuilt from the pictures, votes and"
                " favourites (which session asked for a picture is lost)"
            )
            logger.warning("%s", notice)
            self.notices += (notice,)
            return self._open_file()

    def _open_file(self) -> sa.Engine:
        engine = sqlite.open_file(self.path)
        with contextlib.ExitStack() as unless_ready:
            unless_ready.callback(engine.dispose)
            sqlite.check(engine)
            told = upgrading.bring_up_to_date(engine, self.path)
            self.notices += tuple(notice for notice in told if notice not in self.notices)
            self._file = sqlite.identity(self.path)
            unless_ready.pop_all()
        return engine

    def _open_copy(self, error: Exception) -> sa.Engine:
        engine = sqlite.open_copy(self.path)
        upgrading.bring_up_to_date(engine, None)
        self.read_only = f"nothing new can be kept: database {self.path}: {sqlite.advice(_cause(error))}"
        logger.warning("%s", self.read_only)
        return engine

    def _try_again(self) -> bool:
        """Goes back to the file if the disk takes writes again; whether it does."""
        with self._lock:
            if not self.read_only:
                return True  # another thread did
            try:
                engine = self._open_file()
                with Session(sqlite.for_writing(engine)) as session, session.begin():
                    for statement in self._forgotten:
                        session.execute(statement)
            except (sa.exc.DBAPIError, sqlite3.Error, StorageError) as error:
                logger.info("the disk still refuses: %s", error)
                return False
            self._forgotten.clear()
            self._engine, self.read_only = engine, ""
            return True

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns database errors of the block into a `StorageError` of one line."""
        try:
            yield
        except (sa.exc.DBAPIError, sqlite3.Error, sa.exc.TimeoutError) as error:
            if self._server is None:
                raise StorageError(f"database {self.path}: {sqlite.advice(_cause(error))}") from error
            raise StorageError(f"database {self.name}: {postgresql.advice(_cause(error))}") from error


class Repository:
    """What every store begins with: the shared database, or one of its own on the data folder it is given.

    Raises `StorageError` if the database cannot be used. `notices`: what the user should be told, one line each.
    """

    def __init__(self, where: Database | Path) -> None:
        self._owns = not isinstance(where, Database)
        self.database = where if isinstance(where, Database) else Database(where)
        self.home = self.database.home
        self.notices: tuple[str, ...] = self.database.notices

    def close(self) -> None:
        """Gives the connections of its own database back; a shared one stays open."""
        if self._owns:
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cause(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
