"""Memory of a process that makes and drops large tensors all the time on a CPU.

glibc gives large blocks back to the system as soon as they are free, and the next tensor pays for fresh, zeroed pages:
on 256 px pictures that was more than half of the VAE's time (docs/log.md). Here freed memory is kept. Other systems
and other C libraries are left alone.
"""

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # names of malloc.h
_NEVER = -1  # for glibc: do not trim, however much lies unused at the end of the heap
_STEP = 1 << 26  # bytes by which the heap grows


def keep_freed() -> bool:
    """Tells glibc to keep what was freed; whether there was a glibc to tell."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _STEP))
    return sum(mallopt(name, value) for name, value in settings) == len(settings)
