"""CSV as people have it: Excel's UTF-16 and Windows encodings, commas, semicolons, tabs or bars, giant cells."""

import codecs
import csv
import io
from collections.abc import Iterator

import charset_normalizer

from sdxl_lora.catalog import tables
from sdxl_lora.catalog.tables import Row, Table
from sdxl_lora.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = ",;\t|"
_SAMPLE = 64 * 1024  # bytes that a guess is made from
_FALLBACK = "cp1252"  # what Excel writes in the west; every byte but five means something in it


def parse(data: bytes, name: str, encoding: str = "", delimiter: str = "") -> Table:
    """The table in CSV bytes; what is not given is found out. Raises `DataError`."""
    text, note = _text(data, name, encoding)
    if delimiter and len(delimiter) != 1:
        raise DataError(f"delimiter {delimiter!r} is not one character, such as ; or ,")
    mark = delimiter or _delimiter(text)
    records = _records(text, mark)
    first = next((cells for _, cells, _ in records if any(cell.strip() for cell in cells)), [])
    columns = tables.header(first, name)
    return tables.whole(name, columns, _rows(columns, records), [note])


def _rows(columns: tuple[str, ...], records: Iterator[tuple[int, list[str], str]]) -> Iterator[Row]:
    for number, cells, problem in records:
        if problem:
            yield Row(number=number, cells=dict.fromkeys(columns, ""), problem=problem)
        else:
            yield tables.row(number, columns, cells)


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """(number of the row, cells, problem); after what the reader gives up on it goes on with the next line.

    Rows are counted as a spreadsheet does, where a cell with line breaks in it is one row.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    number = 0
    while True:
        number += 1
        try:
            yield number, next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            if "field larger" in str(error):
                yield number, [], f"a cell has more than {csv.field_size_limit():,} characters; shorten it"
            else:
                yield number, [], f"this is no CSV: {error}"


def _text(data: bytes, name: str, encoding: str) -> tuple[str, str]:
    """The text, and a note where its encoding was guessed."""
    known = encoding or next((one for mark, one in _MARKS if data.startswith(mark)), "") or _wide(data)
    if known:
        try:
            return data.decode(known).replace("\0", ""), ""
        except LookupError:
            raise DataError(
                f"no encoding is called {known!r}; for example utf-8, cp1252 or shift_jis"
            ) from None
        except UnicodeDecodeError as error:
            raise DataError(f"{name} is not {known}: byte {error.start:,} means nothing in it") from None
    try:
        return data.decode("utf-8").replace("\0", ""), ""
    except UnicodeDecodeError:
        pass
    guess = charset_normalizer.from_bytes(_sample(data)).best()
    for found in (guess.encoding if guess is not None else _FALLBACK, _FALLBACK):
        try:
            text = data.decode(found)
        except UnicodeDecodeError:
            continue
        return text.replace("\0", ""), f"read as {found}; say the encoding if letters look wrong"
    return data.decode(
        _FALLBACK, "replace"
    ), f"read as {_FALLBACK}; some letters are lost, so say the encoding"


def _wide(data: bytes) -> str:
    """UTF-16 without its mark: every other byte of plain letters is zero."""
    head = data[:200]
    if len(head) < 4 or b"\0" not in head:
        return ""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) * 3 < len(head):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _sample(data: bytes) -> bytes:
    """A beginning that ends with a line, so that no letter is cut in two; of the lines with other letters in them."""
    if len(data) <= _SAMPLE:
        return data
    lines = [line for line in data[: 16 * _SAMPLE].splitlines(keepends=True) if not line.isascii()]
    return b"".join(lines)[:_SAMPLE] or data[:_SAMPLE]


def _delimiter(text: str) -> str:
    """The one that cuts the first rows into the same number of cells, and into most; a comma where none does."""
    head = text[:_SAMPLE]
    best, found = (0.0, 0), ","
    for mark in _DELIMITERS:
        widths = [len(cells) for number, cells, _ in _records(head, mark) if cells and number <= 30]
        if not widths or widths[0] < 2:
            continue
        same = sum(width == widths[0] for width in widths) / len(widths)
        if (same, widths[0]) > best:
            best, found = (same, widths[0]), mark
    return found
