"""Finished evaluations: each a portable JSON file and a row that finds it.

    home/evaluations/<id>.json     the report as `evaluate` computed it

The id comes from the report's content, so evaluating the same files again replaces nothing but the date. The
rows are an index like those of the pictures: reports whose row was lost are entered again when the store is
opened.
"""

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sdxl_lora import files
from sdxl_lora.errors import NotFoundError
from sdxl_lora.records import upserts
from sdxl_lora.records.database import Database, Repository
from sdxl_lora.records.tables import EvaluationRow

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """What a list of evaluations shows; `EvaluationStore.report` has everything."""

    id: str
    created_at: datetime  # UTC
    label: str
    folders: dict[str, Path]  # where its pictures lay when it was made
    summary: dict[str, dict[str, Any]]  # metric -> mean, ci95, n, higher_is_better


class EvaluationStore(Repository):
    """All evaluations under one data folder. Methods raise `StorageError` where the disk refuses."""

    def __init__(self, where: Database | Path) -> None:
        super().__init__(where)
        self.folder = self.home / "evaluations"
        self._enter_lost_reports()

    def add(self, report: dict[str, Any], folders: dict[str, Path]) -> EvaluationRecord:
        """Keeps a report (`evaluation.Evaluation.to_dict`); its folders say where its pictures are."""
        absolute = {which: str(path.absolute()) for which, path in folders.items()}
        text = json.dumps({**report, "folders": absolute}, ensure_ascii=False, allow_nan=False)
        files.write_atomically(self._path(report["id"]), text.encode())
        self._enter(report, absolute, datetime.now(UTC))
        return self.get(report["id"])

    def get(self, identifier: str) -> EvaluationRecord:
        """One evaluation by id. Raises `NotFoundError` if there is none."""
        with self.database.reading() as session:
            row = session.get(EvaluationRow, identifier)
            if row is None:
                raise NotFoundError(f"there is no evaluation {identifier[:80]!r}; `evaluate` makes one")
            return _record(row)

    def all(self) -> list[EvaluationRecord]:
        """Every evaluation, newest first."""
        newest = sa.select(EvaluationRow).order_by(EvaluationRow.created_at.desc(), EvaluationRow.id)
        with self.database.reading() as session:
            return [_record(row) for row in session.scalars(newest)]

    def report(self, identifier: str) -> dict[str, Any]:
        """The whole report, as `add` got it. Raises `NotFoundError` if its file is gone or damaged."""
        found = _read(self._path(identifier))
        if found is None:
            raise NotFoundError(f"the report of evaluation {identifier!r} is gone or damaged; evaluate again")
        return {key: value for key, value in found.items() if key != "folders"}

    def delete(self, identifier: str) -> None:
        """Forgets an evaluation; its pictures stay."""
        with files.storage_errors(self._path(identifier), "delete"):
            self._path(identifier).unlink(missing_ok=True)
        self.database.forget(sa.delete(EvaluationRow).where(EvaluationRow.id == identifier))

    def _path(self, identifier: str) -> Path:
        if not identifier.isalnum():  # it becomes part of a path
            raise NotFoundError(f"{identifier[:80]!r} is no id of an evaluation")
        return self.folder / f"{identifier}.json"

    def _enter(
        self, report: dict[str, Any], folders: dict[str, str], created_at: datetime, *, repair: bool = False
    ) -> None:
        kept = ("mean", "ci95", "n", "higher_is_better")
        values = {
            "id": report["id"],
            "created_at": created_at.replace(tzinfo=None),
            "label": report["label"],
            "folders": folders,
            "summary": {
                key: {name: metric[name] for name in kept}
                for key, metric in report["metrics"].items()
                if "unavailable" not in metric
            },
        }
        with self.database.writing(repair=repair) as session:
            upserts.insert_or_update(session, EvaluationRow, values)

    def _enter_lost_reports(self) -> None:
        with self.database.reading() as session:
            known = set(session.scalars(sa.select(EvaluationRow.id)))
        for path in sorted(self.folder.glob("*.json")):
            if path.stem in known or (report := _read(path)) is None or report["id"] != path.stem:
                continue
            try:
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                self._enter(report, report.get("folders", {}), written, repair=True)
            except (
                OSError,
                KeyError,
                TypeError,
                AttributeError,
            ) as error:  # a stray file; others must be shown
                logger.warning("%s is no report: %r", path, error)


def _record(row: EvaluationRow) -> EvaluationRecord:
    return EvaluationRecord(
        id=row.id,
        created_at=row.created_at.replace(tzinfo=UTC),
        label=row.label,
        folders={which: Path(path) for which, path in row.folders.items()},
        summary=row.summary,
    )


def _read(path: Path) -> dict[str, Any] | None:
    report = files.read_json(path)
    complete = isinstance(report, dict) and {"id", "label", "metrics"} <= set(report)
    return report if complete else None
