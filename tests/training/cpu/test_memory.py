"""Freed memory is kept: large tensors made again and again cost no new pages."""

import platform
import subprocess
import sys

import pytest

from sdxl_lora.training.cpu import memory

# In a process of its own: what other tests left on the heap decides where its next large block comes from.
FAULTS = """
import resource, torch
from sdxl_lora.training.cpu import memory

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.zeros(16 << 20)  # 64 MB, above every threshold of glibc
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults(20)
assert memory.keep_freed()
faults(20)  # aligned blocks leave crumbs, and the heap grows until there are enough of them
print(given_back, faults(20))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
def test_large_tensors_reuse_the_pages_of_those_before():
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    given_back, kept = map(int, told.stdout.split()[-2:])
    assert kept < given_back / 10


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not memory.keep_freed()
