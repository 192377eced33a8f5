"""Writing files so that they exist whole or not at all, and saying in one line why a disk refused.

Knows nothing of pictures or the database.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sdxl_lora.errors import StorageError

TEMPORARY_SUFFIX = ".part"

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space, or set SDXL_LORA_HOME to a folder on another disk",
    errno.EDQUOT: "your disk quota is used up; free some space, or set SDXL_LORA_HOME to another folder",
    errno.EROFS: "the disk is read-only; set SDXL_LORA_HOME to a folder that can be written",
    errno.EACCES: "permission denied; set SDXL_LORA_HOME to a folder that you may write",
    errno.EPERM: "permission denied; set SDXL_LORA_HOME to a folder that you may write",
    errno.ENOTDIR: "a file is where a folder should be; set SDXL_LORA_HOME to a folder",
    errno.EEXIST: "a file is where a folder should be; set SDXL_LORA_HOME to a folder",
}


@contextlib.contextmanager
def explained(path: Path, action: str = "write") -> Iterator[None]:
    """Turn an `OSError` of the block into a `StorageError` that names `path`, the cause and the way out."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(f"cannot {action} {path}: {advice}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` through a temporary file in the same folder, flushed to disk before the rename.

    After a crash there is the whole file or none, and perhaps a `*.part` that nobody reads.
    Raises `StorageError`.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=TEMPORARY_SUFFIX)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                _write(file.fileno(), data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(path.parent)


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
