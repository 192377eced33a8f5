"""Comparisons of systems: what was asked, the picture or the reason in every cell, scores, and people's votes.

    home/comparisons/<id>/definition.json     rows and columns, without keys
    home/comparisons/<id>/<column>-<row>.png  the cells (or .jpg, .webp ...)
    home/comparisons/<id>/votes.jsonl         every vote, appended and flushed before it is counted

The tables are an index of these files; a database that was lost is filled from them again when the store is opened,
so no vote is lost with it. The id comes from the definition: the same comparison started again goes on where it
stopped. Knows nothing of models, providers and pages.
"""

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sdxl_lora import files
from sdxl_lora.errors import DataError, NotFoundError
from sdxl_lora.records import comparison_files, upserts
from sdxl_lora.records.database import Database, Repository
from sdxl_lora.records.tables import BallotRow, CellRow, ComparisonRow, ViewerRow

_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


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


class ComparisonStore(Repository):
    """All comparisons under one data folder. Methods raise `StorageError` where the disk refuses."""

    def __init__(self, where: Database | Path) -> None:
        super().__init__(where)
        self.folder = self.home / "comparisons"
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
        if comparison_files.place_of(path.name) is None:
            raise DataError(f"{suffix!r} is no suffix of a picture")
        files.write_atomically(path, data)
        self._settle(identifier, column, row, path.name, "", facts)

    def refuse(self, identifier: str, column: int, row: int, reason: str) -> None:
        """Settles a cell that has no picture."""
        self._settle(identifier, column, row, "", reason, {})

    def keep_scores(self, identifier: str, scores: Mapping[str, Any]) -> None:
        """Remembers what the columns scored."""
        statement = sa.update(ComparisonRow).where(ComparisonRow.id == identifier).values(scores=dict(scores))
        with self.database.writing() as session:
            session.execute(statement)

    def get(self, identifier: str) -> ComparisonRecord:
        """One comparison. Raises `NotFoundError` if there is none."""
        with self.database.reading() as session:
            found = session.get(ComparisonRow, identifier)
            if found is None:
                raise NotFoundError(f"there is no comparison {identifier[:80]!r}; `compare` makes one")
            cells = session.scalars(sa.select(CellRow).where(CellRow.comparison == identifier))
            return self._record(found, list(cells))

    def all(self) -> list[tuple[str, str, datetime]]:
        """(id, title, when begun) of every comparison, newest first."""
        columns = (ComparisonRow.id, ComparisonRow.title, ComparisonRow.created_at)
        newest = sa.select(*columns).order_by(ComparisonRow.created_at.desc(), ComparisonRow.id)
        with self.database.reading() as session:
            return [(i, title, when.replace(tzinfo=UTC)) for i, title, when in session.execute(newest)]

    def delete(self, identifier: str) -> None:
        """Forgets a comparison with its pictures and votes, on a full disk too."""
        folder = self._folder(identifier)
        with files.storage_errors(folder, "delete"):
            shutil.rmtree(folder, ignore_errors=not folder.exists())
        self.database.forget(
            sa.delete(CellRow).where(CellRow.comparison == identifier),
            sa.delete(BallotRow).where(BallotRow.comparison == identifier),
            sa.delete(ViewerRow).where(ViewerRow.comparison == identifier),
            sa.delete(ComparisonRow).where(ComparisonRow.id == identifier),
        )

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
        """Keeps a vote; a second one of the same voter on the same row replaces the first.

        `blind` counts only for a voter who has not seen the names. Raises `NotFoundError`, `DataError`.
        """
        record = self.get(identifier)
        if not 0 <= row < len(record.rows) or (choice is not None and choice not in columns):
            raise DataError("this vote is for a picture that was not on the ballot")
        blind = blind and not self.has_seen_names(identifier, voter)
        with self.database.writing() as session:  # holds the lock: lines stand in the order of their times
            newest = sa.select(sa.func.max(BallotRow.created_at)).where(BallotRow.comparison == identifier)
            values = {
                "row": row,
                "voter": voter,
                "created_at": _now(after=session.scalar(newest) or ""),
                "choice": choice,
                "columns": list(columns),
                "blind": blind,
            }
            self._append(identifier, values)
            upserts.insert_or_update(session, BallotRow, {"comparison": identifier, **values})

    def votes(self, identifier: str) -> list[ComparisonVote]:
        """Every vote on a comparison, oldest first."""
        query = sa.select(BallotRow).where(BallotRow.comparison == identifier)
        with self.database.reading() as session:
            rows = session.scalars(query.order_by(BallotRow.created_at, BallotRow.row)).all()
        return [
            ComparisonVote(row=v.row, voter=v.voter, choice=v.choice, columns=tuple(v.columns), blind=v.blind)
            for v in rows
        ]

    def saw_names(self, identifier: str, voter: str) -> None:
        """From now on votes of this voter are not blind. Raises `NotFoundError`."""
        self.get(identifier)
        if not self.has_seen_names(identifier, voter):
            with self.database.writing() as session:
                self._append(identifier, {"voter": voter, comparison_files.SEEN: _now()})
                values = {"comparison": identifier, "voter": voter}
                upserts.insert_missing(session, ViewerRow, [values])

    def has_seen_names(self, identifier: str, voter: str) -> bool:
        """Whether `saw_names` was said of this voter."""
        with self.database.reading() as session:
            return session.get(ViewerRow, (identifier, voter)) is not None

    def _append(self, identifier: str, values: Mapping[str, Any]) -> None:
        line = json.dumps(values, ensure_ascii=False).encode()
        files.append_line(self._folder(identifier) / "votes.jsonl", line)

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
        with self.database.writing() as session:
            upserts.insert_or_update(session, CellRow, values)

    def _enter_comparison(self, identifier: str, *, repair: bool = False) -> None:
        definition = comparison_files.read_definition(self._folder(identifier))
        if definition is None:
            return
        values = {
            "id": identifier,
            "created_at": definition.pop("created_at").astimezone(UTC).replace(tzinfo=None),
            "title": str(definition.pop("title")),
            "definition": definition,
            "scores": {},
        }
        with self.database.writing(repair=repair) as session:
            upserts.insert_missing(session, ComparisonRow, [values])

    def _enter_what_was_lost(self) -> None:
        """Comparisons, cells and votes whose files are here and whose rows are not."""
        with self.database.reading() as session:
            known = set(session.scalars(sa.select(ComparisonRow.id)))
            columns = (BallotRow.comparison, BallotRow.row, BallotRow.voter, BallotRow.created_at)
            voted = {(c, r, voter): when for c, r, voter, when in session.execute(sa.select(*columns))}
            viewers = {(v.comparison, v.voter) for v in session.scalars(sa.select(ViewerRow))}
        for folder in sorted(self.folder.glob("[0-9a-f]*")):
            if not _ID.fullmatch(folder.name) or not folder.is_dir():
                continue
            rows: list[Callable[[Session], None]] = []
            if folder.name not in known:
                self._enter_comparison(folder.name, repair=True)
                for column, row, name in comparison_files.cells(folder):
                    values = {"comparison": folder.name, "column": column, "row": row, "file": name}
                    cell = {**values, "reason": "", "facts": {}}
                    rows.append(partial(upserts.insert_missing, row=CellRow, values=[cell]))
            votes, seen = comparison_files.lines(folder)
            for vote in votes:
                if vote["created_at"] > voted.get((folder.name, vote["row"], vote["voter"]), ""):
                    values = {"comparison": folder.name, **vote}
                    enter = partial(upserts.insert_or_update, row=BallotRow, values=values)
                    rows.append(partial(enter, only_if_older="created_at"))
            for voter in seen:
                if (folder.name, voter) not in viewers:
                    values = {"comparison": folder.name, "voter": voter}
                    rows.append(partial(upserts.insert_missing, row=ViewerRow, values=[values]))
            if rows:
                with self.database.writing(repair=True) as session:
                    for enter_row in rows:
                        enter_row(session)


def _now(after: str = "") -> str:
    """ISO 8601, UTC; `after`: the newest so far, behind which it sorts even where the clock was set back."""
    now = datetime.now(UTC)
    with contextlib.suppress(ValueError):
        now = max(now, datetime.fromisoformat(after) + timedelta(microseconds=1))
    return now.isoformat(timespec="microseconds")
