"""Random access to pictures and captions in parquet files, one row group in memory at a time.

Pictures are the hub's struct of `bytes` and `path`, or plain binary. Knows nothing of what the columns mean.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sdxl_lora.errors import DataError

_GROUPS_IN_MEMORY = 2


class Table:
    """The rows of several parquet files with equal columns, one after another."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = []
        for path in files:
            try:
                self._files.append(pq.ParquetFile(path))
            except (pa.ArrowException, OSError) as error:
                raise DataError(
                    f"{path} is not a readable parquet file: {str(error).splitlines()[0]}"
                ) from None
        self.columns: list[str] = self._files[0].schema_arrow.names
        for path, file in zip(files, self._files, strict=True):
            if file.schema_arrow.names != self.columns:
                raise DataError(
                    f"{path} has other columns than {files[0]}: {', '.join(file.schema_arrow.names)}"
                )
        self._groups = [(file, i) for file in self._files for i in range(file.num_row_groups)]
        sizes = [file.metadata.row_group(i).num_rows for file, i in self._groups]
        self._starts = [0, *accumulate(sizes)]

    def __len__(self) -> int:
        return self._starts[-1]

    def column(self, name: str) -> list[Any]:
        """All values of a small column."""
        return [value for file in self._files for value in file.read(columns=[name]).column(0).to_pylist()]

    def reader(self, name: str) -> Callable[[int], bytes]:
        """A function from row number to the encoded picture in column `name`."""

        @lru_cache(maxsize=_GROUPS_IN_MEMORY)
        def group(number: int) -> pa.ChunkedArray:
            file, index = self._groups[number]
            return file.read_row_group(index, columns=[name]).column(0)

        def read(index: int) -> bytes:
            number = bisect_right(self._starts, index) - 1
            return picture_bytes(group(number)[index - self._starts[number]].as_py(), f"row {index}")

        return read


def picture_bytes(value: object, where: str) -> bytes:
    """The encoded picture of a cell: raw bytes, or the hub's `{"bytes", "path"}`. Raises `DataError`."""
    if isinstance(value, dict):
        if value.get("bytes") is None and value.get("path"):
            try:
                return Path(str(value["path"])).read_bytes()
            except OSError as error:
                raise DataError(f"the picture of {where} cannot be read: {error.strerror}") from None
        value = value.get("bytes")
    if not isinstance(value, bytes):
        raise DataError(f"{where} holds no picture but {type(value).__name__}; set --image_column")
    return value
