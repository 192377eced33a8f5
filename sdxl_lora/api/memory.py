"""Memory of a process in which every picture is drawn by threads of its own.

glibc gives up to eight arenas per core to threads, and each keeps what its tensors once took: a server under load
holds hundreds of megabytes that nobody uses (`python -m benchmarks.api_load`). Two are enough for tensors, which hold
an arena's lock for a moment only. Other systems and other C libraries are left alone.
"""

import ctypes
import platform
from typing import Final

ARENAS: Final = 2
_ARENA_MAX: Final = -8  # M_ARENA_MAX of malloc.h


def use_few_arenas() -> bool:
    """Tells glibc, which listens while the process has few threads; whether there was a glibc to tell."""
    return platform.libc_ver()[0] == "glibc" and bool(ctypes.CDLL(None).mallopt(_ARENA_MAX, ARENAS))
