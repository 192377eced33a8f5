"""A LoRA file from one layout to the other, exactly or not at all, without the model it belongs to.

diffusers keeps alpha in the header, kohya beside each module. Towards diffusers, alpha / rank is multiplied
into the second factor, so that every version of diffusers draws the same picture; where alpha = rank
nothing changes. How many layers the UNet's blocks have decides kohya's names for SDXL's modules: it is taken from the
file, which is asked for only where nothing in it tells.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sdxl_lora.config import Architecture
from sdxl_lora.errors import LoraError, StorageError
from sdxl_lora.models import lora_file, lora_names, tensor_file
from sdxl_lora.models.layouts import architecture_of, is_kohya, to_diffusers, to_kohya

Layout = Literal["diffusers", "kohya"]

LAYERS_KEY = "sdxl_lora.layers_per_block"  # in the header of files that our trainer writes
_PUBLISHED_WIDTHS = (
    768,
    1024,
    2048,
)  # of the text features of SD 1.x, SD 2.x and SDXL, which have two layers a block
_POSSIBLE_LAYERS = (1, 2, 3, 4)
_TEXT_INPUT = re.compile(r"attn2[._]to_[kv]\.lora_(?:A|down)\.weight$")
_WRITTEN = (torch.float32, torch.float16, torch.bfloat16)


def convert(
    source: Path,
    target: Path | None = None,
    *,
    architecture: Architecture | None = None,
    layers_per_block: int | None = None,
) -> tuple[Path, Layout]:
    """Writes `source` in the other layout; where, and which. `layers_per_block`: of the UNet, None = as the file tells.

    Raises `LoraError` for a file that is no plain LoRA or DoRA, or that cannot be converted exactly, `StorageError`
    when the result cannot be written.
    """
    state, header = _read(source)
    _check_exact(state, header, source)
    layout: Layout = "diffusers" if is_kohya(state) else "kohya"
    if layout == "kohya":
        kind = architecture or architecture_of(state)
        layers = _layers(state, header, layers_per_block) if kind == "sdxl" else 2
        result = to_kohya(state, _alphas(state, header), kind, layers)
    else:
        named_by_stability = any(re.match(r"lora_unet_(input|middle|output)_block", key) for key in state)
        layers = _layers(state, header, layers_per_block) if named_by_stability else 2
        result = _folded(*to_diffusers(state, layers))
    target = target or source.with_name(f"{source.stem}_{layout}.safetensors")
    dropped = ("lora_adapter_metadata", "modelspec.hash_sha256")
    kept = {key: value for key, value in header.items() if key not in dropped}
    try:
        tensor_file.write(target, result, {"format": "pt", **kept}, hashed_as="modelspec.hash_sha256")
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


def _check_exact(state: Mapping[str, Tensor], header: Mapping[str, str], path: Path) -> None:
    """Raises `LoraError` where the other layout cannot say what this file says."""
    for key, value in state.items():
        if value.dtype not in _WRITTEN and not key.endswith(".alpha"):
            kind = str(value.dtype).removeprefix("torch.")
            raise LoraError(
                f"{key} is in {kind}, which cannot be converted exactly; save the LoRA in fp16 first"
            )
        if key.endswith(".dora_scale") and value.ndim > 1 and value.shape[0] == 1 and value.numel() > 1:
            raise LoraError(f"{key} has a length per input, which the other layout cannot say")
    for name, parts in lora_names.grouped(state).items():
        lora_file.check_whole(name, parts, path)
        if lora_file.scale_of(name, header)[1]:
            raise LoraError(f"{path} is rank-stabilised (rslora), which the other layout cannot say exactly")


def _alphas(state: Mapping[str, Tensor], header: Mapping[str, str]) -> dict[str, float]:
    """Module -> alpha, from the adapter configuration in the header; without one, alpha = rank."""
    found = {}
    for module in lora_names.grouped(state):
        alpha, _ = lora_file.scale_of(module, header)
        if alpha is not None:
            found[module] = alpha
    return found


def _layers(state: Mapping[str, Tensor], header: Mapping[str, str], given: int | None) -> int:
    """Layers per block of the UNet: what the file says or its names show, else what was given."""
    seen = {layers: _seen(state, layers) for layers in _POSSIBLE_LAYERS}
    told = _told_layers(header, state)
    if told is None and len(whole := [n for n, blocks in seen.items() if _is_whole(blocks)]) == 1:
        told = whole[0]
    if told is not None:
        if given not in (None, told):
            raise LoraError(f"the file is for a UNet of {told} layers per block, not {given}")
        return told
    if given is None:
        raise LoraError(
            "the file does not tell how many layers the blocks of its UNet have; name --layers-per-block"
        )
    if not all(found <= there for _, found, there in seen.get(given, _seen(state, given))):
        raise LoraError(f"the names in the file are not those of a UNet of {given} layers per block")
    return given


def _told_layers(header: Mapping[str, str], state: Mapping[str, Tensor]) -> int | None:
    """The number of layers by the header or by the text width of a published model."""
    if str(header.get(LAYERS_KEY, "")).isdigit():
        return int(header[LAYERS_KEY])
    widths = {int(value.shape[1]) for key, value in state.items() if _TEXT_INPUT.search(key)}
    return 2 if widths & set(_PUBLISHED_WIDTHS) else None


def _seen(state: Mapping[str, Tensor], layers: int) -> list[tuple[str, set[int], set[int]]]:
    """Per block with attention: its side, the layers that are there, those of a UNet of `layers`."""
    names = to_diffusers(state, layers)[0] if is_kohya(state) else state
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    for key in names:
        if match := re.match(r"unet\.(down|up)_blocks\.(\d+)\.attentions\.(\d+)\.", key):
            found[match[1], match[2]].add(int(match[3]))
    return [
        (side, seen, set(range(layers if side == "down" else layers + 1)))
        for (side, _), seen in found.items()
    ]


def _is_whole(blocks: Sequence[tuple[str, set[int], set[int]]]) -> bool:
    """Whether both sides have all their layers, as where a LoRA is trained on all attention.

    One side alone proves nothing: a LoRA of single layers (a B-LoRA) looks like that of a smaller UNet.
    """
    return {side for side, *_ in blocks} == {"down", "up"} and all(
        found == there for _, found, there in blocks
    )


def _folded(state: Mapping[str, Tensor], alphas: Mapping[str, float]) -> dict[str, Tensor]:
    """The second factors times alpha / rank; in single precision where theirs would round the product."""
    result = dict(state)
    for module, alpha in alphas.items():
        down, up = f"{module}.lora_A.weight", f"{module}.lora_B.weight"
        rank = state[down].shape[0]
        if alpha != rank:
            exact = state[up].to(torch.float32) * (alpha / rank)
            reduced = exact.to(state[up].dtype)
            result[up] = reduced if torch.equal(reduced.float(), exact) else exact
    return result
