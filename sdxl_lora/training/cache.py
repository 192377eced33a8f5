"""Tensors on disk, memory-mapped: one file of records whose shapes are known beforehand.

Any number of records costs no memory but what is read. The space is reserved first, so a full disk is an
error at the start and not a crash later. Writing may be killed at any moment: every record has a checksum,
and building goes on with the records that lack one. Knows nothing of what the tensors mean.
"""

import errno
import json
import math
import os
import zlib
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sdxl_lora.errors import StorageError

_ALIGNMENT = 64  # bytes; rows start on a cache line
_WRITTEN = 1 << 32  # set in the checksum entry of a written record, so that a checksum of 0 counts


class RecordCache:
    """`records[i]` is a tensor of shape `shapes[i]` and type `dtype`, or missing until `write(i, tensor)`."""

    def __init__(self, folder: Path, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> None:
        """Opens or creates the cache in `folder`. Raises `StorageError` when the disk is full or read-only."""
        self.folder, self.shapes, self.dtype = folder, list(shapes), dtype
        sizes = [math.prod(shape) * dtype.itemsize for shape in self.shapes]
        padded = [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes]
        self._sizes = sizes
        self._starts = [0, *accumulate(padded)]
        self.bytes = self._starts[-1]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _describe(folder / "shape.json", self.shapes, dtype)
            _reserve(folder / "records.bin", self.bytes)
            _reserve(folder / "checksums.bin", 8 * len(sizes))
            self._data = np.memmap(folder / "records.bin", np.uint8, "r+", shape=(max(1, self.bytes),))
            self._sums = np.memmap(folder / "checksums.bin", np.uint64, "r+", shape=(len(sizes),))
        except OSError as error:
            raise StorageError(_explain(error, folder, self.bytes)) from None

    def __len__(self) -> int:
        return len(self.shapes)

    def missing(self) -> list[int]:
        """Records not written yet."""
        return [int(i) for i in np.flatnonzero(np.asarray(self._sums) == 0)]

    def write(self, index: int, tensor: Tensor) -> None:
        """Stores a record; the checksum follows the data, so that a half-written record counts as missing."""
        if tuple(tensor.shape) != self.shapes[index] or tensor.dtype != self.dtype:
            raise ValueError(
                f"record {index} is {tuple(tensor.shape)} {tensor.dtype}, not {self.shapes[index]}"
            )
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        start = self._starts[index]
        self._data[start : start + data.size] = data
        self._sums[index] = zlib.crc32(data.tobytes()) | _WRITTEN

    def read(self, index: int) -> Tensor:
        """A copy of a record. Raises `StorageError` when it was damaged on disk."""
        start = self._starts[index]
        data = np.array(self._data[start : start + self._sizes[index]])
        if int(self._sums[index]) != zlib.crc32(data.tobytes()) | _WRITTEN:
            raise StorageError(
                f"record {index} of the cache {self.folder} is damaged; delete that folder and start again"
            )
        return torch.from_numpy(data).view(self.dtype).reshape(self.shapes[index])

    def chunks_to_fill(self, size: int, share: tuple[int, int] = (0, 1)) -> list[list[int]]:
        """Fixed chunks of at most `size` records of equal shape in which a record is missing; of several processes,
        `share` = (this one, how many), each has its own, whatever the others have filled by now.

        Chunks do not depend on what is missing: a batch rounds differently from its parts, so a cache that
        was interrupted is still equal, bit for bit, to one that was not.
        """
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for index, shape in enumerate(self.shapes):
            by_shape.setdefault(tuple(shape), []).append(index)
        chunks = [
            indices[start : start + size]
            for indices in by_shape.values()
            for start in range(0, len(indices), size)
        ]
        missing = set(self.missing())
        return [chunk for chunk in chunks[share[0] :: share[1]] if missing.intersection(chunk)]

    def flush(self) -> None:
        self._data.flush()
        self._sums.flush()


def _describe(path: Path, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> None:
    """A note for people and a guard: a folder of another shape is another cache."""
    text = json.dumps({"dtype": str(dtype), "records": len(shapes), "shapes": sorted(set(shapes))})
    if path.is_file() and path.read_text() != text:
        raise StorageError(f"the cache {path.parent} is of another shape; delete that folder and start again")
    if not path.is_file():
        path.write_text(text)


def _reserve(path: Path, size: int) -> None:
    """Makes the file at least `size` bytes long, with the space really there."""
    size = max(1, size)
    with path.open("ab") as file:
        if file.tell() >= size:
            return
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def _explain(error: OSError, folder: Path, size: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the cache needs {size / 1e6:,.1f} MB in {folder}, which is full; see --training_cache_dir"
    return f"the cache {folder} cannot be written: {error.strerror}; see --training_cache_dir"
