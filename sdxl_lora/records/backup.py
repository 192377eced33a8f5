"""One file with everything of a data folder that cannot be made again, and a data folder from such a file.

The file is a ZIP: `manifest.json` (format, version, revision of the database, and of every file size, SHA-256 and
permissions) and `data/` with the files. The database is copied first, as it is at one moment (SQLite's backup), the
files after it, so that this works while the studio runs: a picture that is younger than the copy of the database is
entered again from its own text when the folder is opened, and a row whose picture was deleted meanwhile is dropped, as
after a crash. Nothing is restored over anything, and nothing before all of it has been checked.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from sdxl_lora import __version__, files, plain_json
from sdxl_lora.errors import DataError, StorageError
from sdxl_lora.records import layout, migrations, sqlite, upgrading

FORMAT: Final = 1  # raised when a reader of today could not understand it
MANIFEST: Final = "manifest.json"
_DATA: Final = "data/"
_MADE_AGAIN: Final = ("cache", "thumbnails")  # folders
_STAGING: Final = ".restoring-"
_CHUNK: Final = 2**20  # bytes
_LARGEST_MANIFEST: Final = 512 * 2**20  # bytes; of some millions of files
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # of every entry: the same contents give the same file

Told = Callable[[int, int], None]  # (files done, files in all)


@dataclass(frozen=True, kw_only=True)
class _Entry:
    size: int  # bytes
    sha256: str
    mode: int  # permissions


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is in a backup."""

    files: int
    bytes: int
    version: str  # of the program that made it
    created_at: str  # ISO 8601, UTC
    database: bool  # whether it holds one; a server's is backed up by the server's own means


def make(home: Path, target: Path, told: Told = lambda done, all_: None) -> Summary:
    """Writes `target`, whole or not at all. Raises `DataError` where it would be written over something or into the
    data folder itself, `StorageError`."""
    if target.exists():
        raise DataError(f"{target} is there already; choose another name")
    if not home.is_dir():
        raise DataError(f"there is no data folder {home}; set SDXL_LORA_HOME to it")
    if target.absolute().resolve().is_relative_to(home.resolve()):
        raise DataError(
            f"{target} lies in the data folder, and would be in its own next backup; choose another place"
        )
    partial = target.with_name(f".{target.name}-{secrets.token_hex(4)}{files.TEMPORARY_SUFFIX}")
    try:
        with (
            files.storage_errors(target),
            _private(partial) as opened,
            tempfile.TemporaryDirectory() as folder,
        ):
            summary = _write(opened, home, Path(folder), told)
            opened.flush()
            os.fsync(opened.fileno())
        with files.storage_errors(target):
            partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return summary


