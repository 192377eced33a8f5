"""What is said of a comparison: results as plain data, and everything as one picture or a file.

Knows nothing of how cells were filled.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from sdxl_lora import files
from sdxl_lora.comparing import grid, voting
from sdxl_lora.comparing.grid import Systems
from sdxl_lora.comparing.voting import Standing
from sdxl_lora.errors import ImageError
from sdxl_lora.evaluation.pictures import read_picture
from sdxl_lora.records.comparisons import ComparisonRecord, ComparisonVote

NOT_MADE = "not made yet"


def standings(record: ComparisonRecord, votes: Sequence[ComparisonVote]) -> list[Standing]:
    """Wins per column, of blind votes only."""
    ballots = [voting.Ballot(columns=vote.columns, choice=vote.choice) for vote in votes if vote.blind]
    return voting.standings(len(record.columns), ballots)


def results(record: ComparisonRecord, votes: Sequence[ComparisonVote]) -> dict[str, Any]:
    """Everything, JSON-ready: rows, columns with their cells, scores and standings."""
    columns = []
    for place, column in enumerate(record.columns):
        cells = {}
        for row, asked in enumerate(record.rows):
            cell = record.cells.get((place, row))
            if cell is None:
                cells[asked["key"]] = {"unavailable": NOT_MADE}
            elif cell.path is None:
                cells[asked["key"]] = {"unavailable": cell.reason}
            else:
                cells[asked["key"]] = {"path": str(cell.path), **cell.facts}
        standing = asdict(standings(record, votes)[place])
        report = record.scores.get("reports", {}).get(str(place), {})
        columns.append({**column, "cells": cells, "votes": standing, "metrics": report.get("metrics", {})})
    return {
        "id": record.id,
        "title": record.title,
        "rows": list(record.rows),
        "settings": record.settings,
        "columns": columns,
        "scored_rows": record.scores.get("rows", []),
        "left_out": record.scores.get("left_out", []),
        "votes": {"blind": sum(v.blind for v in votes), "not_blind": sum(not v.blind for v in votes)},
    }


def sheet(record: ComparisonRecord, systems: Systems = "across") -> Image.Image:
    """All labels, prompts and pictures as one picture."""

    def cell(column: int, row: int) -> Image.Image | str:
        found = record.cells.get((column, row))
        if found is None:
            return NOT_MADE
        if found.path is None:
            return found.reason
        try:
            return Image.fromarray(read_picture(found.path).pixels)
        except ImageError as error:
            return str(error)

    labels = [column["label"] for column in record.columns]
    return grid.draw(labels, [row["prompt"] for row in record.rows], cell, systems=systems)


def encoded(image: Image.Image, suffix: str = ".png") -> bytes:
    """The picture as a file's content."""
    buffer = io.BytesIO()
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(suffix.lower(), "PNG")
    image.save(buffer, kind, **({"quality": 92} if kind != "PNG" else {}))
    return buffer.getvalue()


def write(record: ComparisonRecord, found: Mapping[str, Any], path: Path, systems: Systems) -> None:
    """The picture, or for `.json` the results. Raises `StorageError`."""
    if path.suffix.lower() == ".json":
        data = (json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    else:
        data = encoded(sheet(record, systems), path.suffix)
    files.write_atomically(path, data)
