"""Writes an evaluation down: JSON (everything), CSV (one row per pair), HTML (one file, with pictures).

The bytes depend only on the evaluation: the same files give the same report.
"""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdxl_lora import plain_json
from sdxl_lora.errors import DataError, StorageError
from sdxl_lora.evaluation.engine import SCHEMA
from sdxl_lora.evaluation.report_html import to_html

FORMATS = (".json", ".csv", ".html")


def write(report: Mapping[str, Any], path: Path, folders: Mapping[str, Path] | None = None) -> None:
    """Writes `report` (`Evaluation.to_dict`) in the format of the path's suffix.

    Args:
        folders: where the pictures lie, by "generated" and "reference"; HTML shows those it finds.

    Raises `DataError` for another suffix, `StorageError` if the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        text = to_json(report)
    elif suffix == ".csv":
        text = to_csv(report)
    elif suffix == ".html":
        text = to_html(report, folders or {})
    else:
        raise DataError(f"{path.name}: a report is written as {', '.join(FORMATS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror})") from error


def read(path: Path) -> dict[str, Any]:
    """A report written as JSON. Raises `DataError` if it is none, or of a newer version."""
    try:
        report = plain_json.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not an evaluation report ({error})") from error
    if not isinstance(report, dict) or not {"schema", "id", "metrics", "pairs", "provenance"} <= set(report):
        raise DataError(
            f"{path} is not an evaluation report; make one with: python -m sdxl_lora evaluate --output"
        )
    if not (isinstance(report["schema"], int) and isinstance(report["metrics"], dict)):
        raise DataError(f"{path} is damaged: its schema or its metrics are of another kind")
    if report["schema"] > SCHEMA:
        raise DataError(
            f"{path} was written by a newer version (schema {report['schema']}); update this program"
        )
    return report


def to_json(report: Mapping[str, Any]) -> str:
    """Sorted by nothing but the order of computation; floats with all their digits."""
    return json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(report: Mapping[str, Any]) -> str:
    """One row per pair: name, files, caption, facts, then every metric that has a value per generated
    picture.
    """
    metrics = {
        key: metric["per_image"]
        for key, metric in report["metrics"].items()
        if metric.get("per_image") is not None and len(metric["per_image"]) == len(report["pairs"])
    }
    facts = sorted({name for pair in report["pairs"] for name in pair["facts"]})
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["name", "generated", "reference", "caption", *facts, *metrics])
    for place, pair in enumerate(report["pairs"]):
        files = [pair.get(which, {}).get("file", "") for which in ("generated", "reference")]
        values = ["" if values[place] is None else repr(values[place]) for values in metrics.values()]
        own = [pair["facts"].get(name, "") for name in facts]
        writer.writerow([pair["name"], *files, pair["caption"] or "", *own, *values])
    return buffer.getvalue()
