"""A LoRA file in its normal form: for every layer that it names, one whole change with its scale.

The file is read at once and held in memory, so that nothing that later happens to it on the disk matters. Knows the
names in files and the header, and nothing of models.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sdxl_lora import plain_json
from sdxl_lora.errors import LoraError
from sdxl_lora.models import lora_names
from sdxl_lora.models.lora_changes import Change, Unfit, kind_of, of_parts

Header = Mapping[str, str]

# the matrix that takes text features in: its width is the text width of the architecture
_TEXT_INPUT = re.compile(r"attn2[._]to_[kv]$")
_SECOND_ENCODER = ("text_encoder_2", "lora_te2", "lycoris_te2", "text_encoders.clip_g", "clip_g")
_PARTS = {"lora_te1": "text_encoder", "lora_te2": "text_encoder_2", "lora_te": "text_encoder"}


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """One LoRA file, known by its header alone."""

    path: Path
    layers: Mapping[str, Mapping[str, str]]  # name in the file -> kind of part -> key
    text_width: (
        int | None
    )  # features of the text condition it was trained with; None = it does not touch them
    second_encoder: bool  # trains SDXL's second text encoder
    header: Header


def inspect(path: Path) -> LoraFile:
    """Reads the header of a LoRA file. Raises `LoraError` if it is none, or of a kind that is not read."""
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            header = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise LoraError(
            f"{path} cannot be read as safetensors; the file is damaged or of another kind"
        ) from error
    if not shapes:
        raise LoraError(f"{path} holds no LoRA: it is empty")
    try:
        layers = lora_names.grouped(shapes)
    except LoraError as error:
        raise LoraError(f"{path} cannot be used: {error}") from None
    widths = {
        shapes[parts["down"]][1]
        for name, parts in layers.items()
        if "down" in parts and _TEXT_INPUT.search(name) and len(shapes[parts["down"]]) >= 2
    }
    return LoraFile(
        path=path,
        layers=layers,
        text_width=max(widths) if widths else None,
        second_encoder=any(name.startswith(_SECOND_ENCODER) for name in layers),
        header=header,
    )


def read(path: Path, sha256: str = "") -> dict[str, Change]:
    """The change of every layer by its name in the file.

    Raises `LoraError` if one is not whole or not finite, or if the bytes are not those of `sha256` ("" = any).
    """
    try:
        data = path.read_bytes()
        state: dict[str, Tensor] = safetensors.torch.load(data)
        header = _header(data)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise LoraError(
            f"LoRA {path.name} cannot be read; the file is damaged or was just changed"
        ) from error
    if sha256 not in ("", hashlib.sha256(data).hexdigest()):
        raise LoraError(f"LoRA {path.name} was just changed; ask again to use the new one")
    changes = {}
    for name, keys in lora_names.grouped(state).items():
        parts = {kind: _number(state[key], key, path) for kind, key in keys.items()}
        if "magnitude_vector" in parts:  # peft's, always one per output
            parts["magnitude"] = parts.pop("magnitude_vector").flatten()
        alpha, rank_stabilised = scale_of(name, header)
        check_whole(name, parts, path)
        changes[name] = of_parts(parts, alpha=alpha, rank_stabilised=rank_stabilised)
    return changes


def check_whole(name: str, parts: Iterable[str], path: Path) -> None:
    """Raises `LoraError` unless the parts named so make one change of the layer `name`."""
    try:
        kind_of(parts)
    except Unfit as reason:
        raise LoraError(
            f"LoRA {path.name} is not whole: {name} {reason}; save or download it again"
        ) from None


def scale_of(name: str, header: Header) -> tuple[float | None, bool]:
    """(alpha, whether rank-stabilised) that the header gives the layer `name`; None = alpha is the rank.

    peft's configuration lies in `lora_adapter_metadata`, with the part of the model before every entry.
    Raises `LoraError` where the header is damaged.
    """
    try:
        adapter = plain_json.parse(header.get("lora_adapter_metadata") or "{}")
        network = plain_json.parse(header.get("ss_network_args") or "{}")
        stabilised = str(network.get("rs_lora", "")).lower() == "true"
        part, _, inner = name.partition(".")
        part = _PARTS.get(part, part)
        prefix = f"{part}." if f"{part}.lora_alpha" in adapter else ""
        alpha = adapter.get(f"{prefix}lora_alpha")
        if alpha is None:
            return None, stabilised
        pattern = adapter.get(f"{prefix}alpha_pattern") or {}
        own = next(
            (value for key, value in pattern.items() if re.fullmatch(rf"(.*\.)?({key})", inner)), alpha
        )
        if isinstance(own, bool) or not isinstance(own, int | float) or not math.isfinite(own):
            raise ValueError(f"an alpha of {own!r}")
    except (ValueError, TypeError, OverflowError, AttributeError, re.error):  # not what peft writes
        raise LoraError("the adapter configuration in the file's header is damaged") from None
    return float(own), stabilised or bool(adapter.get(f"{prefix}use_rslora"))


def _header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    return dict(plain_json.parse(data[8 : 8 + length]).get("__metadata__") or {})


def _number(value: Tensor, key: str, path: Path) -> Tensor:
    """In single precision; fp8, which few operations know, among the rest."""
    if not value.is_floating_point() and value.numel() > 1:
        raise LoraError(f"LoRA {path.name} holds {key} in {value.dtype}, which are no weights")
    value = value.to(torch.float32)
    if not torch.isfinite(value).all():
        raise LoraError(f"LoRA {path.name} contains NaN or infinite numbers; its training went wrong")
    return value
