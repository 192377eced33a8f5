"""XLSX by openpyxl, read-only: sizes are looked at before anything is unpacked, formulas are taken as last computed."""

import datetime
import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import ParseError

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from sdxl_lora.catalog import tables
from sdxl_lora.catalog.tables import Row, Table
from sdxl_lora.errors import DataError, UnknownNameError

MOST_UNPACKED = 300 * 2**20  # bytes of everything in the file
MOST_RATIO = 200  # unpacked to packed; a sheet of real products stays under 30
_RATIO_FROM = 20 * 2**20  # bytes unpacked from which the ratio counts
_MOST_PARTS = 5_000
_MOST_BLANK = 2_000  # rows without a value, after which a sheet is over


def parse(data: bytes, name: str, sheet: str = "") -> Table:
    """The table in one sheet (the first that has anything, unless one is named). Raises `DataError`."""
    _check(data, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of styles and extensions it does not know, which change no value
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
            try:
                return _read(book, name, sheet)
            finally:
                book.close()
    except (
        *(InvalidFileException, zipfile.BadZipFile, zlib.error, ParseError),
        *(
            KeyError,
            ValueError,
            TypeError,
            IndexError,
            AttributeError,
            EOFError,
            OSError,
            RuntimeError,
        ),
    ) as error:  # what openpyxl lets through for files that are damaged or no workbook
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{name} cannot be read as an Excel file ({reason}); save it again, or as CSV"
        ) from error


def _check(data: bytes, name: str) -> None:
    """That it does not unpack to something huge. Python's reader stops at the sizes that are declared here."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{name} cannot be read as an Excel file ({error}); save it again, or as CSV"
        ) from error
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > _MOST_PARTS or unpacked > MOST_UNPACKED:
        raise DataError(
            f"{name} unpacks to {unpacked / 2**20:,.0f} MB in {len(parts):,} parts; save the sheet as CSV"
        )
    if unpacked > _RATIO_FROM and unpacked > MOST_RATIO * len(data):
        raise DataError(
            f"{name} unpacks to {unpacked // max(1, len(data)):,} times its size; save the sheet as CSV"
        )
    if any(part.flag_bits & 1 for part in parts):
        raise DataError(f"{name} is encrypted; save it without a password")


def _read(book: Any, name: str, sheet: str) -> Table:
    names = list(book.sheetnames)
    if sheet and sheet not in names:
        raise UnknownNameError("sheet", sheet, names)
    for title in [sheet] if sheet else names:
        page = book[title]
        if not hasattr(page, "iter_rows"):  # a sheet that is a chart
            continue
        page.reset_dimensions()  # what a file says of its own size need not be true
        rows = _cells(page)
        first = next((cells for _, cells in rows if any(cells)), None)
        if first is None:
            continue
        columns = tables.header(first, name)
        note = f"the sheet {title!r} of {len(names)} is used" if len(names) > 1 and not sheet else ""
        return tables.whole(name, columns, _rows(columns, rows), [note])
    raise DataError(f"{name} has no sheet with a header and rows")


def _rows(columns: tuple[str, ...], rows: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    for number, cells in rows:
        yield tables.row(number, columns, cells)


def _cells(page: Any) -> Iterator[tuple[int, list[str]]]:
    """(row, texts) up to the last one that says something."""
    blank = 0
    limits = {
        "max_row": tables.MOST_ROWS + _MOST_BLANK,
        "max_col": tables.MOST_COLUMNS + 1,
        "values_only": True,
    }
    for number, values in enumerate(page.iter_rows(**limits), start=1):
        cells = [_text(value) for value in values]
        blank = 0 if any(cells) else blank + 1
        if blank > _MOST_BLANK:
            return
        yield number, cells


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():  # Excel has no whole numbers
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value)
