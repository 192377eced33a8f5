"""Parts of a model whose int8 weights are in a file: written, and read again without fp32 weights in between.

`*.int8.safetensors` beside the part's `config.json`, a variant as diffusers names them, which other programs therefore
do not take for plain weights. It holds int8 `weight`s, their `scale`s in bf16, which lose nothing by it, and all else
in fp16; weights of convolutions lie channels-last (out x height x width x in), as processors and GPUs read them.
Reading maps the file: the weights come into memory as they are used, and nothing is copied but what is small.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from sdxl_lora.models import int8, tensor_file
from sdxl_lora.models.hub import INT8_WEIGHTS, int8_weights

_SCALE = ".scale"  # behind the name of a layer that is int8
_HEADER = {"format": "pt", "sdxl_lora.int8": "1"}


class DamagedError(ValueError):
    """A file that cannot be read, or does not fit its configuration; caught by who knows the model's name."""


def save(part: nn.Module, folder: Path, stem: str) -> Path:
    """Writes a part that `int8.quantise_layers` has gone over. Raises `OSError`.

    `stem`: what the part's library calls weights.
    """
    file = folder / f"{stem}{INT8_WEIGHTS}"
    tensor_file.write(file, dict(_tensors(part)), _HEADER)
    return file


def load(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """The part of class `kind` whose int8 weights are in `folder`; it computes in `dtype`.

    Raises `OSError` or `DamagedError`.
    """
    file = int8_weights(folder)
    assert file is not None
    model = empty(kind, folder)
    try:
        state = safetensors.torch.load_file(file)
    except SafetensorError as error:
        raise DamagedError(
            f"{file.name} is damaged or incomplete ({error}); make or fetch it again"
        ) from error
    try:
        int8.quantise_layers(model, {name.removesuffix(_SCALE) for name in state if name.endswith(_SCALE)})
        model.load_state_dict(dict(_placed(state, dtype)), assign=True)
    except (RuntimeError, KeyError) as error:
        raise DamagedError(f"{file.name} does not fit config.json; make or fetch it again") from error
    return model.eval()


def empty(kind: Any, folder: Path) -> Any:
    """The part without storage for its parameters, on torch's meta device."""
    with torch.device("meta"):
        if hasattr(kind, "load_config"):  # diffusers
            model = kind.from_config(kind.load_config(folder))
        else:
            model = kind(kind.config_class.from_pretrained(folder))
    for holder in model.modules():
        for name, buffer in holder.named_buffers(recurse=False):
            # CLIP's only buffer is in no file: the numbers of the places, from 0
            if buffer.is_meta and name == "position_ids":
                holder.register_buffer(name, torch.arange(buffer.shape[-1])[None], persistent=False)
    return model


def _tensors(part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in part.state_dict().items():
        if tensor.dtype == torch.int8:
            yield name, tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor
        elif name.endswith(_SCALE):
            yield name, tensor.bfloat16()
        else:
            yield name, tensor.half()


def _placed(state: dict[str, Tensor], dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in state.items():
        if tensor.dtype == torch.int8:
            yield name, tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor
        else:
            yield name, tensor.to(dtype)
