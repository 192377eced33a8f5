"""Reads the pictures of a ZIP file that may come from anybody.

Nothing is unpacked to disk, so no name in the archive can become a path; one that tries is refused all the
same. Sizes are counted while reading, because what an archive says of its own sizes need not be true. Knows
nothing of rows and columns.
"""

import io
import stat
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from sdxl_lora.errors import DataError
from sdxl_lora.evaluation.pictures import SUFFIXES

MOST_FILES = 1_000
MOST_BYTES = 60_000_000  # of one picture, unpacked
MOST_BYTES_IN_ALL = 600_000_000


def is_zip(path: Path) -> bool:
    """Whether the file begins and ends like a ZIP."""
    return path.is_file() and zipfile.is_zipfile(path)


def read_zip(source: Path | bytes, name: str = "", *, beside: Collection[str] = ()) -> dict[str, bytes]:
    """File name (without folders) -> content, of every picture in the archive, in name order.

    Folders, hidden files and files that are no pictures by their suffix, nor one of `beside`, are left out.
    Raises `DataError` for what is damaged, encrypted, too large, or names a place outside the archive.
    """
    name = name or (source.name if isinstance(source, Path) else "the ZIP file")
    try:
        with zipfile.ZipFile(source if isinstance(source, Path) else io.BytesIO(source)) as archive:
            return _read_all(archive, name, SUFFIXES | frozenset(beside))
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        # RuntimeError: encrypted, or packed in a way Python does not know
        raise DataError(f"{name} cannot be read as a ZIP ({error}); pack the pictures again") from error


def _read_all(archive: zipfile.ZipFile, name: str, suffixes: Collection[str]) -> dict[str, bytes]:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > MOST_FILES:
        raise DataError(f"{name} holds {len(entries):,} files; at most {MOST_FILES:,} are read")
    found: dict[str, bytes] = {}
    left = MOST_BYTES_IN_ALL
    for entry in sorted(entries, key=lambda entry: entry.filename):
        path = _checked(entry, name)
        if path.suffix.lower() not in suffixes or any(
            part.startswith((".", "__MACOSX")) for part in path.parts
        ):
            continue
        if path.name in found:
            raise DataError(f"{name} holds two pictures named {path.name!r}; give each its own name")
        data = _read_one(archive, entry, min(MOST_BYTES, left), name)
        left -= len(data)
        found[path.name] = data
    if not any(Path(file).suffix.lower() in SUFFIXES for file in found):
        raise DataError(f"{name} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return found


def _checked(entry: zipfile.ZipInfo, name: str) -> PurePosixPath:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    drive = len(path.parts[0]) == 2 and path.parts[0][1] == ":" if path.parts else False
    if path.is_absolute() or ".." in path.parts or drive:
        raise DataError(f"{name} names a file outside itself ({entry.filename!r}); it is not read")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise DataError(f"{name} holds a link ({entry.filename!r}) in the place of a picture; it is not read")
    return path


def _read_one(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int, name: str) -> bytes:
    with archive.open(entry) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise DataError(
            f"{name}: {entry.filename!r} is too large unpacked; a picture may have {MOST_BYTES // 10**6} MB, "
            f"all together {MOST_BYTES_IN_ALL // 10**6} MB"
        )
    return data
