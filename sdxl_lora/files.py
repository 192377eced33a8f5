"""Writing files so that they exist whole or not at all, and saying in one line why a disk refused.

Knows nothing of pictures or the database.
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdxl_lora import config, plain_json
from sdxl_lora.errors import StorageError

TEMPORARY_SUFFIX = ".part"

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space, or {choose} a folder on another disk",
    errno.EDQUOT: "your disk quota is used up; free some space, or {choose} another folder",
    errno.EROFS: "the disk is read-only; {choose} a folder that can be written",
    errno.EACCES: "permission denied; {choose} a folder that you may write",
    errno.EPERM: "permission denied; {choose} a folder that you may write",
    errno.ENOTDIR: "a file is where a folder should be; {choose} a folder",
    errno.EEXIST: "a file is where a folder should be; {choose} a folder",
    errno.ENAMETOOLONG: "the name is too long; {choose} a shorter one",
}


@contextlib.contextmanager
def storage_errors(path: Path, action: str = "write") -> Iterator[None]:
    """Turn an `OSError` of the block into a `StorageError` that names `path`, the cause and the way out."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
        ours = path.absolute().is_relative_to(config.home().absolute())
        advice = advice.replace("{choose}", "set SDXL_LORA_HOME to" if ours else "choose")
        raise StorageError(f"cannot {action} {path}: {advice}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` through a temporary file in the same folder, flushed to disk before the rename.

    After a crash there is the whole file or none, and perhaps a `*.part` that nobody reads.
    Raises `StorageError`.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
        try:
            with temporary.open("xb") as file:
                _write(file.fileno(), data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(path.parent)


def append_line(path: Path, line: bytes) -> int:
    """Adds a line without a line break, on the disk when this returns; it never continues one that a crash cut off.

    Returns the size of the file in bytes. Raises `StorageError`.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            _write(file.fileno(), line if file.tell() == 0 else b"\n" + line)
            return os.fstat(file.fileno()).st_size


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Whether nobody else, in this process or another, is inside for the same `path`; the system lets go of it however
    a process ends. Where there are no such locks nobody is kept out. Raises `StorageError`."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield True
        return
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a file system without locks
            pass
        yield True


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where it is gone, unreadable or no JSON. Never raises for what is in it."""
    try:
        return parse_json(path.read_bytes())
    except OSError:
        return None


def parse_json(data: bytes) -> Any:
    """What `data` says; None where it is no JSON of a depth and size that Python reads."""
    try:
        return plain_json.parse(data.decode())
    except ValueError:
        return None


def _write(descriptor: int, data: bytes) -> None:
    """All bytes to the file and to the disk; `os.write` may take fewer than it is given."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut. Windows cannot open folders, and does not need it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
