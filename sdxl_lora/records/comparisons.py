"""Comparisons of systems: what was asked, the picture or the reason in every cell, scores, and people's votes.

    home/comparisons/<id>/definition.json     rows and columns, without keys
    home/comparisons/<id>/<column>-<row>.png  the cells (or .jpg, .webp ...)
    home/comparisons/<id>/votes.jsonl         every vote, appended and flushed before it is counted

The tables are an index of these files; a database that was lost is filled from them again when the store is opened,
so no vote is lost with it. The id comes from the definition: the same comparison started again goes on where it
stopped. Knows nothing of models, providers and pages.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from sdxl_lora import plain_json
from sdxl_lora.errors import DataError, NotFoundError
from sdxl_lora.records import files
from sdxl_lora.records.database import Base, DatabaseUser, storage_errors

_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_CELL = re.compile(r"(\d+)-(\d+)\.(png|jpg|webp|gif|bmp|tif)", re.ASCII)


class ComparisonRow(Base):
    """One comparison."""

    __tablename__ = "comparisons"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]  # UTC, without time zone
    title: Mapped[str]
    definition: Mapped[dict[str, Any]]  # "rows", "columns", "settings"
    scores: Mapped[dict[str, Any]]  # what `comparing.engine.score` found; empty before


class CellRow(Base):
    """One cell that is settled: a picture, or the reason why there is none."""

    __tablename__ = "comparison_cells"

    comparison: Mapped[str] = mapped_column(primary_key=True)
    column: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    file: Mapped[str]  # name in the comparison's folder; "" = none
    reason: Mapped[str]
    facts: Mapped[dict[str, Any]]  # seed, model, steps ...


class BallotRow(Base):
    """One vote: of one voter on one row."""

    __tablename__ = "comparison_votes"

    comparison: Mapped[str] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    voter: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[str]  # ISO 8601, UTC; sorts by time
    choice: Mapped[int | None]  # the column; None = none is better
    columns: Mapped[list[int]]  # in the order shown
    blind: Mapped[bool]  # whether the voter had not seen the names


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What became of one prompt in one system."""

    path: Path | None
    reason: str = ""  # why there is no picture
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ComparisonVote:
    """One vote."""

    row: int
    voter: str
    choice: int | None
    columns: tuple[int, ...]
    blind: bool


@dataclass(frozen=True, kw_only=True)
class ComparisonRecord:
    """Everything known of a comparison but its votes."""

    id: str
    created_at: datetime  # UTC
    title: str
    rows: tuple[dict[str, Any], ...]  # "key", "prompt", "facts"
    columns: tuple[dict[str, Any], ...]  # "label", "kind", "source", "loras", "notes"
    settings: dict[str, Any]  # "seed", "steps", "guidance"
    cells: Mapping[tuple[int, int], Cell]  # (column, row) -> what became of it
    scores: dict[str, Any]

    @property
    def missing(self) -> list[tuple[int, int]]:
        """(column, row) of the cells nothing is known of yet."""
        places = ((c, r) for c in range(len(self.columns)) for r in range(len(self.rows)))
        return [place for place in places if place not in self.cells]

    def pictures(self, row: int) -> list[int]:
        """The columns that have a picture in this row."""
        cells = ((c, self.cells.get((c, row))) for c in range(len(self.columns)))
        return [c for c, cell in cells if cell is not None and cell.path is not None and cell.path.is_file()]


