"""Files that list pictures with their captions: JSON lists, JSON lines, CSV; and texts in general.

Reads rows; knows nothing of pictures or folders.
"""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdxl_lora import plain_json
from sdxl_lora.errors import DataError


def read_rows(path: Path) -> list[Mapping[str, Any]]:
    """The rows of a JSON list, JSON lines or CSV file. Raises `DataError` with the line that is wrong."""
    text = read_text(path)
    if path.suffix.lower() == ".csv":
        return _csv_rows(text, path)
    if path.suffix.lower() == ".json":
        rows = _parse(text, path, 1)
    else:  # a line ends at a line feed alone: texts may hold every other separator of Unicode
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        rows = [_parse(line, path, number) for number, line in lines]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f'{path} is not a list of objects such as {{"fileName": "a.png", "caption": "..."}}')
    return rows


def is_json_list(path: Path) -> bool:
    """Whether a file begins as a list, with or without a byte order mark."""
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def read_text(path: Path) -> str:
    """UTF-8, with or without a byte order mark. Raises `DataError`."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def captions_of(value: object, where: str) -> tuple[str, ...]:
    """One caption, several, or none; line breaks in them become spaces. Raises `DataError` for what is no text."""
    values: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    if not all(item is None or isinstance(item, str) for item in values):
        raise DataError(f"the caption of {where} is {type(value).__name__}, not text or a list of texts")
    return tuple(" ".join(item.split()) if "\n" in item else item for item in values if item and item.strip())


def _parse(text: str, path: Path, line: int) -> Any:
    try:
        return plain_json.parse(text)
    except json.JSONDecodeError as error:
        place = f"line {line + error.lineno - 1}, column {error.colno}"
        raise DataError(f"{path} is not valid JSON: {error.msg} at {place}") from None


def _csv_rows(text: str, path: Path) -> list[Mapping[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        rows: list[Mapping[str, Any]] = list(reader)
    except csv.Error as error:
        raise DataError(f"{path} is not valid CSV: {error} at line {reader.line_num}") from None
    for number, row in enumerate(rows, 1):
        if any(column is None for column in row):
            raise DataError(
                f"{path} has more cells than columns in row {number}; put texts with commas in quotes"
            )
    return rows
