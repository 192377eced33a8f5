"""A file of JSON lines that tells what people did, so that a lost or damaged database loses none of it.

A line is written, and on the disk, before the transaction that enters it is committed. How many bytes of the file are
entered stands in the database: at the next start only what a crash left over is read, or everything where the database
is new. Knows nothing of what the lines mean.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy.orm import Session

from sdxl_lora import files
from sdxl_lora.errors import StorageError
from sdxl_lora.records import upserts
from sdxl_lora.records.database import Database
from sdxl_lora.records.tables import JournalRow

logger = logging.getLogger(__name__)

Line = Mapping[str, Any]


class Journal:
    """The file `name` under the data folder.

    Args:
        enter: makes the table say what a line says; entering lines twice in their order changes nothing. Raises
            `KeyError`, `TypeError` or `ValueError` for a line that says nothing it understands, which is left out.
        tell: lines that say what the table says, for a folder that has no journal yet.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        *,
        enter: Callable[[Session, Line], None],
        tell: Callable[[Session], Iterable[Line]],
    ) -> None:
        self._database = database
        self._name = name
        self.path = database.home / name
        self._enter = enter
        self._tell = tell

    def append(self, line: Line) -> None:
        """Writes a line and enters it: both or neither. Raises `StorageError`."""
        with self._database.writing() as session:  # holds the lock: lines stand in the order they are entered
            self._enter(session, line)
            before = self.path.stat().st_size if self.path.exists() else 0
            try:
                end = files.append_line(self.path, json.dumps(line, ensure_ascii=False).encode())
                self._note(session, end)
                session.flush()
            except StorageError:
                with contextlib.suppress(OSError):  # half a line is passed over by its readers anyway
                    os.truncate(self.path, before)
                raise

    def begin(self) -> tuple[str, ...]:
        """As `catch_up`, where what is in the database can be used without: what the user should be told instead."""
        try:
            self.catch_up()
        except StorageError as error:
            logger.warning("%s is not brought up to date: %s", self._name, error)
            return (str(error),)
        return ()

    def catch_up(self) -> None:
        """Brings file and table together after a crash, or after either was lost. Raises `StorageError`."""
        size = self.path.stat().st_size if self.path.is_file() else 0
        with self._database.reading() as session:
            row = session.get(JournalRow, self._name)
            entered = None if row is None else row.entered
            if entered == size or (entered is None and not size and not list(self._tell(session))):
                return
        with self._database.writing(repair=True) as session:
            if not size or (entered or 0) > size:  # begun before there were journals, or lost
                self._begin(session)
                return
            lines = 0
            with files.storage_errors(self.path, "read"), self.path.open("rb") as file:
                file.seek(entered or 0)
                for line in _lines(file.read()):
                    lines += self._entered(session, line)
                self._note(session, file.tell())
            logger.info("%s: %d line(s) were entered again", self.path, lines)

    def _begin(self, session: Session) -> None:
        content = b"\n".join(json.dumps(line, ensure_ascii=False).encode() for line in self._tell(session))
        files.write_atomically(self.path, content)
        self._note(session, len(content))

    def _entered(self, session: Session, line: Line) -> bool:
        try:
            self._enter(session, line)
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("%s: a line is left out: %s", self.path, error)
            return False
        return True

    def _note(self, session: Session, entered: int) -> None:
        upserts.insert_or_update(session, JournalRow, {"name": self._name, "entered": entered})


def _lines(data: bytes) -> Iterator[Line]:
    for text in data.split(b"\n"):  # what a crash cut off was never confirmed
        values = files.parse_json(text)
        if isinstance(values, dict):
            yield values
