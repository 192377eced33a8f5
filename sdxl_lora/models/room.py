"""Whether there is room for a model, said before it is loaded, with the setting that fits.

What a picture needs is counted on the model's own sizes (`footprint`), what is free is asked of the device. Counting
takes seconds for a large model and is left out where a rough bound fits anyway.
"""

import psutil
import torch

from sdxl_lora.config import Offload, Precision
from sdxl_lora.errors import MemoryLimitError
from sdxl_lora.models import footprint, registry
from sdxl_lora.models.device import Device

BESIDES = 1.05  # of what is counted: memory between blocks, workspaces of libraries
_PER_PIXEL = 4_000  # bytes; more than any decoder here needs
_WIDER = 2  # times the size of its files, at most, that weights have in memory
# in the order of what they cost: quality and speed first
CHOICES: dict[str, tuple[tuple[Precision, Offload], ...]] = {
    "cuda": (
        ("fp16", "none"),
        ("int8", "none"),
        ("fp16", "model"),
        ("int8", "model"),
        ("fp16", "sequential"),
        ("int8", "sequential"),
    ),
    "cpu": (("bf16", "none"), ("int8", "none")),
}

Size = tuple[int, int]  # width, height in px


def free_bytes(device: Device) -> int | None:
    """Bytes that a model could take on a device now; None = not known. What torch holds unused counts as free."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return int(psutil.virtual_memory().available) if device == "cpu" else None


def check(
    info: registry.ModelInfo, precision: Precision, device: Device, offload: Offload, size: Size | None
) -> None:
    """Raises `MemoryLimitError` where drawing a picture of `size` (None = the model's own) needs more than is free."""
    free = free_bytes(device)
    size = size or (info.defaults.width, info.defaults.height)
    if free is None or (info.bytes or 0) * _WIDER + size[0] * size[1] * _PER_PIXEL <= free:
        return
    needed = needed_bytes(info, precision, device, offload, size)
    if needed <= free:
        return
    picture = f"{info.name} in {precision} at {size[0]}x{size[1]} px"
    raise MemoryLimitError(
        f"{picture} needs {_gb(needed)} on {device}, where {_gb(free)} are free; {_advice(info, device, size, free)}"
    )


def needed_bytes(
    info: registry.ModelInfo, precision: Precision, device: Device, offload: Offload, size: Size
) -> int:
    """Bytes that have to be free on the device."""
    return int(footprint.of(info, precision, device, size).peak(offload) * BESIDES)


def _advice(info: registry.ModelInfo, device: Device, size: Size, free: int) -> str:
    for precision, offload in CHOICES.get(device, ()):
        fits = not info.quantised or precision == "int8"
        if fits and needed_bytes(info, precision, device, offload, size) <= free:
            offloading = "" if offload == "none" else f" --offload {offload}"
            return f"it fits with --precision {precision}{offloading}"
    return "no setting fits: close other programs, choose a smaller size, or use --model mini"


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
