"""JSON lines, and one JSON list of objects: every object is a row, its keys are the columns."""

import math
from collections.abc import Iterator
from typing import Any

from sdxl_lora import plain_json
from sdxl_lora.catalog import tables
from sdxl_lora.catalog.tables import Row, Table
from sdxl_lora.errors import DataError

_SEEN = 1_000  # rows whose keys may become columns


def parse(data: bytes, name: str) -> Table:
    """The table in JSON bytes. Raises `DataError`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is no UTF-8 text: byte {error.start:,}") from None
    values = list(_listed(text, name) if text.lstrip().startswith("[") else _lines(text))
    columns = tables.header(_keys(values), name)
    return tables.whole(name, columns, (_row(number, value, columns) for number, value in values))


def _lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield number, plain_json.parse(line)
            except ValueError as error:
                yield number, DataError(f"this is no JSON: {str(error)[:200]}")


def _listed(text: str, name: str) -> Iterator[tuple[int, Any]]:
    try:
        found = plain_json.parse(text)
    except ValueError as error:
        raise DataError(f"{name} is no JSON: {str(error)[:200]}") from None
    if len(found) > tables.MOST_ROWS:
        raise DataError(f"{name} has more than {tables.MOST_ROWS:,} rows; split it")
    yield from enumerate(found, start=1)


def _keys(values: list[tuple[int, Any]]) -> list[str]:
    """All keys, in the order in which they first come."""
    found: dict[str, None] = {}
    for _, value in values[:_SEEN]:
        if isinstance(value, dict):
            found |= dict.fromkeys(str(key) for key in value)
    return list(found)[: tables.MOST_COLUMNS]


def _row(number: int, value: Any, columns: tuple[str, ...]) -> Row:
    blank = dict.fromkeys(columns, "")
    if isinstance(value, DataError):
        return Row(number=number, cells=blank, problem=str(value))
    if not isinstance(value, dict):
        return Row(
            number=number, cells=blank, problem=f"it is {_kind(value)}, and must be an object with columns"
        )
    cells: dict[str, str] = dict(blank)
    for key, found in value.items():
        column = " ".join(str(key).split())[:100]
        if isinstance(found, dict | list):
            return Row(
                number=number,
                cells=cells,
                problem=f"{column} is {_kind(found)}, and must be a text or a number",
            )
        if isinstance(found, float) and not math.isfinite(found):
            return Row(number=number, cells=cells, problem=f"{column} is {found}, which is no number")
        cells[column] = "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
    return tables.row(number, columns, [cells.get(column, "") for column in columns])


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", type(None): "null"}.get(type(value), "a number")
