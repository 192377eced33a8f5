"""A picture's place in a job: no picture of a job is recorded twice, whoever draws it, and whenever that dies.

The identifier of the file to come is written down in the place first, then the file is written, then the record is
committed together with the place. A process that was killed in between has left a file that the place names: whoever
goes on with the job enters it instead of drawing it again. A process that has lost the job meanwhile (it hung, and
another one took over) finds out in the same transaction that would have recorded its picture. Knows nothing of queues.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sdxl_lora.errors import LeaseLostError
from sdxl_lora.records import layout
from sdxl_lora.records.database import Database
from sdxl_lora.records.reconcile import enter
from sdxl_lora.records.tables import JobPictureRow, JobRow, PictureRow

_LOST = "another process goes on with this job"

# made once, since every picture needs them; the job's row is locked, so that nobody takes it over meanwhile
_HOLDER = sa.select(JobRow.owner).where(JobRow.id == sa.bindparam("job")).with_for_update()
_PLACE = (
    sa.select(
        JobRow.owner,
        JobPictureRow.picture_id,
        JobPictureRow.done,
        sa.select(sa.func.max(PictureRow.id)).scalar_subquery().label("newest"),
    )
    .outerjoin(
        JobPictureRow,
        sa.and_(JobPictureRow.job == JobRow.id, JobPictureRow.index == sa.bindparam("index")),
    )
    .where(JobRow.id == sa.bindparam("job"))
    .with_for_update(of=JobRow)
)
_INSERT = sa.insert(JobPictureRow.__table__)  # type: ignore[arg-type]  # a table


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a picture belongs, and who is at it."""

    job: str
    index: int  # 0-based
    owner: str  # the process that holds the job


def reserve(session: Session, place: Place, created_at: datetime) -> tuple[str, bool]:
    """Writes down which id the picture of `place` will have; returns it, and whether a picture is there already.

    `created_at`: UTC; the id sorts behind all others, too. Raises `LeaseLostError` where another process holds the job.
    """
    row = session.execute(_PLACE, {"job": place.job, "index": place.index}).one_or_none()
    if row is None or row.owner != place.owner:
        raise LeaseLostError(_LOST)
    if row.done:
        return row.picture_id, True
    identifier = layout.new_id(created_at, after=row.newest or "")
    values = {"job": place.job, "index": place.index, "picture_id": identifier, "done": False}
    if row.picture_id is None:
        session.execute(_INSERT, values)
    else:
        session.execute(_of(place).values(picture_id=identifier))
    return identifier, False


def confirm(session: Session, place: Place) -> None:
    """The picture of `place` is recorded, once the transaction is committed. Raises as `reserve`."""
    if session.scalar(_HOLDER, {"job": place.job}) != place.owner:
        raise LeaseLostError(_LOST)
    session.execute(_of(place).values(done=True))


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


def _of(place: Place) -> sa.Update:
    table = JobPictureRow.__table__
    return sa.update(table).where(table.c.job == place.job, table.c.index == place.index)  # type: ignore[arg-type]
