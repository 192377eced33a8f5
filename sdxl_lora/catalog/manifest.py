"""What is in a catalogue's folder: `manifest.json` for programs, `manifest.csv` for spreadsheets, `failed.csv` to run
again.

No cell that is written is taken for a formula (`tables.guarded`). Files are written whole or not at all.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sdxl_lora import __version__, files
from sdxl_lora.catalog.journal import Made
from sdxl_lora.catalog.tables import Table, guarded

JSON, CSV, FAILED = "manifest.json", "manifest.csv", "failed.csv"
FORMAT = 1
PROBLEM = "problem"  # column of `failed.csv` that is not read again
_MARK = "\ufeff"  # without it Excel takes UTF-8 for something else
_COLUMNS = (
    *("sku", "name", "file", "verdict", "checks", "score", "scorer", "alt", "prompt", "negative_prompt"),
    *("seed", "model", "model_sha256", "loras", "steps", "width", "height", "template", "slots"),
    *("seconds", "created_at", "record", "sha256", "row"),
)


def write(folder: Path, name: str, made: Sequence[Made], verdicts: Mapping[str, str]) -> None:
    """Both manifests.

    Args:
        name: of the table the catalogue was made from.
        verdicts: id of a record -> what people said, "approved" or "rejected"; others are open.

    Raises `StorageError`.
    """
    rows = [{**asdict(one), "verdict": verdicts.get(one.record, "open")} for one in made]
    whole = {"format": FORMAT, "software": f"sdxl_lora {__version__}", "table": name, "pictures": rows}
    text = json.dumps(whole, ensure_ascii=False, allow_nan=False, indent=1)
    files.write_atomically(folder / JSON, text.encode())
    presets = sorted({preset for one in made for preset in one.exports})
    columns = [*_COLUMNS, *(f"file_{preset}" for preset in presets)]
    files.write_atomically(folder / CSV, _csv(columns, (_flat(row) for row in rows)))


def write_failed(folder: Path, table: Table, problems: Mapping[int, str]) -> None:
    """The rows that failed as they were, with the reason; no file where none did. Raises `StorageError`."""
    path = folder / FAILED
    if not problems:
        with files.storage_errors(path, "delete"):
            path.unlink(missing_ok=True)
        return
    rows = {row.number: row.cells for row in table.rows}
    lines = ({**rows.get(number, {}), PROBLEM: reason} for number, reason in sorted(problems.items()))
    files.write_atomically(path, _csv([*(one for one in table.columns if one != PROBLEM), PROBLEM], lines))


def _flat(row: Mapping[str, Any]) -> dict[str, str]:
    """A row of the manifest as text."""
    main = dict(row["scores"].get("clip") or {})
    value = main.get("value")
    flat = {name: str(row[name]) for name in _COLUMNS if name in row}
    flat["score"] = "" if value is None else f"{value:.4f}"
    flat["scorer"] = str(main.get("name", ""))
    flat["slots"] = "; ".join(f"{name}={text}" for name, text in row["slots"].items() if text)
    flat["loras"] = "; ".join(
        f"{lora['path']}:{lora['weight']:g} {lora.get('sha256', '')}".strip() for lora in row["loras"]
    )
    return flat | {f"file_{preset}": str(one["file"]) for preset, one in row["exports"].items()}


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow([guarded(column) for column in columns])
    for row in rows:
        writer.writerow([guarded(row.get(column, "")) for column in columns])
    return (_MARK + buffer.getvalue()).encode()
