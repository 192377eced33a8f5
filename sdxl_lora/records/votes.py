"""People's votes on pictures: approved or rejected, what was wrong, and in whose brand's name.

A vote keeps the picture's CLIP features, so that it still teaches when the picture is deleted. One vote per picture
and brand: a second one replaces the first. Every vote also stands in `home/votes.jsonl`, from which a lost table is
filled again. Knows nothing of what is learned from them.
"""

import base64
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from sdxl_lora.errors import NotFoundError
from sdxl_lora.records import layout, upserts
from sdxl_lora.records.database import Database, Repository
from sdxl_lora.records.journal import Journal, Line
from sdxl_lora.records.tables import VoteRow

logger = logging.getLogger(__name__)


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


class Votes(Repository):
    """All votes under one data folder. Methods raise `StorageError` where the disk refuses."""

    def __init__(self, where: Database | Path) -> None:
        super().__init__(where)
        self._journal = Journal(self.database, "votes.jsonl", enter=_enter, tell=_tell)
        self.notices += self._journal.begin()

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
        said = {"approved": approved, "tags": list(tags), "text": text}
        learned = {"model": model, "features": _packed(features)}
        self._note("cast", picture_id, brand, **said, **learned)

    def describe(self, picture_id: str, brand: str = "", *, tags: Sequence[str], text: str) -> None:
        """Replaces what a vote says besides yes and no; nothing where there is no vote."""
        self._note("describe", picture_id, brand, tags=list(tags), text=text)

    def withdraw(self, picture_id: str, brand: str = "") -> None:
        """Forgets a vote, if there is one."""
        self._note("withdraw", picture_id, brand)

    def reset(self, brand: str = "") -> None:
        """Forgets every vote of a brand: what was learned from them is gone too."""
        self._note("reset", "", brand)

    def _note(self, action: str, picture_id: str, brand: str, **facts: Any) -> None:
        line = {"action": action, "picture": picture_id, "brand": brand.strip()}
        self._journal.append({**line, "created_at": datetime.now(UTC).isoformat(), **facts})

    def find(self, picture_id: str, brand: str = "") -> Vote | None:
        """The vote on one picture in the name of a brand, if there is one."""
        with self.database.reading() as session:
            row = session.get(VoteRow, (picture_id, brand.strip()))
            return None if row is None else _vote(row)

    def verdicts(self, picture_ids: Iterable[str]) -> dict[str, bool]:
        """Picture -> whether it was approved, of those that have a vote, whatever the brand."""
        found: dict[str, bool] = {}
        wanted = list(picture_ids)
        with self.database.reading() as session:
            for some in upserts.parts(wanted):
                query = sa.select(VoteRow.picture_id, VoteRow.approved)
                rows = session.execute(query.where(VoteRow.picture_id.in_(some)))
                found |= {str(row[0]): bool(row[1]) for row in rows}
        return found

    def of_brand(self, brand: str = "", *, model: str | None = None) -> list[Vote]:
        """Votes of a brand, oldest first; `model`: only those with features of this CLIP."""
        query = sa.select(VoteRow).where(VoteRow.brand == brand.strip())
        with self.database.reading() as session:
            rows = session.scalars(query.order_by(VoteRow.created_at, VoteRow.picture_id))
            votes = [_vote(row) for row in rows]
        return [vote for vote in votes if model in (None, vote.model)]

    def brands(self) -> dict[str, int]:
        """Brand -> number of votes."""
        query = sa.select(VoteRow.brand, sa.func.count()).group_by(VoteRow.brand).order_by(VoteRow.brand)
        with self.database.reading() as session:
            return {str(row[0]): int(row[1]) for row in session.execute(query)}


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


def _enter(session: Session, line: Line) -> None:
    """Makes the table say what a line of the journal says."""
    action, picture, brand = line["action"], str(line["picture"]), str(line["brand"])
    one = (VoteRow.picture_id == picture, VoteRow.brand == brand)
    if action == "cast":
        made = datetime.fromisoformat(line["created_at"]).astimezone(UTC).replace(tzinfo=None)
        values = {
            "picture_id": picture,
            "brand": brand,
            "created_at": made,
            "approved": bool(line["approved"]),
            "notes": _notes(line),
            "features": {"model": str(line["model"]), "values": _unpacked(line["features"])},
        }
        upserts.insert_or_update(session, VoteRow, values)
    elif action == "describe":
        session.execute(sa.update(VoteRow).where(*one).values(notes=_notes(line)))
    elif action == "withdraw":
        session.execute(sa.delete(VoteRow).where(*one))
    elif action == "reset":
        session.execute(sa.delete(VoteRow).where(VoteRow.brand == brand))
    else:
        raise ValueError(f"action {str(action)[:40]!r} is not known")


def _tell(session: Session) -> Iterator[Line]:
    """The lines that lead to what the table says."""
    for row in session.scalars(sa.select(VoteRow).order_by(VoteRow.created_at, VoteRow.picture_id)):
        vote = _vote(row)
        yield {
            "action": "cast",
            "picture": vote.picture_id,
            "brand": vote.brand,
            "created_at": vote.created_at.isoformat(),
            "approved": vote.approved,
            "tags": list(vote.tags),
            "text": vote.text,
            "model": vote.model,
            "features": _packed(vote.features),
        }


def _notes(line: Line) -> dict[str, Any]:
    return {"tags": [str(tag) for tag in line["tags"]], "text": str(line["text"])}


def _packed(features: Sequence[float]) -> str:
    """Features as their type and base64: float32 where that is exact, as for every CLIP; a third of their JSON."""
    exact = np.asarray(features, dtype="<f8")
    short = exact.astype("<f4")
    kind, values = ("<f4", short) if np.array_equal(short, exact) else ("<f8", exact)
    return f"{kind}:{base64.b64encode(values.tobytes()).decode()}"


def _unpacked(text: str) -> list[float]:
    kind, _, data = text.partition(":")
    if kind not in ("<f4", "<f8"):
        raise ValueError(f"features of type {kind[:10]!r} are not known")
    values: list[float] = np.frombuffer(base64.b64decode(data, validate=True), dtype=kind).tolist()
    return values
