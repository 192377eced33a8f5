"""A LoRA file from one layout to the other, without the model it belongs to.

diffusers keeps alpha in the header, kohya beside each module. Towards diffusers, alpha / rank is multiplied
into the second factor, so that every version of diffusers draws the same picture; where alpha = rank
nothing changes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sdxl_lora import plain_json
from sdxl_lora.config import Architecture
from sdxl_lora.errors import LoraError, StorageError
from sdxl_lora.models import tensor_file
from sdxl_lora.models.layouts import architecture_of, is_kohya, to_diffusers, to_kohya

Layout = Literal["diffusers", "kohya"]


def convert(
    source: Path,
    target: Path | None = None,
    *,
    architecture: Architecture | None = None,
    layers_per_block: int = 2,
) -> tuple[Path, Layout]:
    """Writes `source` in the other layout; where, and which. `layers_per_block`: of the UNet, 2 for SD 1.x
    and SDXL.

    Raises `LoraError` for a file that is no plain LoRA, `StorageError` when the result cannot be written.
    """
    state, header = _read(source)
    layout: Layout = "diffusers" if is_kohya(state) else "kohya"
    if layout == "kohya":
        alphas = _alphas(state, header)
        result = to_kohya(state, alphas, architecture or architecture_of(state), layers_per_block)
    else:
        result = _folded(*to_diffusers(state, layers_per_block))
    target = target or source.with_name(f"{source.stem}_{layout}.safetensors")
    kept = {key: value for key, value in header.items() if key != "lora_adapter_metadata"}
    try:
        tensor_file.write(target, result, {"format": "pt", **kept})
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}") from None
    return target, layout


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise LoraError(f"{path} cannot be read as safetensors: {str(error).splitlines()[0]}") from None


def _alphas(state: Mapping[str, Tensor], header: Mapping[str, str]) -> dict[str, float]:
    """Module -> alpha, from the adapter configuration in the header; without one, alpha = rank."""
    try:
        adapter = plain_json.parse(header.get("lora_adapter_metadata", "{}"))
    except ValueError:
        raise LoraError("the adapter configuration in the file's header is damaged") from None
    alphas: dict[str, float] = {}
    for key in state:
        module, _, kind = key.rpartition(".lora_A")
        part, _, inner = module.partition(".")
        if kind and f"{part}.lora_alpha" in adapter:
            special = adapter.get(f"{part}.alpha_pattern") or {}
            alphas[module] = float(special.get(inner, adapter[f"{part}.lora_alpha"]))
    return alphas


def _folded(state: Mapping[str, Tensor], alphas: Mapping[str, float]) -> dict[str, Tensor]:
    result = dict(state)
    for module, alpha in alphas.items():
        down, up = f"{module}.lora_A.weight", f"{module}.lora_B.weight"
        rank = state[down].shape[0]
        if alpha != rank:
            result[up] = (state[up].to(torch.float32) * (alpha / rank)).to(state[up].dtype)
    return result
