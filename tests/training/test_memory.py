"""Freed memory is kept: large tensors made again and again cost no new pages."""

import platform
import resource

import pytest
import torch

from sdxl_lora.training import memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
def test_large_tensors_reuse_the_pages_of_those_before():
    assert memory.keep_freed()

    def faults(rounds: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(rounds):
            torch.zeros(16 << 20)  # 64 MB, above every threshold of glibc
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults(4)
    assert faults(40) < 40 * (64 << 20) / 4096 / 10  # a tenth of the pages of fresh memory


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not memory.keep_freed()
