"""A picture's place in a job: no picture of a job is recorded twice, whoever draws it, and whenever that dies.

The identifier of the file to come is written down in the place first, then the file is written, then the record is
committed together with the place. A process that was killed in between has left a file that the place names: whoever
goes on with the job enters it instead of drawing it again. A process that has lost the job meanwhile (it hung, and
another one took over) finds out in the same transaction that would have recorded its picture. Knows nothing of queues.
"""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sdxl_lora.errors import LeaseLostError
from sdxl_lora.records import layout
from sdxl_lora.records.database import Database
from sdxl_lora.records.reconcile import enter
from sdxl_lora.records.tables import JobPictureRow, JobRow, PictureRow


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a picture belongs, and who is at it."""

    job: str
    index: int  # 0-based
    owner: str  # the process that holds the job


def reserve(session: Session, place: Place, identifier: str) -> str | None:
    """Writes down that the picture of `place` will have that id; another id, where it is there already.

    Raises `LeaseLostError` where another process holds the job.
    """
    _check(session, place)
    row = session.get(JobPictureRow, (place.job, place.index))
    if row is None:
        session.add(JobPictureRow(job=place.job, index=place.index, picture_id=identifier, done=False))
        return None
    if row.done:
        return row.picture_id
    row.picture_id = identifier
    return None


def confirm(session: Session, place: Place) -> None:
    """The picture of `place` is recorded, once the transaction is committed. Raises as `reserve`."""
    _check(session, place)
    change = sa.update(JobPictureRow).where(
        JobPictureRow.job == place.job, JobPictureRow.index == place.index
    )
    session.execute(change.values(done=True))


def names(database: Database, place: Place, identifier: str) -> bool:
    """Whether the picture of that id is the one of `place`. Raises `StorageError`."""
    with database.reading() as session:
        row = session.get(JobPictureRow, (place.job, place.index))
        return row is not None and row.picture_id == identifier


def finished(database: Database, job: str, *, user: str = "") -> dict[int, str]:
    """Index -> record id of every picture of a job that is there; files without a record are entered, for `user`.

    Raises `StorageError`.
    """
    with database.reading() as session:
        rows = list(session.scalars(sa.select(JobPictureRow).where(JobPictureRow.job == job)))
    left: dict[str, Path] = {}
    for row in rows:
        path = layout.picture_path(database.home, row.picture_id)
        if not row.done and path.is_file():
            left[row.picture_id] = path
    if left:
        enter(database, left)
        with database.writing() as session:
            there = list(session.scalars(sa.select(PictureRow.id).where(PictureRow.id.in_(left))))
            session.execute(sa.update(PictureRow).where(PictureRow.id.in_(there)).values(session=user))
            found = sa.update(JobPictureRow).where(
                JobPictureRow.job == job, JobPictureRow.picture_id.in_(there)
            )
            session.execute(found.values(done=True))
    else:
        there = []
    return {row.index: row.picture_id for row in rows if row.done or row.picture_id in there}


def _check(session: Session, place: Place) -> None:
    query = sa.select(JobRow.owner).where(JobRow.id == place.job).with_for_update()
    if session.scalar(query) != place.owner:
        raise LeaseLostError("another process goes on with this job")
