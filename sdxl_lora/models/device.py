"""On which device this machine draws, found out without torch where it has only a processor.

Pages ask before anything is drawn, and torch takes seconds to import.
"""

import platform
from pathlib import Path
from types import ModuleType
from typing import Literal, cast

from sdxl_lora import later
from sdxl_lora.errors import RequestError

Device = Literal["cuda", "mps", "cpu"]
# what drivers of GPUs that torch draws on (NVIDIA, its Tegra, AMD, Windows' own under Linux) put there
_DRIVERS = tuple(Path("/dev") / name for name in ("nvidiactl", "nvhost-ctrl", "nvmap", "kfd", "dxg"))


def may_have_gpu() -> bool:
    """False where there is certainly none; torch says more."""
    return platform.system() != "Linux" or any(driver.exists() for driver in _DRIVERS)


def choose_device(wanted: str | None = None) -> Device:
    """The device asked for, or the fastest there is. Raises `RequestError` if it is not there."""
    there = {"cuda": False, "mps": False, "cpu": True}
    if may_have_gpu():
        torch = _torch()
        there |= {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted is None:
        return cast(Device, next(name for name, available in there.items() if available))
    if not there.get(wanted, False):
        usable = ", ".join(name for name, available in there.items() if available)
        raise RequestError(f"there is no device {wanted!r} on this machine; usable: {usable}")
    return cast(Device, wanted)


def gpu_memory() -> int:
    """Bytes of a CUDA device that are free, or in use by this very process; 0 = there is none."""
    if not may_have_gpu():
        return 0
    torch = _torch()
    if not torch.cuda.is_available():
        return 0
    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved())


def _torch() -> ModuleType:
    with later.importing():
        import torch

    return torch
