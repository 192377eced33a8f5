"""The C++ part of the pretended CUDA device (`pretend_cuda`): made from `pretend_guard.cpp`, loaded before torch.

torch asks once, early, whether there is a device, and remembers the answer.
"""

import ctypes
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".cpp")


def build(folder: Path) -> Path:
    """Compiles it into `folder`, unless it is there. Raises `OSError`, `subprocess.CalledProcessError`."""
    library = folder / f"pretend_guard-{version('torch')}.so"
    if not library.exists():
        include = _torch() / "include"
        command = ["g++", "-shared", "-fPIC", "-std=c++20", "-O0", str(SOURCE)]
        command += [f"-I{include}", f"-I{include / 'torch/csrc/api/include'}"]
        partial = library.with_suffix(".partial")
        subprocess.run([*command, "-o", str(partial)], check=True, capture_output=True)
        partial.rename(library)
    return library


def load(library: Path) -> None:
    """Must be called before torch is imported."""
    folder = _torch() / "lib"
    for path in (folder / "libc10.so", folder / "libtorch_cpu.so", library):
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _torch() -> Path:
    found = find_spec("torch")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent
