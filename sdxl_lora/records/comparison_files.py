"""The files of a comparison, read back: its definition, its cells, and what voters did. Knows nothing of tables.

A line of `votes.jsonl` is a vote, or says that a voter has seen the names; what a crash cut off, or another program
wrote, is passed over.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sdxl_lora import files

_CELL = re.compile(r"(\d{1,6})-(\d{1,6})\.(png|jpg|webp|gif|bmp|tif)", re.ASCII)
_DEFINITION = {"title", "created_at", "rows", "columns", "settings"}
_VOTE = {"row": int, "voter": str, "created_at": str, "columns": list, "blind": bool}
SEEN = "saw_names"  # when; in the line of a voter who has seen the names


def read_definition(folder: Path) -> dict[str, Any] | None:
    """Everything of `definition.json`, `created_at` as a `datetime`; None where it is gone or damaged."""
    values = files.read_json(folder / "definition.json")
    if not isinstance(values, dict) or not set(values) >= _DEFINITION:
        return None
    rows, columns = values["rows"], values["columns"]
    if not all(isinstance(part, list) and all(isinstance(i, dict) for i in part) for part in (rows, columns)):
        return None
    try:
        return {**values, "created_at": datetime.fromisoformat(values["created_at"])}
    except (TypeError, ValueError):
        return None


def place_of(name: str) -> tuple[int, int] | None:
    """(column, row) of the cell that a file of that name is; None for others."""
    match = _CELL.fullmatch(name)
    return None if match is None else (int(match[1]), int(match[2]))


def cells(folder: Path) -> Iterator[tuple[int, int, str]]:
    """(column, row, file name) of every picture."""
    for path in sorted(folder.glob("*-*.*")):
        if (place := place_of(path.name)) is not None:
            yield (*place, path.name)


def lines(folder: Path) -> tuple[list[dict[str, Any]], set[str]]:
    """Votes in the order they were cast, and the voters who have seen the names."""
    votes, seen = [], set()
    try:
        content = (folder / "votes.jsonl").read_bytes()
    except OSError:
        return [], set()
    for line in content.split(b"\n"):
        values = files.parse_json(line)
        if not isinstance(values, dict):
            continue
        if isinstance(values.get(SEEN), str) and isinstance(values.get("voter"), str):
            seen.add(values["voter"])
        elif _is_vote(values):
            votes.append(values)
    return votes, seen


def _is_vote(values: dict[str, Any]) -> bool:
    if set(values) != {*_VOTE, "choice"} or not isinstance(values["choice"], int | None):
        return False
    return all(isinstance(values[name], kind) for name, kind in _VOTE.items())
