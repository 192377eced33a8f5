"""The tables of the database, as SQLAlchemy maps them; portable, nothing here is SQLite's own.

To change them, change the classes and add a revision under `migrations/versions`: only columns with a default on the
server, tables and indexes may be added, so that a program of an earlier version can go on with the folder. The
database is an index: pictures, reports, comparisons and votes can all be entered again from their files.
"""

from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Root of the mapped classes."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: sa.JSON, list[int]: sa.JSON}


class PictureRow(Base):
    """One picture. Its file is `pictures/YYYY-MM-DD/<id>.png`, by the day in the id."""

    __tablename__ = "pictures"
    # every list is newest first, which is by id: with these a page of 24 reads 24 rows
    __table_args__ = (
        sa.Index("ix_pictures_session_id", "session", "id"),
        sa.Index("ix_pictures_favourite_id", "favourite", "id"),
        sa.Index("ix_pictures_model_id", "model", "id"),
        sa.Index("ix_pictures_created_at", "created_at"),
        sa.Index("ix_pictures_score_id", "score", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)  # sorts by time, see `layout.new_id`
    created_at: Mapped[datetime]  # UTC, without time zone: SQLite has none
    request: Mapped[dict[str, Any]]  # GenerationRequest.to_dict(), for this one picture
    scores: Mapped[dict[str, Any]]  # scorer key -> values
    seconds: Mapped[float]  # wall clock
    session: Mapped[str]
    favourite: Mapped[bool]
    width: Mapped[int]  # px
    height: Mapped[int]  # px
    search_text: Mapped[
        str
    ]  # see `searching.words_of`; what an earlier version wrote is replaced at the start
    model: Mapped[str] = mapped_column(server_default="")  # "" = written by an earlier version
    score: Mapped[float] = mapped_column(server_default="-2")  # -2 = none, below every one there is


class FoundByRow(Base):
    """What a picture is found by, narrow, so that looking through all of them takes milliseconds; see `finding`."""

    __tablename__ = "picture_found_by"
    __table_args__ = (
        sa.Index("ix_picture_found_by_brand", "brand", "picture_id"),
        sa.Index("ix_picture_found_by_sku", "sku", "picture_id"),
    )

    picture_id: Mapped[str] = mapped_column(primary_key=True)
    words: Mapped[str]  # as `PictureRow.search_text`
    brand: Mapped[str]  # the kit's name, or the template's brand; "" = none
    sku: Mapped[str]  # case-folded; "" = none
    seed: Mapped[int] = mapped_column(sa.BigInteger)


class PictureLoraRow(Base):
    """One LoRA that a picture was drawn with."""

    __tablename__ = "picture_loras"

    lora: Mapped[str] = mapped_column(primary_key=True)  # as its request names it
    picture_id: Mapped[str] = mapped_column(primary_key=True)


class EmbeddingRow(Base):
    """What a CLIP sees in a picture; see `embeddings`."""

    __tablename__ = "picture_embeddings"
    __table_args__ = (sa.UniqueConstraint("picture_id", "judge", name="uq_picture_embeddings_picture"),)

    # the order they were entered in, so that a reader takes up where it was
    number: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    picture_id: Mapped[str]
    judge: Mapped[str]  # contents of the CLIP: vectors of two are not comparable
    vector: Mapped[bytes]  # float16, little-endian, of length 1


class TrashRow(Base):
    """One picture in the trash: what its file does not say; see `trash`."""

    __tablename__ = "trash"

    id: Mapped[str] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime]  # UTC, without time zone
    session: Mapped[str]
    favourite: Mapped[bool]


class BoardRow(Base):
    """One board, see `boards`."""

    __tablename__ = "boards"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class BoardPictureRow(Base):
    """A picture on a board; it may have been deleted."""

    __tablename__ = "board_pictures"
    __table_args__ = (sa.Index("ix_board_pictures_picture_id", "picture_id"),)

    board: Mapped[str] = mapped_column(primary_key=True)
    picture_id: Mapped[str] = mapped_column(primary_key=True)


class VoteRow(Base):
    """One vote on a picture."""

    __tablename__ = "votes"
    __table_args__ = (sa.Index("ix_votes_approved_picture_id", "approved", "picture_id"),)

    picture_id: Mapped[str] = mapped_column(primary_key=True)
    brand: Mapped[str] = mapped_column(primary_key=True)  # "" = no brand
    created_at: Mapped[datetime]  # UTC, without time zone
    approved: Mapped[bool]
    notes: Mapped[dict[str, Any]]  # "tags": what is wrong, "text": in the voter's own words
    features: Mapped[dict[str, Any]]  # "model": name of the CLIP, "values": its embedding of the picture


