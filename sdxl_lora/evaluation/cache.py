"""Remembers what was measured of a picture, so that no file is decoded or embedded twice, in this run or the
next.

Keys are contents, never paths: the SHA-256 of the file, the model's revision, the preprocessing. A changed
file, model or setting therefore is another key, and nothing ever has to be invalidated. Knows nothing of
metrics.
"""

import io
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
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
                    found.update(
                        (key, np.load(io.BytesIO(value), allow_pickle=False)) for key, value in cursor
                    )
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
