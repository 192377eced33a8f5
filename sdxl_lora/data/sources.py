"""One loader for every place training pictures come from.

`open_source` takes a hub id, a folder (`metadata.jsonl`, `metadata.csv`, the original project's JSON list,
image + `.txt` pairs, or parquet), or one such file, and gives a `Source`: keys and captions in memory (a
few hundred bytes a row), pictures as bytes read one at a time. It decodes nothing and knows nothing of
sizes.
"""

import csv
import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdxl_lora import plain_json
from sdxl_lora.data import hub, parquet
from sdxl_lora.errors import DataError, UnknownNameError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"})
FILE_COLUMNS = ("file_name", "fileName", "image", "file")
CAPTION_COLUMNS = ("text", "caption")
DEFAULT_CAPTION_COLUMN = "text"
DEFAULT_IMAGE_COLUMN = "image"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set: row `i` is the picture `read(i)` with one or more captions `captions[i]`."""

    name: str  # as the user gave it
    kind: str  # hub, metadata, json list, text files, parquet
    keys: Sequence[str]  # what a person calls row i: a file name or a row number
    captions: Sequence[tuple[str, ...]]  # empty tuple: no caption
    read: Callable[[int], bytes]  # the encoded picture; raises DataError
    licence: str | None = None  # SPDX-like id where the source states one

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, indices: Sequence[int]) -> "Source":
        """The rows `indices`, in that order."""
        rows = tuple(indices)
        return Source(
            name=self.name,
            kind=self.kind,
            keys=[self.keys[i] for i in rows],
            captions=[self.captions[i] for i in rows],
            read=lambda i: self.read(rows[i]),
            licence=self.licence,
        )


def join(first: Source, second: Source) -> Source:
    """The rows of `first`, then those of `second`; the licences of both bind."""
    licences = [source.licence for source in (first, second) if source.licence]
    return Source(
        name=first.name,
        kind=first.kind,
        keys=[*first.keys, *second.keys],
        captions=[*first.captions, *second.captions],
        read=lambda i: first.read(i) if i < len(first) else second.read(i - len(first)),
        licence=", ".join(dict.fromkeys(licences)) or None,
    )


def open_source(
    name: str,
    *,
    image_column: str = DEFAULT_IMAGE_COLUMN,
    caption_column: str = DEFAULT_CAPTION_COLUMN,
    config_name: str | None = None,
    cache_dir: str | None = None,
    captions_required: bool = True,
) -> Source:
    """Opens a data set by path or hub id.

    A caption column left at its default may also be called `caption`, as the original project does.
    Raises `DataError` (nothing there, no pictures, no captions), `UnknownNameError` (no such column).
    """
    path = Path(name).expanduser()
    if path.is_dir():
        source = _open_folder(path, name, image_column, caption_column, captions_required)
    elif path.is_file():
        source = _open_file(path, name, image_column, caption_column)
    elif _looks_like_a_path(name):
        raise DataError(
            f"there is no data set at {name}; {_near(path)}give a folder, a JSON or parquet file, or a hub id"
        )
    else:
        table = hub.load(name, config_name, cache_dir)
        image = choose_column(table.columns, image_column, (image_column,), "image column")
        caption = choose_column(table.columns, caption_column, CAPTION_COLUMNS, "caption column")
        source = Source(
            name=name,
            kind="hub",
            keys=[f"row {i}" for i in range(len(table))],
            captions=[
                _captions(value, f"row {i} of {name}") for i, value in enumerate(table.column(caption))
            ],
            read=table.reader(image),
            licence=table.licence,
        )
    if not len(source):
        raise DataError(f"{name} has 0 pictures; add some, or give another data set")
    return source


def choose_column(columns: Iterable[str], wanted: str, usual: Sequence[str], kind: str) -> str:
    """`wanted`, or another usual name where `wanted` was only the default. Raises `UnknownNameError`."""
    names = list(columns)
    if wanted in names:
        return wanted
    if wanted in usual:
        for name in usual:
            if name in names:
                return name
    flag = "--image_column" if kind.startswith("image") else "--caption_column"
    raise UnknownNameError(kind, wanted, names, f"(columns here: {', '.join(names)}; set {flag})")


def _near(path: Path) -> str:
    """What lies beside and is called nearly so."""
    beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f"did you mean {path.parent / near[0]}? else " if near else ""


def _looks_like_a_path(name: str) -> bool:
    return (
        name.startswith((".", "/", "~")) or name.count("/") != 1 or Path(name).suffix in {".json", ".jsonl"}
    )


def _open_folder(path: Path, name: str, image_column: str, caption_column: str, required: bool) -> Source:
    for pattern in ("metadata.jsonl", "metadata.csv"):
        found = sorted([*path.glob(pattern), *path.glob(f"**/{pattern}")], key=lambda p: (len(p.parts), p))
        if found:
            return _from_rows(_read_rows(found[0]), found[0].parent, name, "metadata", caption_column)
    tables = sorted(path.glob("**/*.parquet"))
    if tables:
        return _open_parquet(tables, name, image_column, caption_column)
    lists = [file for file in sorted(path.glob("*.json")) if _is_json_list(file)]
    if lists:
        return _from_rows(_read_rows(lists[0]), lists[0].parent, name, "json list", caption_column)
    return _from_text_files(path, name, required)


def _open_file(path: Path, name: str, image_column: str, caption_column: str) -> Source:
    if path.suffix == ".parquet":
        return _open_parquet([path], name, image_column, caption_column)
    if path.suffix in {".json", ".jsonl", ".csv"}:
        kind = "json list" if path.suffix == ".json" else "metadata"
        return _from_rows(_read_rows(path), path.parent, name, kind, caption_column)
    raise DataError(f"{name} is not a data set; give a folder, or a .json, .jsonl, .csv or .parquet file")


def _open_parquet(files: Sequence[Path], name: str, image_column: str, caption_column: str) -> Source:
    table = parquet.Table(files)
    image = choose_column(table.columns, image_column, (image_column,), "image column")
    caption = choose_column(table.columns, caption_column, CAPTION_COLUMNS, "caption column")
    return Source(
        name=name,
        kind="parquet",
        keys=[f"row {i}" for i in range(len(table))],
        captions=[_captions(value, f"row {i} of {name}") for i, value in enumerate(table.column(caption))],
        read=table.reader(image),
    )


def _is_json_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).lstrip().startswith(b"[")


def _read_rows(path: Path) -> list[Mapping[str, Any]]:
    """The rows of a JSON list, JSON lines or CSV file. Raises `DataError` with the line that is wrong."""
    text = _read_text(path)
    try:
        if path.suffix == ".csv":
            return list(csv.DictReader(text.splitlines()))
        if path.suffix == ".json":
            rows = plain_json.parse(text)
        else:
            rows = [plain_json.parse(line) for line in text.splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f'{path} is not a list of objects such as {{"fileName": "a.png", "caption": "..."}}')
    return rows


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _from_rows(
    rows: list[Mapping[str, Any]], folder: Path, name: str, kind: str, caption_column: str
) -> Source:
    if not rows:
        raise DataError(f"{name} lists 0 pictures; add some, or give another data set")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    file_column = choose_column(columns, FILE_COLUMNS[0], FILE_COLUMNS, "image file column")
    caption = choose_column(columns, caption_column, CAPTION_COLUMNS, "caption column")
    files = []
    for number, row in enumerate(rows, 1):
        if not row.get(file_column):
            raise DataError(f"row {number} of {name} names no picture: {file_column!r} is missing or empty")
        files.append(_inside(folder, str(row[file_column]), name))
    keys = [str(row[file_column]) for row in rows]
    captions = [_captions(row.get(caption), f"{key} in {name}") for key, row in zip(keys, rows, strict=True)]
    return Source(name=name, kind=kind, keys=keys, captions=captions, read=_file_reader(files))


def _inside(folder: Path, file_name: str, name: str) -> Path:
    """Where a listed picture lies: beside the list, or in `images/` there, as in the original project."""
    for candidate in (folder / file_name, folder / "images" / file_name):
        if candidate.is_file():
            return candidate
    raise DataError(f"{name} lists {file_name}, which is not in {folder}")


def _from_text_files(path: Path, name: str, required: bool) -> Source:
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    if not files:
        raise DataError(f"{name} has 0 pictures ({', '.join(sorted(IMAGE_SUFFIXES))}); give another folder")
    texts = [file.with_suffix(".txt") for file in files]
    if required and not any(text.is_file() for text in texts):
        raise DataError(
            f"{name} has pictures but no captions: add metadata.jsonl or .txt files, "
            f"or write them with `python -m sdxl_lora caption {name}`"
        )
    captions = [_captions(_read_text(text).strip(), str(text)) if text.is_file() else () for text in texts]
    keys = [str(file.relative_to(path)) for file in files]
    return Source(name=name, kind="text files", keys=keys, captions=captions, read=_file_reader(files))


def _file_reader(files: Sequence[Path]) -> Callable[[int], bytes]:
    def read(index: int) -> bytes:
        try:
            return files[index].read_bytes()
        except OSError as error:
            raise DataError(f"{files[index]} cannot be read: {error.strerror}") from None

    return read


def _captions(value: object, where: str) -> tuple[str, ...]:
    """One caption, several, or none. Raises `DataError` for anything that is no text."""
    values: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    if not all(item is None or isinstance(item, str) for item in values):
        raise DataError(f"the caption of {where} is {type(value).__name__}, not text or a list of texts")
    return tuple(item for item in values if item and item.strip())
