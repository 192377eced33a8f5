"""Writes safetensors files whose bytes depend on nothing but what is in them.

The safetensors library writes its header in an order that changes from run to run; everything reads these files, too.
Format: 8 bytes length of the header (little endian), a JSON header padded to 8 bytes, then the tensors.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int8: "I8"}


def write(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, hashed_as: str | None = None
) -> None:
    """Writes tensors and metadata in the order of their names, wider numbers first, so that all are aligned when a
    file is mapped. Raises `OSError`.

    `hashed_as`: name in the metadata for the SHA-256 of the bytes behind the header, as ModelSpec has it.
    """
    header: dict[str, object] = {"__metadata__": {}}
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    digest, offset = hashlib.sha256(), 0
    for name, tensor in ordered:
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        if hashed_as is not None:
            digest.update(_data(tensor))
        offset = end
    hashed = {} if hashed_as is None else {hashed_as: f"0x{digest.hexdigest()}"}
    header["__metadata__"] = dict(sorted({**metadata, **hashed}.items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in ordered:  # one by one: models are written, too
            file.write(_data(tensor))


def _data(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
