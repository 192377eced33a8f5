"""One loader for every place training pictures come from.

`open_source` takes a hub id, a folder (`metadata.jsonl`, `metadata.csv`, the original project's JSON list,
image + `.txt` pairs, or parquet), or one such file, and gives a `Source`: keys and captions in memory (a
few hundred bytes a row), pictures as bytes read one at a time. It decodes nothing and knows nothing of
sizes.
"""

import difflib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sdxl_lora.data import folders, hub, parquet
from sdxl_lora.data.folders import IMAGE_SUFFIXES
from sdxl_lora.data.listings import captions_of, is_json_list, read_rows
from sdxl_lora.errors import DataError, UnknownNameError

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
    left_out: Mapping[str, str] = field(default_factory=dict)  # files that are not read -> why

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
            left_out=self.left_out,
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
        left_out={**first.left_out, **second.left_out},
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
                captions_of(value, f"row {i} of {name}") for i, value in enumerate(table.column(caption))
            ],
            read=table.reader(image),
            licence=table.licence,
            left_out={
                f"split {split} ({rows} rows)": f"training reads {folders.TRAIN}"
                for split, rows in table.other_splits.items()
            },
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
        found = [path / pattern] if (path / pattern).is_file() else sorted(path.glob(f"**/{pattern}"))
        lists, left_out = folders.train_split(found, path)
        if lists:
            parts = [
                _from_rows(read_rows(file), file.parent, name, "metadata", image_column, caption_column, path)
                for file in lists
            ]
            return _all_listed(functools.reduce(join, parts), path, left_out)
    tables, left_out = folders.train_split(sorted(path.glob("**/*.parquet")), path)
    if tables:
        return replace(_open_parquet(tables, name, image_column, caption_column), left_out=left_out)
    json_lists = [file for file in sorted(path.glob("*.json")) if is_json_list(file)]
    if json_lists:
        rows = read_rows(json_lists[0])
        listed = _from_rows(rows, path, name, "json list", image_column, caption_column, path)
        others = {file.name: f"another list: {json_lists[0].name} is read" for file in json_lists[1:]}
        return _all_listed(listed, path, others)
    return _from_text_files(path, name, required)


def _all_listed(source: Source, folder: Path, left_out: Mapping[str, str]) -> Source:
    """With the pictures of the folder that no list names among what is left out."""
    found, named = folders.find_pictures(folder), set(source.keys)
    unnamed = [str(file.relative_to(folder)) for file in found.files]
    beside = {
        key: "no list names it"
        for key in unnamed
        if key not in named and key.removeprefix("images/") not in named
    }
    return replace(source, left_out={**left_out, **found.left_out, **beside})


def _open_file(path: Path, name: str, image_column: str, caption_column: str) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _open_parquet([path], name, image_column, caption_column)
    if suffix in {".json", ".jsonl", ".csv"}:
        kind, folder = "json list" if suffix == ".json" else "metadata", path.parent
        return _from_rows(read_rows(path), folder, name, kind, image_column, caption_column, folder)
    raise DataError(f"{name} is not a data set; give a folder, or a .json, .jsonl, .csv or .parquet file")


def _open_parquet(files: Sequence[Path], name: str, image_column: str, caption_column: str) -> Source:
    table = parquet.Table(files)
    image = choose_column(table.columns, image_column, (image_column,), "image column")
    caption = choose_column(table.columns, caption_column, CAPTION_COLUMNS, "caption column")
    return Source(
        name=name,
        kind="parquet",
        keys=[f"row {i}" for i in range(len(table))],
        captions=[captions_of(value, f"row {i} of {name}") for i, value in enumerate(table.column(caption))],
        read=table.reader(image),
    )


def _from_rows(
    rows: list[Mapping[str, Any]],
    folder: Path,
    name: str,
    kind: str,
    image_column: str,
    caption_column: str,
    top: Path,
) -> Source:
    """`folder`: where the list lies; `top`: what pictures are called from."""
    if not rows:
        raise DataError(f"{name} lists 0 pictures; add some, or give another data set")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    wanted = image_column if image_column != DEFAULT_IMAGE_COLUMN else FILE_COLUMNS[0]
    file_column = choose_column(columns, wanted, FILE_COLUMNS, "image file column")
    caption = choose_column(columns, caption_column, CAPTION_COLUMNS, "caption column")
    files, keys = [], []
    within = folder.relative_to(top) if folder.is_relative_to(top) else Path()
    for number, row in enumerate(rows, 1):
        if not row.get(file_column):
            raise DataError(f"row {number} of {name} names no picture: {file_column!r} is missing or empty")
        files.append(_inside(folder, str(row[file_column]), name))
        keys.append(str(within / str(row[file_column])) if within.parts else str(row[file_column]))
    captions = [
        captions_of(row.get(caption), f"{key} in {name}") for key, row in zip(keys, rows, strict=True)
    ]
    return Source(name=name, kind=kind, keys=keys, captions=captions, read=_file_reader(files))


def _inside(folder: Path, file_name: str, name: str) -> Path:
    """Where a listed picture lies: beside the list, or in `images/` there, as in the original project."""
    for candidate in (folder / file_name, folder / "images" / file_name):
        if candidate.is_file():
            return candidate
    raise DataError(f"{name} lists {file_name}, which is not in {folder}")


def _from_text_files(path: Path, name: str, required: bool) -> Source:
    found = folders.find_pictures(path)
    if not found.files:
        reasons = "; ".join(f"{key}: {why}" for key, why in list(found.left_out.items())[:2])
        raise DataError(
            f"{name} has 0 pictures ({', '.join(sorted(IMAGE_SUFFIXES))})"
            f"{f', left out: {reasons}' if reasons else ''}; give another folder"
        )
    captions = [folders.sidecar_captions(file) for file in found.files]
    if required and not any(captions):
        raise DataError(
            f"{name} has pictures but no captions: add metadata.jsonl or .txt files, "
            f"or write them with `python -m sdxl_lora caption {name}`"
        )
    rows = [row for row, file in enumerate(found.files) for _ in range(folders.repeats(file, path))]
    return Source(
        name=name,
        kind="text files",
        keys=[str(found.files[row].relative_to(path)) for row in rows],
        captions=[captions[row] for row in rows],
        read=_file_reader([found.files[row] for row in rows]),
        left_out=found.left_out,
    )


def _file_reader(files: Sequence[Path]) -> Callable[[int], bytes]:
    def read(index: int) -> bytes:
        try:
            return files[index].read_bytes()
        except OSError as error:
            raise DataError(f"{files[index]} cannot be read: {error.strerror}") from None

    return read