def _private(path: Path) -> IO[bytes]:
    """A new file that only its owner may read: keys and hashes of tokens are in it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _write(opened: IO[bytes], home: Path, folder: Path, told: Told) -> Summary:
    revision, snapshot = _snapshot(home, folder / layout.database_path(home).name)
    sources = [(path.relative_to(home).as_posix(), path) for path in _files_of(home)]
    if snapshot is not None:
        sources.append((snapshot.name, snapshot))
    entries: dict[str, _Entry] = {}
    with zipfile.ZipFile(opened, "w", allowZip64=True) as archive:
        for done, (name, path) in enumerate(sources):
            told(done, len(sources))
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                entries[name] = _add(archive, name, path)
        told(len(sources), len(sources))
        manifest = {
            "format": FORMAT,
            "version": __version__,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "revision": revision,
            "files": {name: asdict(entry) for name, entry in entries.items()},
        }
        text = json.dumps(manifest, indent=0, ensure_ascii=True)
        archive.writestr(zipfile.ZipInfo(MANIFEST, _DATE), text, zipfile.ZIP_DEFLATED)
    return _summary(manifest, entries)


def _snapshot(home: Path, target: Path) -> tuple[str | None, Path | None]:
    """(revision, copy) of the SQLite database as it is now; (None, None) where there is none."""
    path = layout.database_path(home)
    if not path.is_file():
        return None, None
    try:
        sqlite.back_up(path, target)
        engine = sqlite.open_file(target)
        with engine.connect() as connection:
            revision = upgrading.revision(connection)
        engine.dispose()
    except sqlite3.Error as error:
        raise StorageError(f"database {path}: {sqlite.advice(error)}") from error
    return revision, target


def _files_of(home: Path) -> Iterator[Path]:
    """Everything that is kept, without what is made again and without live databases."""
    database = layout.database_path(home).stem
    for folder, folders, names in os.walk(home):
        here = Path(folder)
        top = here == home
        folders[:] = sorted(f for f in folders if not (top and (f in _MADE_AGAIN or f.startswith(_STAGING))))
        for name in sorted(names):
            path = here / name
            if name.endswith(files.TEMPORARY_SUFFIX) or (top and name.startswith(f"{database}.")):
                continue
            if path.is_file():
                yield path


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> _Entry:
    """A file into the archive as it is now; what is appended meanwhile belongs to the next backup."""
    digest, size = hashlib.sha256(), 0
    info = zipfile.ZipInfo(_DATA + name, _DATE)  # stored: pictures do not become smaller
    with path.open("rb") as source:
        mode, left = stat.S_IMODE(os.fstat(source.fileno()).st_mode), os.fstat(source.fileno()).st_size
        with archive.open(info, "w", force_zip64=True) as into:
            while left and (chunk := source.read(min(_CHUNK, left))):
                digest.update(chunk)
                into.write(chunk)
                size, left = size + len(chunk), left - len(chunk)
    return _Entry(size=size, sha256=digest.hexdigest(), mode=mode)


# ------------------------------------------------------------------ the way back


def restore(source: Path, home: Path, told: Told = lambda done, all_: None) -> Summary:
    """Fills the data folder `home`, which must be empty or not there, once everything in `source` was checked.

    Raises `DataError` for a folder that is not empty, a file that is no backup, damaged, or of a newer version;
    `StorageError`.
    """
    with files.storage_errors(home):
        if home.exists() and (not home.is_dir() or any(home.iterdir())):
            raise DataError(
                f"{home} is not empty, and nothing is restored over anything; set SDXL_LORA_HOME to a new folder"
            )
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = _manifest(archive, source)
            return _unpack(archive, manifest, source, home, told)
    except (zipfile.BadZipFile, EOFError, zipfile.LargeZipFile) as error:
        raise DataError(f"{source} is damaged or no backup: {str(error).splitlines()[0]}") from error
    except OSError as error:
        if error.filename not in (None, str(source)):
            raise
        raise DataError(f"{source} cannot be read: {error.strerror or error}") from error


def _manifest(archive: zipfile.ZipFile, source: Path) -> dict[str, Any]:
    """Raises `DataError`."""
    try:
        info = archive.getinfo(MANIFEST)
        if info.file_size > _LARGEST_MANIFEST:
            raise DataError(f"{source} is no backup: its manifest is too large")
        manifest: dict[str, Any] = plain_json.parse(archive.read(info))
        version, form, revision = manifest["version"], manifest["format"], manifest["revision"]
        newer = form > FORMAT or (revision is not None and revision not in migrations.REVISIONS)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{source} is no backup of this program, or damaged") from error
    if newer:
        raise DataError(
            f"{source} was made by a newer version of this program ({str(version)[:40]}, this is {__version__}); update"
        )
    return manifest


def _unpack(
    archive: zipfile.ZipFile, manifest: dict[str, Any], source: Path, home: Path, told: Told
) -> Summary:
    entries = _entries(manifest, source)
    needed, free = sum(entry.size for entry in entries.values()), _free(home)
    if needed > free:
        raise StorageError(
            f"{home} needs {needed / 2**20:,.0f} MB, and the disk has {free / 2**20:,.0f} MB free; make room"
        )
    with files.storage_errors(home):
        home.mkdir(parents=True, exist_ok=True)
        staging = home / f"{_STAGING}{secrets.token_hex(4)}"
        staging.mkdir(mode=0o700)
        try:
            for done, (name, entry) in enumerate(entries.items()):
                told(done, len(entries))
                _extract(archive, name, entry, staging / name, source)
            told(len(entries), len(entries))
            for top in sorted(staging.iterdir()):
                top.rename(home / top.name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return _summary(manifest, entries)


def _entries(manifest: dict[str, Any], source: Path) -> dict[str, _Entry]:
    """Raises `DataError` for what is no list of files below one folder."""
    try:
        entries = {str(name): _Entry(**facts) for name, facts in manifest["files"].items()}
        sound = all(
            isinstance(e.size, int) and e.size >= 0 and isinstance(e.mode, int) for e in entries.values()
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{source} is no backup of this program, or damaged") from error
    for name in entries:
        path = PurePosixPath(name)
        parts = path.parts
        if not sound or path.is_absolute() or not parts or ".." in parts or any(c in name for c in "\\:\0"):
            raise DataError(
                f"{source} names a file outside of the data folder ({name[:80]!r}); it is not restored"
            )
    return entries


def _extract(archive: zipfile.ZipFile, name: str, entry: _Entry, target: Path, source: Path) -> None:
    """One file, which must be what the manifest says. Raises `DataError`."""
    digest, left = hashlib.sha256(), entry.size
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open(_DATA + name) as packed, target.open("xb") as into:
            while chunk := packed.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    break
                digest.update(chunk)
                into.write(chunk)
    except (KeyError, RuntimeError, FileExistsError) as error:
        raise DataError(f"{source} is damaged: {name[:80]} is not in it as it was") from error
    if left or digest.hexdigest() != entry.sha256:
        raise DataError(f"{source} is damaged: {name[:80]} is not what it was; nothing was restored")
    target.chmod(entry.mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)


def _free(home: Path) -> int:
    """Bytes free where `home` is, or will be."""
    there = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(there).free


def _summary(manifest: dict[str, Any], entries: dict[str, _Entry]) -> Summary:
    return Summary(
        files=len(entries),
        bytes=sum(entry.size for entry in entries.values()),
        version=str(manifest["version"]),
        created_at=str(manifest["created_at"]),
        database=manifest["revision"] is not None,
    )
