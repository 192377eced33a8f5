"""Remembers what was measured of a picture, so that no file is decoded or embedded twice, in this run or the
next.

Keys are contents, never paths: the SHA-256 of the file, the model's revision, the preprocessing. A changed
file, model or setting therefore is another key, and nothing ever has to be invalidated. Knows nothing of
metrics.
"""

import io
import math
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdxl_lora.errors import StorageError

Array = NDArray[Any]

_BATCH = 500  # SQLite's limit on variables of one statement is 999 in its oldest builds


class FeatureCache:
    """Arrays by key, in one SQLite file; with `path=None` in memory only."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path or ":memory:", timeout=30)
            with self._connection:
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS features (key TEXT PRIMARY KEY, value BLOB)"
                )
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"the feature cache {path} cannot be used ({error}); delete it") from error

    def get(self, keys: Iterable[str]) -> dict[str, Array]:
        """The arrays that are known among `keys`."""
        wanted = list(keys)
        found: dict[str, Array] = {}
        try:
            for start in range(0, len(wanted), _BATCH):
                part = wanted[start : start + _BATCH]
                marks = ",".join("?" * len(part))
                with closing(self._connection.cursor()) as cursor:
                    cursor.execute(f"SELECT key, value FROM features WHERE key IN ({marks})", part)
                    found.update((key, _loaded(value)) for key, value in cursor)
        except (sqlite3.Error, ValueError) as error:
            raise StorageError(f"the feature cache {self._path} is damaged ({error}); delete it") from error
        return found

    def put(self, arrays: Mapping[str, Array]) -> None:
        """Keeps the arrays; a key that is there already keeps its value."""
        rows = []
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            rows.append((key, buffer.getvalue()))
        try:
            with self._connection:
                self._connection.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            raise StorageError(f"the feature cache {self._path} cannot be written ({error})") from error

    def close(self) -> None:
        self._connection.close()


def _loaded(value: bytes) -> Array:
    """What `np.load` gives, read-only. Raises `ValueError` if it is no whole array."""
    length = 10 + int.from_bytes(value[8:10], "little")  # of the header, in version 1.0 of the format
    dtype, shape, fortran = _header(value[:length])
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(value) - length:
        raise ValueError("not a whole array")
    return np.ndarray(shape, dtype, buffer=value, offset=length, order="F" if fortran else "C")


@lru_cache(maxsize=64)  # arrays of one kind have equal headers, and NumPy is slow to parse one
def _header(data: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not an array that this program stored")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    return dtype, shape, fortran
