"""Finds what is compared with what: generated pictures, references and captions, matched by file name.

Nothing is dropped silently. Unequal folders are an error unless the caller asks for the names they have in
common; then what was left out is in `Pairing.notes`. Knows nothing of pixels.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sdxl_lora import plain_json
from sdxl_lora.errors import DataError
from sdxl_lora.evaluation.pictures import SUFFIXES, FileSource

SLICES = ("brand", "garment", "colour")  # columns of a captions file the metrics page can slice by
_TEXT_COLUMNS = ("text", "caption", "prompt")
_NAME_COLUMNS = ("file_name", "file", "name", "image")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One generated picture, and what is known of what it should look like."""

    name: str  # the file name without its suffix
    generated: FileSource
    reference: FileSource | None = None
    caption: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)  # brand, garment, prompt, seed ...


@dataclass(frozen=True)
class Pairing:
    """All pairs in name order, and in words what was left out or ignored."""

    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()

    @property
    def has_references(self) -> bool:
        return all(pair.reference is not None for pair in self.pairs)

    @property
    def has_captions(self) -> bool:
        return all(pair.caption is not None for pair in self.pairs)

    def prompts_hash(self) -> str:
        """SHA-256 over names and captions: two runs may be compared pair by pair only if theirs are equal."""
        lines = [f"{pair.name}\t{pair.caption or ''}" for pair in self.pairs]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def files_hash(self) -> str:
        """SHA-256 over the names and contents of all files, generated and reference."""
        parts = []
        for pair in self.pairs:
            reference = pair.reference.identity if pair.reference else "-"
            parts.append(f"{pair.name}\t{pair.generated.identity}\t{reference}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def pair_folders(
    generated: Path, reference: Path | None = None, captions: Path | None = None, *, common_only: bool = False
) -> Pairing:
    """Pairs the pictures of two folders by file name (suffixes may differ) and reads their captions.

    Args:
        common_only: use the names both folders have, and list the others in the notes, instead of raising.

    Raises `DataError` for a missing or empty folder, names that do not match, captions that are missing.
    """
    pictures, notes = _pictures_in(generated)
    names = sorted(pictures)
    references: dict[str, Path] = {}
    if reference is not None:
        references, more = _pictures_in(reference)
        notes += more
        names, more = _matched(generated, set(pictures), reference, set(references), common_only)
        notes += more
    rows: dict[str, dict[str, str]] = {}
    if captions is not None:
        rows = read_captions(captions, names)
        missing = [name for name in names if name not in rows]
        if missing:
            raise DataError(
                f"{captions} has no caption for {_listed(missing)}; add them or leave --captions out"
            )
        others = sorted(set(rows) - set(names))
        if others:
            notes.append(f"captions not used, there is no such picture: {_listed(others)}")
    pairs = tuple(
        Pair(
            name=name,
            generated=FileSource(pictures[name]),
            reference=FileSource(references[name]) if name in references else None,
            caption=rows[name]["caption"] if rows else None,
            facts={key: value for key, value in rows.get(name, {}).items() if key != "caption"},
        )
        for name in names
    )
    return Pairing(pairs, tuple(notes))


