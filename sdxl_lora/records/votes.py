"""People's votes on pictures: approved or rejected, what was wrong, and in whose brand's name.

A vote keeps the picture's CLIP features, so that it still teaches when the picture is deleted. One vote per picture
and brand: a second one replaces the first. Knows nothing of what is learned from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from sdxl_lora.errors import NotFoundError
from sdxl_lora.records import layout
from sdxl_lora.records.database import Base, DatabaseUser, storage_errors


class VoteRow(Base):
    """One vote."""

    __tablename__ = "votes"

    picture_id: Mapped[str] = mapped_column(primary_key=True)
    brand: Mapped[str] = mapped_column(primary_key=True)  # "" = no brand
    created_at: Mapped[datetime]  # UTC, without time zone
    approved: Mapped[bool]
    notes: Mapped[dict[str, Any]]  # "tags": what is wrong, "text": in the voter's own words
    features: Mapped[dict[str, Any]]  # "model": name of the CLIP, "values": its embedding of the picture


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What a person said about a picture."""

    picture_id: str
    brand: str
    created_at: datetime  # UTC
    approved: bool
    tags: tuple[str, ...]
    text: str
    model: str  # name of the CLIP that `features` are of
    features: tuple[float, ...]


class Votes(DatabaseUser):
    """All votes under one data folder. Methods raise `StorageError` where the disk refuses."""

    def cast(
        self,
        picture_id: str,
        *,
        approved: bool,
        model: str,
        features: Sequence[float],
        brand: str = "",
        tags: Sequence[str] = (),
        text: str = "",
    ) -> None:
        """Keeps a vote; raises `NotFoundError` for what is no picture's id."""
        if not layout.is_id(picture_id):
            raise NotFoundError(f"there is no picture {picture_id[:80]!r}; vote on one of the gallery")
        values = {
            "picture_id": picture_id,
            "brand": brand.strip(),
            "created_at": datetime.now(UTC).replace(tzinfo=None),
            "approved": approved,
            "notes": {"tags": list(tags), "text": text},
            "features": {"model": model, "values": [float(value) for value in features]},
        }
        statement = insert(VoteRow).values(values)
        statement = statement.on_conflict_do_update(index_elements=["picture_id", "brand"], set_=values)
        with storage_errors(self._database), Session(self._engine) as session, session.begin():
            session.execute(statement)

    def describe(self, picture_id: str, brand: str = "", *, tags: Sequence[str], text: str) -> None:
        """Replaces what a vote says besides yes and no; nothing where there is no vote."""
        with storage_errors(self._database), Session(self._engine) as session, session.begin():
            session.execute(
                sa.update(VoteRow)
                .where(VoteRow.picture_id == picture_id, VoteRow.brand == brand.strip())
                .values(notes={"tags": list(tags), "text": text})
            )

    def withdraw(self, picture_id: str, brand: str = "") -> None:
        """Forgets a vote, if there is one."""
        self._delete(VoteRow.picture_id == picture_id, VoteRow.brand == brand.strip())

    def reset(self, brand: str = "") -> None:
        """Forgets every vote of a brand: what was learned from them is gone too."""
        self._delete(VoteRow.brand == brand.strip())

    def find(self, picture_id: str, brand: str = "") -> Vote | None:
        """The vote on one picture in the name of a brand, if there is one."""
        with storage_errors(self._database), Session(self._engine) as session:
            row = session.get(VoteRow, (picture_id, brand.strip()))
            return None if row is None else _vote(row)

    def of_brand(self, brand: str = "", *, model: str | None = None) -> list[Vote]:
        """Votes of a brand, oldest first; `model`: only those with features of this CLIP."""
        query = sa.select(VoteRow).where(VoteRow.brand == brand.strip())
        with storage_errors(self._database), Session(self._engine) as session:
            rows = session.scalars(query.order_by(VoteRow.created_at, VoteRow.picture_id))
            votes = [_vote(row) for row in rows]
        return [vote for vote in votes if model in (None, vote.model)]

    def brands(self) -> dict[str, int]:
        """Brand -> number of votes."""
        query = sa.select(VoteRow.brand, sa.func.count()).group_by(VoteRow.brand).order_by(VoteRow.brand)
        with storage_errors(self._database), Session(self._engine) as session:
            return {str(row[0]): int(row[1]) for row in session.execute(query)}

    def _delete(self, *conditions: sa.ColumnElement[bool]) -> None:
        with storage_errors(self._database), Session(self._engine) as session, session.begin():
            session.execute(sa.delete(VoteRow).where(*conditions))


def _vote(row: VoteRow) -> Vote:
    return Vote(
        picture_id=row.picture_id,
        brand=row.brand,
        created_at=row.created_at.replace(tzinfo=UTC),
        approved=row.approved,
        tags=tuple(row.notes.get("tags", ())),
        text=row.notes.get("text", ""),
        model=row.features.get("model", ""),
        features=tuple(row.features.get("values", ())),
    )
