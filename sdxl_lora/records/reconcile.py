"""Brings files and rows together again after a crash, a power cut, or a lost database.

A file without a row is entered from its own text; a row without a file is dropped; temporary files that
nobody will finish are deleted. Safe beside other processes that add and delete at the same time: files are
renamed before their rows appear, and vanish before their rows do. Favourites and sessions are not in the
files and cannot come back.
"""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from sdxl_lora.errors import ImageError
from sdxl_lora.records import files, layout, metadata
from sdxl_lora.records.database import PictureRow, picture_values

logger = logging.getLogger(__name__)

STALE = 3600.0  # seconds after which nobody is still writing a temporary file


def reconcile(home: Path, engine: sa.Engine) -> tuple[str, ...]:
    """Make rows and files agree; returns what the user should be told, one line each.

    Takes one directory scan and one query where nothing is wrong. Raises `StorageError`.
    """
    folder = layout.pictures_folder(home)
    found = _scan(folder)
    with Session(engine) as session:
        rows = set(session.scalars(sa.select(PictureRow.id)))
    notices = []
    entered, unreadable = _enter(engine, {i: found[i] for i in sorted(found.keys() - rows)})
    if entered:
        notices.append(f"{entered} picture(s) were missing in the database and were entered again")
    if unreadable:
        notices.append(f"{unreadable} file(s) under {folder} do not say how they were made")
    # a file may have appeared after the scan, so look again before dropping its row
    gone = [i for i in sorted(rows - found.keys()) if not layout.picture_path(home, i).exists()]
    if gone:
        _drop(engine, gone)
        notices.append(f"{len(gone)} record(s) had lost their files and were dropped")
    for notice in notices:
        logger.warning("%s", notice)
    return tuple(notices)


def _scan(folder: Path) -> dict[str, Path]:
    """Every picture file by id; stale temporary files are deleted on the way."""
    found = {}
    with files.explained(folder):
        for path in folder.glob("*/*"):
            if path.suffix == ".png" and layout.is_id(path.stem):
                found[path.stem] = path
            elif path.suffix == files.TEMPORARY_SUFFIX and time.time() - path.stat().st_mtime > STALE:
                path.unlink(missing_ok=True)
    return found


def _enter(engine: sa.Engine, orphans: dict[str, Path]) -> tuple[int, int]:
    """Insert a row for every file that says how it was made; returns how many did, and how many did not."""
    values, unreadable = [], 0
    for identifier, path in orphans.items():
        try:
            facts = metadata.read(path)
        except ImageError as error:
            if path.exists():  # else another process has just deleted it
                logger.warning("%s: %s", path, error)
                unreadable += 1
            continue
        values.append(
            picture_values(
                identifier,
                created_at=facts.created_at or datetime.fromtimestamp(path.stat().st_mtime, UTC),
                request=facts.request,
                scores=facts.scores,
                seconds=facts.seconds,
                size=(facts.width, facts.height),
            )
        )
    if values:
        with Session(engine) as session, session.begin():
            # the process that wrote the file may be committing its row just now: its row is the better one
            session.execute(insert(PictureRow).on_conflict_do_nothing(), values)
    return len(values), unreadable


def _drop(engine: sa.Engine, identifiers: list[str]) -> None:
    with Session(engine) as session, session.begin():
        for identifier in identifiers:
            session.execute(sa.delete(PictureRow).where(PictureRow.id == identifier))
