"""A table of products as rows of text: CSV of any encoding and delimiter, XLSX, JSON lines.

The size of a file, the number of rows and columns and the length of a cell are bounded before anything is made of them.
A row that cannot be read is a row with a problem; the others go on. Knows nothing of what the columns mean.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sdxl_lora.errors import DataError

MOST_BYTES = 256 * 2**20
MOST_ROWS = 100_000
MOST_COLUMNS = 300
MOST_CHARACTERS = 20_000  # of one cell
SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".jsonl", ".json", ".ndjson")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet may run, by OWASP's list
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table."""

    number: int  # as a spreadsheet shows it: the first row after the header is 2; of JSON lines: the line
    cells: Mapping[str, str]  # column -> text, without surrounding space
    problem: str = ""  # one line: why it cannot be used; empty where it can


@dataclass(frozen=True, kw_only=True)
class Table:
    """Everything in a file."""

    name: str  # of the file
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())  # how it was read, where that was not certain


def content(path: Path) -> bytes:
    """The bytes of a table's file. Raises `DataError` for one that is not there, or too large."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} is larger than {MOST_BYTES // 2**20} MB; split it")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read: {reason}") from error


def read(path: Path, *, encoding: str = "", delimiter: str = "", sheet: str = "") -> Table:
    """The table in a file. Raises `DataError` for one that cannot be read at all."""
    return parse(content(path), path.name, encoding=encoding, delimiter=delimiter, sheet=sheet)


def parse(data: bytes, name: str, *, encoding: str = "", delimiter: str = "", sheet: str = "") -> Table:
    """The table in the bytes of a file called `name`. Raises as `read`."""
    from sdxl_lora.catalog import csv_tables, json_tables, xlsx_tables

    if len(data) > MOST_BYTES:
        raise DataError(f"{name} is larger than {MOST_BYTES // 2**20} MB; split it")
    if not data.strip():
        raise DataError(f"{name} is empty")
    suffix = Path(name).suffix.lower()
    if suffix == ".xls" or data[:4] == b"\xd0\xcf\x11\xe0":
        raise DataError(f"{name} is an old Excel file; save it as .xlsx or CSV")
    if data[:4] == _ZIP or suffix == ".xlsx":
        return xlsx_tables.parse(data, name, sheet)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return json_tables.parse(data, name)
    return csv_tables.parse(data, name, encoding, delimiter)


def header(cells: Iterable[str], name: str) -> tuple[str, ...]:
    """The columns' names, each its own; of several with the same name the later ones get a number.

    Raises `DataError` where there is none, or too many.
    """
    found: list[str] = []
    for place, cell in enumerate(cells, start=1):
        plain = " ".join(cell.replace("\ufeff", "").split())[:100] or f"column {place}"
        number = 2
        unique = plain
        while unique in found:
            unique, number = f"{plain} {number}", number + 1
        found.append(unique)
    while found and found[-1] == f"column {len(found)}":  # delimiters at the end of the line
        found.pop()
    if not found:
        raise DataError(
            f"{name} has no header; its first row names the columns, for example sku,product,colour"
        )
    if len(found) > MOST_COLUMNS:
        raise DataError(f"{name} has {len(found):,} columns; at most {MOST_COLUMNS} are read")
    return tuple(found)


def row(number: int, columns: tuple[str, ...], cells: Iterable[str]) -> Row:
    """A row of cells under the columns; what is too long, or has no column, is its problem."""
    values = [unguarded(cell.strip()) for cell in cells]
    more = [value for value in values[len(columns) :] if value]
    filled = dict(zip(columns, [*values, *[""] * len(columns)], strict=False))
    problem = ""
    if more:
        problem = (
            f"it has {len(values)} cells for {len(columns)} columns; quote cells that have delimiters in them"
        )
    for column, value in filled.items():
        if len(value) > MOST_CHARACTERS:
            problem = f"{column} has {len(value):,} characters; shorten it to {MOST_CHARACTERS:,}"
            filled[column] = ""
    return Row(number=number, cells=filled, problem=problem)


def whole(name: str, columns: tuple[str, ...], rows: Iterator[Row], notes: Iterable[str] = ()) -> Table:
    """The table of all rows that are not blank. Raises `DataError` for none, or too many."""
    found: list[Row] = []
    for one in rows:
        if one.problem or any(one.cells.values()):
            found.append(one)
        if len(found) > MOST_ROWS:
            raise DataError(f"{name} has more than {MOST_ROWS:,} rows; split it")
    if not found:
        raise DataError(f"{name} has a header and no rows")
    return Table(name=name, columns=columns, rows=tuple(found), notes=tuple(filter(None, notes)))


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula: `=cmd|...` gets an apostrophe in front. Numbers stay numbers."""
    if not text.startswith(_FORMULA) or _is_number(text):
        return text
    return f"'{text}"


def unguarded(text: str) -> str:
    """Inverse of `guarded`, so that a file that was written can be read again."""
    return text[1:] if text[:1] == "'" and text[1:2] in _FORMULA and text[1:] else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
