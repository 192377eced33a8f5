"""The trash: pictures that were deleted and can be brought back, until it is emptied by hand or they are old enough.

    home/trash/YYYY-MM-DD/<id>.png     the file, moved here as it is; the day is the picture's

Where the file lies decides: a file here is deleted, whatever the database says, so that a crash in the middle loses
nothing (`Trash.catch_up`, at the start). The table remembers what the file does not say: when it was deleted, who
asked for it, whether it was a favourite. Votes, boards and jobs go on naming a picture that is here.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sdxl_lora import files
from sdxl_lora.errors import InputError, RequestError
from sdxl_lora.records import finding, layout, upserts
from sdxl_lora.records.database import Database
from sdxl_lora.records.reconcile import enter
from sdxl_lora.records.tables import PictureRow, TrashRow

logger = logging.getLogger(__name__)

DAYS = 30  # that a picture stays here, unless SDXL_LORA_TRASH_DAYS says otherwise


@dataclass(frozen=True)
class Deleted:
    """A picture in the trash."""

    id: str
    deleted_at: datetime  # UTC
    path: Path  # of the PNG


def days() -> int:
    """How long pictures stay; 0 = until the trash is emptied by hand. Raises `RequestError`."""
    text = os.environ.get("SDXL_LORA_TRASH_DAYS", "").strip()
    if not text:
        return DAYS
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise RequestError(
            f"SDXL_LORA_TRASH_DAYS is {text[:20]!r}; write a number of days, 0 to keep deleted pictures"
        )
    return int(text)


class Trash:
    """The trash of a data folder. Methods raise `StorageError`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.home = database.home

    def catch_up(self) -> None:
        """Makes table and files agree, and deletes for good what was here long enough."""
        files_of = layout.trash_folder(self.home).glob("*/*.png")
        there = {path.stem for path in files_of if layout.is_id(path.stem)}
        with self.database.reading() as session:
            rows = set(session.scalars(sa.select(TrashRow.id)))
        if there != rows:
            now = datetime.now(UTC).replace(tzinfo=None)
            new = [
                {"id": i, "deleted_at": now, "session": "", "favourite": False} for i in sorted(there - rows)
            ]
            with self.database.writing(repair=True) as session:
                if new:
                    upserts.insert_missing(session, TrashRow, new)
                for identifier in rows - there:
                    session.execute(sa.delete(TrashRow).where(TrashRow.id == identifier))
        try:
            if (kept := days()) > 0:
                self.empty(older_than=kept)
        except InputError as error:
            logger.warning("the trash is not emptied: %s", error)

    def put(self, identifiers: Sequence[str]) -> list[str]:
        """Moves pictures here; returns those that were there to move."""
        return [identifier for identifier in identifiers if self._put(identifier)]

    def _put(self, identifier: str) -> bool:
        path, target = (
            layout.picture_path(self.home, identifier),
            layout.trash_path(self.home, identifier),
        )
        moved = committed = False
        try:
            with self.database.writing() as session:
                row = session.get(PictureRow, identifier)
                if row is None:
                    return False
                values = {
                    "id": identifier,
                    "deleted_at": datetime.now(UTC).replace(tzinfo=None),
                    "session": row.session,
                    "favourite": row.favourite,
                }
                upserts.insert_or_update(session, TrashRow, values)
                session.delete(row)
                for statement in finding.forget([identifier]):
                    session.execute(statement)
                session.flush()
                if path.is_file():
                    _move(path, target)
                    moved = True
            committed = True
        finally:
            if moved and not committed:  # the row stays, and so does the file
                _move(target, path)
        return True

    def restore(self, identifiers: Sequence[str]) -> list[str]:
        """Brings pictures back to where they were, marks and all; returns those that were here."""
        brought: list[str] = []
        for identifier in identifiers:
            path, target = (
                layout.trash_path(self.home, identifier),
                layout.picture_path(self.home, identifier),
            )
            if not path.is_file():
                continue
            with self.database.reading() as session:
                row = session.get(TrashRow, identifier)
                kept: dict[str, Any] = (
                    {} if row is None else {"session": row.session, "favourite": row.favourite}
                )
            _move(path, target)
            enter(self.database, {identifier: target})
            with self.database.writing() as session:
                session.execute(sa.delete(TrashRow).where(TrashRow.id == identifier))
                if kept:
                    session.execute(sa.update(PictureRow).where(PictureRow.id == identifier).values(**kept))
            brought.append(identifier)
        return brought

    def all(self) -> list[Deleted]:
        """Everything that is here, what was deleted last first."""
        query = sa.select(TrashRow.id, TrashRow.deleted_at).order_by(
            TrashRow.deleted_at.desc(), TrashRow.id.desc()
        )
        with self.database.reading() as session:
            rows = session.execute(query).all()
        return [Deleted(i, at.replace(tzinfo=UTC), layout.trash_path(self.home, i)) for i, at in rows]

    def count(self) -> int:
        """How many pictures are here."""
        with self.database.reading() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(TrashRow)) or 0

    def empty(self, *, older_than: int | None = None) -> int:
        """Deletes pictures for good, on a full disk too; returns how many.

        `older_than`: only those that have been here for so many days; None = all.
        """
        query = sa.select(TrashRow.id)
        if older_than is not None:
            until = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=older_than)
            query = query.where(TrashRow.deleted_at < until)
        with self.database.reading() as session:
            ids = list(session.scalars(query))
        for identifier in ids:
            path = layout.trash_path(self.home, identifier)
            with files.storage_errors(path, "delete"):
                path.unlink(missing_ok=True)
                if not layout.picture_path(self.home, identifier).exists():  # of one that was brought back
                    layout.thumbnail_path(self.home, identifier).unlink(missing_ok=True)
            self.database.forget(sa.delete(TrashRow).where(TrashRow.id == identifier))
        return len(ids)


def _move(path: Path, target: Path) -> None:
    with files.storage_errors(target, "move a picture to"):
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