class EvaluationRow(Base):
    """One evaluation; the numbers are in its file."""

    __tablename__ = "evaluations"

    id: Mapped[str] = mapped_column(primary_key=True)  # hex digits of the report's content
    created_at: Mapped[datetime]  # UTC, without time zone
    label: Mapped[str]
    folders: Mapped[dict[str, Any]]  # "generated", "reference" -> absolute path
    summary: Mapped[dict[str, Any]]  # metric -> mean, ci95, n, higher_is_better


class ComparisonRow(Base):
    """One comparison."""

    __tablename__ = "comparisons"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]  # UTC, without time zone
    title: Mapped[str]
    definition: Mapped[dict[str, Any]]  # "rows", "columns", "settings"
    scores: Mapped[dict[str, Any]]  # what `comparing.engine.score` found; empty before


class CellRow(Base):
    """One cell of a comparison that is settled: a picture, or the reason why there is none."""

    __tablename__ = "comparison_cells"

    comparison: Mapped[str] = mapped_column(primary_key=True)
    column: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    file: Mapped[str]  # name in the comparison's folder; "" = none
    reason: Mapped[str]
    facts: Mapped[dict[str, Any]]  # seed, model, steps ...


class BallotRow(Base):
    """One vote in a comparison: of one voter on one row."""

    __tablename__ = "comparison_votes"

    comparison: Mapped[str] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    voter: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[str]  # ISO 8601, UTC; sorts by time
    choice: Mapped[int | None]  # the column; None = none is better
    columns: Mapped[list[int]]  # in the order shown
    blind: Mapped[bool]  # whether the voter had not seen the names


class ViewerRow(Base):
    """Somebody who has seen the names in a comparison, so that later votes are not blind."""

    __tablename__ = "comparison_viewers"

    comparison: Mapped[str] = mapped_column(primary_key=True)
    voter: Mapped[str] = mapped_column(primary_key=True)


class JournalRow(Base):
    """How much of a file of `records.journal` has been entered."""

    __tablename__ = "journals"

    name: Mapped[str] = mapped_column(primary_key=True)
    entered: Mapped[int] = mapped_column(sa.BigInteger)  # bytes


class FactRow(Base):
    """Something about the database itself, see `ownership`."""

    __tablename__ = "facts"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


# ---------------------------------------------------------------- jobs, see `jobs.store`


class JobRow(Base):
    """One job: what was asked for, where it stands, and which process is at it."""

    __tablename__ = "jobs"
    __table_args__ = (
        sa.UniqueConstraint("user", "idempotency_key", name="uq_jobs_user_idempotency_key"),
        sa.Index("ix_jobs_line", "state", "priority", "round", "number"),
        sa.Index("ix_jobs_user_number", "user", "number"),
        sa.Index("ix_jobs_work", "work", "number"),
        sa.Index("ix_jobs_begun", "priority", "round", "started"),
        sa.Index("ix_jobs_rounds", "priority", "user", "round", "started", "state"),
    )

    # the order of submission, whatever the clock says; SQLite counts by itself in an INTEGER only
    number: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    id: Mapped[str] = mapped_column(sa.String(32), unique=True)
    kind: Mapped[str]  # "pictures", "training"
    user: Mapped[str]
    idempotency_key: Mapped[str | None]  # NULL = none; unique with the user
    spec: Mapped[dict[str, Any]]  # as submitted
    decided: Mapped[dict[str, Any] | None]  # the request with nothing open, from the first run on
    work: Mapped[str]  # jobs of equal `work` take about the same time per picture
    pictures: Mapped[int]
    priority: Mapped[int]  # 0 is served first
    round: Mapped[int]  # of start-time fair queueing
    state: Mapped[str]  # of `jobs.job.State`
    pinned: Mapped[str]  # the process that alone may run it while it lives; "" = any
    owner: Mapped[str]  # the process that runs it; "" = none
    tries: Mapped[int]  # in a row that brought no picture
    delay: Mapped[float]  # seconds to wait before the next one, by the clock of who waits
    cancel: Mapped[bool]  # whoever runs it is to stop
    progress: Mapped[dict[str, Any]]  # what `jobs.job.Job` shows beside the spec
    error: Mapped[str | None]
    error_kind: Mapped[str]
    submitted_at: Mapped[float]  # Unix time, s; to be shown, nothing is decided by it
    started: Mapped[bool]  # it was begun at least once
    seconds: Mapped[float | None]  # per picture, as measured when it was done
    version: Mapped[int]  # counts changes of the row


class JobPictureRow(Base):
    """One picture of a job: which record it is, written down before its file is."""

    __tablename__ = "job_pictures"

    job: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)  # 0-based place in the request
    picture_id: Mapped[str]
    done: Mapped[bool]  # its record was committed; it may have been deleted since


class WorkerRow(Base):
    """A process that has jobs; it counts on while it lives."""

    __tablename__ = "workers"

    owner: Mapped[str] = mapped_column(primary_key=True)
    beat: Mapped[int] = mapped_column(sa.BigInteger)
