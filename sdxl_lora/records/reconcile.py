"""Brings files and rows together again after a crash, a power cut, or a lost database.

A file without a row is entered from its own text; a row without a file is dropped; a row that an earlier version wrote
gets the columns it did not know; temporary files that nobody will finish are deleted. Safe beside other processes that
add and delete at the same time: files are renamed before their rows appear, and vanish before their rows do. Sessions
are not in the files and cannot come back.
"""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sdxl_lora import files
from sdxl_lora.errors import ImageError
from sdxl_lora.records import finding, layout, metadata, upserts
from sdxl_lora.records.database import Database
from sdxl_lora.records.tables import PictureRow

logger = logging.getLogger(__name__)

STALE = 3600.0  # seconds after which nobody is still writing a temporary file
_BATCH = 500  # rows of one transaction


def picture_values(
    identifier: str,
    *,
    created_at: datetime,
    request: dict[str, Any],
    scores: dict[str, dict[str, Any]],
    seconds: float,
    size: tuple[int, int],
    session: str = "",
) -> dict[str, Any]:
    """Column values of one new `PictureRow`; `size` is (width, height) in px."""
    return {
        "id": identifier,
        "created_at": created_at.astimezone(UTC).replace(tzinfo=None),
        "request": request,
        "scores": metadata.finite(scores),
        "seconds": seconds,
        "session": session,
        "favourite": False,
        "width": size[0],
        "height": size[1],
        **finding.columns(request, scores),
    }


def reconcile(database: Database) -> tuple[str, ...]:
    """Make rows and files agree; returns what the user should be told, one line each.

    Takes one directory scan and two queries where nothing is wrong. Raises `StorageError`.
    """
    folder = layout.pictures_folder(database.home)
    found = _scan(folder)
    with database.reading() as session:
        rows = set(session.scalars(sa.select(PictureRow.id)))
    notices = []
    entered, unreadable = enter(database, {i: found[i] for i in sorted(found.keys() - rows)})
    if entered:
        notices.append(f"{entered} picture(s) were missing in the database and were entered again")
    if unreadable:
        notices.append(f"{unreadable} file(s) under {folder} do not say how they were made")
    # a file may have appeared after the scan, so look again before dropping its row
    gone = [i for i in sorted(rows - found.keys()) if not _has_file(database.home, i)]
    if gone:
        _drop(database, gone)
        notices.append(f"{len(gone)} record(s) had lost their files and were dropped")
    finding.complete(database)
    for notice in notices:
        logger.warning("%s", notice)
    return tuple(notices)


def _scan(folder: Path) -> dict[str, Path]:
    """Every picture file by id; stale temporary files are deleted on the way."""
    found = {}
    with files.storage_errors(folder, "read"):
        for path in folder.glob("*/*"):
            if path.suffix == ".png" and layout.is_id(path.stem):
                found[path.stem] = path
            elif path.suffix == files.TEMPORARY_SUFFIX and _is_stale(path):
                path.unlink(missing_ok=True)
    return found


def _is_stale(path: Path) -> bool:
    try:
        return path.is_file() and time.time() - path.stat().st_mtime > STALE
    except FileNotFoundError:  # its writer has just renamed it
        return False


def _has_file(home: Path, identifier: str) -> bool:
    return layout.is_id(identifier) and layout.picture_path(home, identifier).exists()


def enter(database: Database, orphans: dict[str, Path]) -> tuple[int, int]:
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
                created_at=facts.created_at or layout.moment(identifier),
                request=facts.said or facts.request.to_dict(),
                scores=facts.scores,
                seconds=facts.seconds,
                size=(facts.width, facts.height),
            )
        )
    enter_rows(database, values)
    return len(values), unreadable


def enter_rows(database: Database, values: list[dict[str, Any]]) -> None:
    """Inserts rows of `picture_values` whose files are there; those that are in the table stay as they are."""
    for start in range(0, len(values), _BATCH):
        some = values[start : start + _BATCH]
        with database.writing(repair=True) as session:
            # the process that wrote the file may be committing its row just now: its row is the better one
            upserts.insert_missing(session, PictureRow, some)
            finding.enter(session, {one["id"]: one["request"] for one in some})


def _drop(database: Database, identifiers: list[str]) -> None:
    with database.writing(repair=True) as session:
        for identifier in identifiers:
            session.execute(sa.delete(PictureRow).where(PictureRow.id == identifier))
        for statement in finding.forget(identifiers):
            session.execute(statement)
