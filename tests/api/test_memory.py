"""A server's threads share two arenas, so that what their tensors took is not kept once for each of them."""

import platform
import subprocess
import sys

import pytest

from sdxl_lora.api import memory

# the system's own count of arenas after sixteen threads have held memory at the same time
PROGRAM = """
import ctypes, re, sys, threading
from sdxl_lora.api import memory
if sys.argv[1] == "few":
    assert memory.use_few_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
together = threading.Barrier(16)
def hold():
    together.wait()
    libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=hold) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def arenas(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_threads_share_two_arenas() -> None:
    assert arenas("few") <= memory.ARENAS < arenas("as usual")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1"))
    assert not memory.use_few_arenas()
