"""The disk cache: written once, read exactly, never half-trusted."""

import errno
import os

import pytest
import torch

from sdxl_lora.errors import StorageError
from sdxl_lora.training.cache import RecordCache

SHAPES = [(2, 3), (4,), (2, 3), (2, 3)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_written_is_read_bit_for_bit_after_opening_again(tmp_path, dtype):
    values = [torch.randn(shape).to(dtype) for shape in SHAPES]
    cache = RecordCache(tmp_path, SHAPES, dtype)
    for index, value in enumerate(values):
        cache.write(index, value)
    again = RecordCache(tmp_path, SHAPES, dtype)
    assert again.missing() == []
    assert all(torch.equal(again.read(index), value) for index, value in enumerate(values))


def test_zeros_count_as_written(tmp_path):
    cache = RecordCache(tmp_path, [(0,), (3,)], torch.float32)
    cache.write(0, torch.zeros(0))
    cache.write(1, torch.zeros(3))
    assert cache.missing() == []


def test_chunks_are_of_one_shape_and_do_not_depend_on_what_is_missing(tmp_path):
    cache = RecordCache(tmp_path, SHAPES, torch.float32)
    assert cache.chunks_to_fill(2) == [[0, 2], [3], [1]]
    cache.write(0, torch.zeros(2, 3))
    assert cache.chunks_to_fill(2) == [[0, 2], [3], [1]]
    cache.write(2, torch.zeros(2, 3))
    assert cache.chunks_to_fill(2) == [[3], [1]]


def test_processes_share_the_chunks_alike_whenever_they_look(tmp_path):
    cache = RecordCache(tmp_path, [(2,)] * 6, torch.float32)
    before = [cache.chunks_to_fill(1, (rank, 2)) for rank in range(2)]
    for (record,) in before[0]:  # the first process is done before the second one looks
        cache.write(record, torch.zeros(2))
    assert cache.chunks_to_fill(1, (1, 2)) == before[1]
    assert sorted(record for chunk in [*before[0], *before[1]] for record in chunk) == list(range(6))


def test_a_damaged_record_is_an_error_and_not_a_wrong_picture(tmp_path):
    cache = RecordCache(tmp_path, [(4,)], torch.float32)
    cache.write(0, torch.ones(4))
    with (tmp_path / "records.bin").open("r+b") as file:
        file.write(b"\x01")
    with pytest.raises(StorageError, match=r"record 0 .* is damaged; delete that folder"):
        RecordCache(tmp_path, [(4,)], torch.float32).read(0)


def test_a_full_disk_is_said_before_anything_is_encoded(tmp_path, monkeypatch):
    def full(descriptor, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"needs 4,000\.0 MB .* which is full"):
        RecordCache(tmp_path, [(1_000_000_000,)], torch.float32)


def test_a_cache_of_another_shape_is_refused(tmp_path):
    RecordCache(tmp_path, [(4,)], torch.float32)
    with pytest.raises(StorageError, match="another shape"):
        RecordCache(tmp_path, [(5,)], torch.float32)


def test_reading_maps_the_file_and_does_not_load_it(tmp_path):
    cache = RecordCache(tmp_path, [(1 << 20,)] * 64, torch.float32)  # 256 MB
    before = _resident()
    cache.write(63, torch.ones(1 << 20))
    assert cache.read(63).sum() == 1 << 20
    assert _resident() - before < 64 << 20


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