class ComparisonStore(DatabaseUser):
    """All comparisons under one data folder. Methods raise `StorageError` where the disk refuses."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.folder = home / "comparisons"
        self._enter_what_was_lost()

    def begin(self, definition: Mapping[str, Any], title: str) -> ComparisonRecord:
        """A comparison with this definition; the one that is there, if it was begun before."""
        content = json.dumps(definition, sort_keys=True, ensure_ascii=False)
        identifier = hashlib.sha256(content.encode()).hexdigest()[:16]
        path = self._folder(identifier) / "definition.json"
        if not path.is_file():
            values = {"title": title, "created_at": _now(), **definition}
            files.write_atomically(path, json.dumps(values, ensure_ascii=False, indent=1).encode())
        self._enter_comparison(identifier)
        return self.get(identifier)

    def keep(
        self, identifier: str, column: int, row: int, data: bytes, suffix: str, facts: Mapping[str, Any]
    ) -> None:
        """Settles a cell with a picture's file content; `suffix` as `.png`."""
        path = self._folder(identifier) / f"{column}-{row}{suffix}"
        if not _CELL.fullmatch(path.name):
            raise DataError(f"{suffix!r} is no suffix of a picture")
        files.write_atomically(path, data)
        self._settle(identifier, column, row, path.name, "", facts)

    def refuse(self, identifier: str, column: int, row: int, reason: str) -> None:
        """Settles a cell that has no picture."""
        self._settle(identifier, column, row, "", reason, {})

    def keep_scores(self, identifier: str, scores: Mapping[str, Any]) -> None:
        """Remembers what the columns scored."""
        statement = sa.update(ComparisonRow).where(ComparisonRow.id == identifier).values(scores=dict(scores))
        self._write(statement)

    def get(self, identifier: str) -> ComparisonRecord:
        """One comparison. Raises `NotFoundError` if there is none."""
        with storage_errors(self._database), Session(self._engine) as session:
            found = session.get(ComparisonRow, identifier)
            if found is None:
                raise NotFoundError(f"there is no comparison {identifier[:80]!r}; `compare` makes one")
            cells = session.scalars(sa.select(CellRow).where(CellRow.comparison == identifier))
            return self._record(found, list(cells))

    def all(self) -> list[tuple[str, str, datetime]]:
        """(id, title, when begun) of every comparison, newest first."""
        columns = (ComparisonRow.id, ComparisonRow.title, ComparisonRow.created_at)
        newest = sa.select(*columns).order_by(ComparisonRow.created_at.desc(), ComparisonRow.id)
        with storage_errors(self._database), Session(self._engine) as session:
            return [(i, title, when.replace(tzinfo=UTC)) for i, title, when in session.execute(newest)]

    def delete(self, identifier: str) -> None:
        """Forgets a comparison with its pictures and votes."""
        folder = self._folder(identifier)
        with files.explained(folder, "delete"):
            shutil.rmtree(folder, ignore_errors=not folder.exists())
        for model, key in ((CellRow, "comparison"), (BallotRow, "comparison"), (ComparisonRow, "id")):
            self._write(sa.delete(model).where(getattr(model, key) == identifier))

    def vote(
        self,
        identifier: str,
        row: int,
        voter: str,
        *,
        choice: int | None,
        columns: Sequence[int],
        blind: bool,
    ) -> None:
        """Keeps a vote; a second one of the same voter on the same row replaces the first."""
        record = self.get(identifier)
        if not 0 <= row < len(record.rows) or (choice is not None and choice not in columns):
            raise DataError("this vote is for a picture that was not on the ballot")
        values = {
            "row": row,
            "voter": voter,
            "created_at": _now(),
            "choice": choice,
            "columns": list(columns),
            "blind": blind,
        }
        _append(self._folder(identifier) / "votes.jsonl", values)
        self._enter_votes(identifier, [values])

    def votes(self, identifier: str) -> list[ComparisonVote]:
        """Every vote on a comparison, oldest first."""
        query = sa.select(BallotRow).where(BallotRow.comparison == identifier)
        with storage_errors(self._database), Session(self._engine) as session:
            rows = session.scalars(query.order_by(BallotRow.created_at, BallotRow.row)).all()
        return [
            ComparisonVote(row=v.row, voter=v.voter, choice=v.choice, columns=tuple(v.columns), blind=v.blind)
            for v in rows
        ]

    def _folder(self, identifier: str) -> Path:
        if not _ID.fullmatch(identifier):  # it becomes part of a path
            raise NotFoundError(f"{identifier[:80]!r} is no id of a comparison")
        return self.folder / identifier

    def _record(self, found: ComparisonRow, cells: Sequence[CellRow]) -> ComparisonRecord:
        folder = self._folder(found.id)
        return ComparisonRecord(
            id=found.id,
            created_at=found.created_at.replace(tzinfo=UTC),
            title=found.title,
            rows=tuple(found.definition["rows"]),
            columns=tuple(found.definition["columns"]),
            settings=found.definition["settings"],
            cells={
                (cell.column, cell.row): Cell(
                    path=folder / cell.file if cell.file else None, reason=cell.reason, facts=cell.facts
                )
                for cell in cells
            },
            scores=found.scores,
        )

    def _settle(
        self, identifier: str, column: int, row: int, file: str, reason: str, facts: Mapping[str, Any]
    ) -> None:
        values = {"comparison": identifier, "column": column, "row": row}
        values |= {"file": file, "reason": reason, "facts": dict(facts)}
        statement = insert(CellRow).values(values)
        self._write(
            statement.on_conflict_do_update(index_elements=["comparison", "column", "row"], set_=values)
        )

    def _enter_comparison(self, identifier: str) -> None:
        definition = _read_json(self._folder(identifier) / "definition.json")
        if definition is None:
            return
        begun = datetime.fromisoformat(definition.pop("created_at"))
        values = {
            "id": identifier,
            "created_at": begun.replace(tzinfo=None),
            "title": definition.pop("title"),
        }
        statement = insert(ComparisonRow).values({**values, "definition": definition, "scores": {}})
        self._write(statement.on_conflict_do_nothing())

    def _enter_votes(self, identifier: str, votes: Sequence[Mapping[str, Any]]) -> None:
        for vote in votes:
            values = {"comparison": identifier, **vote}
            statement = insert(BallotRow).values(values)
            self._write(
                statement.on_conflict_do_update(
                    index_elements=["comparison", "row", "voter"],
                    set_=values,
                    where=BallotRow.created_at < statement.excluded.created_at,
                )
            )

    def _enter_what_was_lost(self) -> None:
        """Comparisons, cells and votes whose files are here and whose rows are not."""
        with storage_errors(self._database), Session(self._engine) as session:
            known = set(session.scalars(sa.select(ComparisonRow.id)))
            columns = (BallotRow.comparison, BallotRow.row, BallotRow.voter, BallotRow.created_at)
            voted = {(c, r, voter): when for c, r, voter, when in session.execute(sa.select(*columns))}
        for folder in sorted(self.folder.glob("[0-9a-f]*")):
            if not _ID.fullmatch(folder.name):
                continue
            if folder.name not in known:
                self._enter_comparison(folder.name)
                for path in sorted(folder.iterdir()):
                    if match := _CELL.fullmatch(path.name):
                        self._settle(folder.name, int(match[1]), int(match[2]), path.name, "", {})
            lost = [
                vote
                for vote in _lines(folder / "votes.jsonl")
                if vote["created_at"] > voted.get((folder.name, vote["row"], vote["voter"]), "")
            ]
            self._enter_votes(folder.name, lost)

    def _write(self, statement: sa.Executable) -> None:
        with storage_errors(self._database), Session(self._engine) as session, session.begin():
            session.execute(statement)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _append(path: Path, values: Mapping[str, Any]) -> None:
    """One line, on the disk when this returns; it never continues a line that a crash cut off."""
    with files.explained(path), path.open("ab") as file:
        start = b"" if file.tell() == 0 else b"\n"
        file.write(start + json.dumps(values, ensure_ascii=False).encode())
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return
    for line in lines:
        try:
            values = plain_json.parse(line)
        except ValueError:  # cut off by a crash: its vote was never confirmed
            continue
        if isinstance(values, dict) and {"row", "voter", "created_at", "choice", "columns", "blind"} == set(
            values
        ):
            yield values


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        values = plain_json.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = isinstance(values, dict) and {"title", "created_at", "rows", "columns", "settings"} <= set(
        values
    )
    return values if complete else None