def read_captions(path: Path, names: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """Captions by picture name, each with whatever else the file says: `{"img_00": {"caption": ..., "brand":
    ...}}`.

    JSON lines and CSV need a column naming the file (`file_name`, `file`, `name` or `image`) and one with the
    text (`text`, `caption` or `prompt`). JSON may also be `{"img_00.png": "caption"}`. A text file has one
    caption per line, in the order of the sorted picture names.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the captions file {path} cannot be read ({error}); it must be UTF-8 text"
        ) from error
    if path.suffix.lower() == ".txt":
        lines = _lines(text)
        if names and len(lines) != len(names):
            raise DataError(
                f"{path} has {len(lines)} captions for {len(names)} pictures; it needs one line for each"
            )
        keys = list(names) if names else [f"{index:04d}" for index in range(len(lines))]
        return {name: {"caption": line} for name, line in zip(keys, lines, strict=True)}
    return _rows_by_name(_parsed(path, text), path)


def _lines(text: str) -> list[str]:
    """Without empty ones; `str.splitlines` would also cut at line separators inside a caption."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def _parsed(path: Path, text: str) -> list[dict[str, Any]]:
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            return list(csv.DictReader(io.StringIO(text, newline="")))
        if suffix in (".jsonl", ".ndjson"):
            rows = [plain_json.parse(line) for line in _lines(text)]
        elif suffix == ".json":
            rows = plain_json.parse(text)
            if isinstance(rows, dict):
                rows = [{"file_name": name, "text": caption} for name, caption in rows.items()]
        else:
            raise DataError(f"{path} is not a captions file; give .jsonl, .json, .csv or .txt")
    except (json.JSONDecodeError, csv.Error) as error:
        raise DataError(f"the captions file {path} is damaged: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} must hold one object per picture, with file_name and text")
    return rows


def _rows_by_name(rows: Iterable[Mapping[str, Any]], path: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows, start=1):
        name = next((str(row[key]) for key in _NAME_COLUMNS if row.get(key)), None)
        caption = next((str(row[key]).strip() for key in _TEXT_COLUMNS if row.get(key)), None)
        if not name or not caption:
            raise DataError(f"{path}, entry {number}: needs {_NAME_COLUMNS[0]!r} and {_TEXT_COLUMNS[0]!r}")
        stem = picture_name(name)
        if stem in found:
            raise DataError(f"{path} names {stem!r} twice; each picture needs one caption")
        skip = {*_NAME_COLUMNS, *_TEXT_COLUMNS[:2]}
        facts = {
            str(key): str(value) for key, value in row.items() if key not in skip and value not in (None, "")
        }
        found[stem] = {"caption": caption, **facts}
    if not found:
        raise DataError(f"{path} holds no captions")
    return found


def picture_name(file: str) -> str:
    """The file name without folders, and without its suffix where that is a picture's: `v1.5_001` stays whole."""
    path = PurePosixPath(file.replace("\\", "/"))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _pictures_in(folder: Path) -> tuple[dict[str, Path], list[str]]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give a folder of pictures")
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    files = [path for path in visible if path.is_file()]
    folders = [path.name for path in visible if path.is_dir()]
    pictures: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in pictures:
            raise DataError(
                f"{folder} has two pictures named {path.stem!r}: {pictures[path.stem].name} and {path.name}"
            )
        pictures[path.stem] = path
    if not pictures:
        inside = f"; its folders are not looked into, name one of them: {_listed(folders)}" if folders else ""
        raise DataError(f"{folder} has no pictures ({', '.join(sorted(SUFFIXES))}){inside}")
    others = [path.name for path in files if path.suffix.lower() not in SUFFIXES]
    notes = [f"not pictures, ignored in {folder.name}: {_listed(others)}"] if others else []
    if folders:
        notes.append(f"folders, not looked into in {folder.name}: {_listed(folders)}")
    return pictures, notes


def _matched(
    generated: Path, ours: set[str], reference: Path, theirs: set[str], common_only: bool
) -> tuple[list[str], list[str]]:
    problems = []
    if ours - theirs:
        problems.append(f"only in {generated.name} ({len(ours - theirs)}): {_listed(sorted(ours - theirs))}")
    if theirs - ours:
        problems.append(f"only in {reference.name} ({len(theirs - ours)}): {_listed(sorted(theirs - ours))}")
    common = sorted(ours & theirs)
    if not common:
        raise DataError(
            f"no picture in {generated} has the name of one in {reference}; pairs are matched by name"
        )
    if problems and not common_only:
        raise DataError(
            f"{generated} ({len(ours)} pictures) and {reference} ({len(theirs)}) do not match; "
            f"{'; '.join(problems)}; add them, or give --common-only to evaluate the {len(common)} in both"
        )
    return common, [f"left out, {problem}" for problem in problems]


def _listed(names: Sequence[str], most: int = 5) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
