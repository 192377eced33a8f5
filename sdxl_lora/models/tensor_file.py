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

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def write(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, hashed_as: str | None = None
) -> None:
    """Writes tensors and metadata, both in the order of their names. Raises `OSError`.

    `hashed_as`: name in the metadata for the SHA-256 of the bytes behind the header, as ModelSpec has it.
    """
    header: dict[str, object] = {"__metadata__": {}}
    digest = hashlib.sha256()
    blocks, offset = [], 0
    for name, tensor in sorted(tensors.items()):
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        offsets = [offset, offset + len(data)]
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        blocks.append(data)
        digest.update(data)
        offset += len(data)
    hashed = {} if hashed_as is None else {hashed_as: f"0x{digest.hexdigest()}"}
    header["__metadata__"] = dict(sorted({**metadata, **hashed}.items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(blocks)
