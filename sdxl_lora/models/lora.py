"""LoRA files: matched layer by layer before anything is changed, merged into the weights and taken out again.

A LoRA is loaded exactly or refused with the reason. Merged, it costs nothing while drawing; what a layer's weights were
is kept, so that a model without its LoRAs is bit for bit what it was. Where a file is, is `lora_place`'s to say, what
it holds `lora_file`'s, which layer a name means `lora_names`', and what becomes of its weights `lora_changes`'.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from sdxl_lora.errors import LoraError
from sdxl_lora.models import int8, lora_changes, lora_file, lora_names
from sdxl_lora.models.lora_file import LoraFile, inspect
from sdxl_lora.models.lora_place import find
from sdxl_lora.request import LoraSpec

__all__ = ["MergedAdapters", "check", "inspect", "load_adapters"]

_TEXT_WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL"}


@dataclass(frozen=True)
class _Part:
    """What one LoRA does to one layer."""

    path: Path
    name: str  # of the layer in the file
    change: lora_changes.Change
    weight: float  # of the request


@dataclass(kw_only=True, eq=False)
class MergedAdapters:
    """LoRAs that are in a model's weights, and what these were before."""

    # (module, name of its tensor, what that was, in main memory); a module that is moved gets other tensors
    originals: list[tuple[Any, str, Tensor]] = field(default_factory=list)

    def unload(self) -> None:
        """Puts the weights back; the model is bit for bit what it was without LoRAs."""
        with torch.no_grad():
            while self.originals:
                module, name, original = self.originals.pop()
                getattr(module, name).copy_(original)

    def change(self, module: Any, parts: Sequence[_Part]) -> None:
        """Merges what several LoRAs do to one layer. Raises `LoraError`."""
        weight, bias = int8.whole_weight(module), getattr(module, "bias", None)
        totals: dict[str, Tensor] = {}
        for part in parts:
            for kind, difference in _differences(part, weight, bias).items():
                known = totals.get(kind)
                totals[kind] = difference if known is None else known + difference
        if "weight" in totals:
            self._remember(module, *int8.tensors_of(module))
            int8.replace_weight(module, weight.float() + totals["weight"])
        if bias is not None and "bias" in totals:
            self._remember(module, "bias")
            bias.copy_(bias.float() + totals["bias"])

    def _remember(self, module: Any, *names: str) -> None:
        for name in names:
            self.originals.append((module, name, getattr(module, name).detach().to("cpu", copy=True)))


def check(specs: Sequence[LoraSpec], pipeline: DiffusionPipeline, model: str) -> dict[LoraSpec, Path]:
    """The files of `specs`, each layer of which the model has. Raises `LoraError`; changes nothing."""
    paths = [find(spec) for spec in specs]
    twice = [path.name for path, times in Counter(path.resolve() for path in paths).items() if times > 1]
    if twice:
        raise LoraError(f"LoRA {twice[0]} is given twice; give it once, with the sum of the weights")
    for path in paths:
        file = inspect(path)
        _check_fit(file, pipeline, model)
        for name, parts in file.layers.items():
            lora_file.check_whole(name, parts, path)
        _check_layers(file, pipeline, model)
    return dict(zip(specs, paths, strict=True))


def load_adapters(files: Mapping[LoraSpec, Path], pipeline: DiffusionPipeline) -> MergedAdapters:
    """Merges the checked files into the model's weights; one of weight 0 is left off.

    Every LoRA's change is that of the model's own weights, so that their order does not matter. Raises `LoraError`, or
    what the device raises when its memory is full; then nothing has changed.
    """
    wanted: dict[lora_names.Layer, list[_Part]] = {}
    for spec, path in files.items():
        if spec.weight != 0:
            for name, change in lora_file.read(path, spec.sha256).items():
                layer = lora_names.layer_of(name, pipeline)
                if layer is None:  # the file is another one than that which was checked
                    raise LoraError(f"LoRA {path.name} was just changed; try again")
                wanted.setdefault(layer, []).append(_Part(path, name, change, spec.weight))
    merged = MergedAdapters()
    try:
        with torch.no_grad():
            for layer, parts in wanted.items():
                merged.change(lora_names.module_of(layer, pipeline), parts)
    except (torch.OutOfMemoryError, LoraError):
        merged.unload()
        raise
    return merged


def _differences(part: _Part, weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
    """What a LoRA adds to the parameters of a layer that it changes."""
    try:
        found = {
            "weight": (lora_changes.changed_weight(part.change, weight), weight),
            "bias": (lora_changes.changed_bias(part.change, bias), bias),
        }
    except lora_changes.Unfit as reason:
        raise LoraError(f"LoRA {part.path.name} does not fit this model: {part.name} {reason}") from None
    differences = {}
    for kind, (target, own) in found.items():
        if target is None or own is None:
            continue
        if not torch.isfinite(target).all():
            raise LoraError(
                f"LoRA {part.path.name} makes infinite numbers of {part.name}; its training went wrong"
            )
        differences[kind] = part.weight * (target - own.float())
    return differences


def _check_layers(file: LoraFile, pipeline: DiffusionPipeline, model: str) -> None:
    """Raises `LoraError` unless the model has every layer that the file names, and each of them once."""
    layers = {name: lora_names.layer_of(name, pipeline) for name in file.layers}
    missing = [name for name, layer in layers.items() if layer is None]
    if len(missing) == len(layers):
        raise LoraError(
            f"LoRA {file.path.name} changes no layer of this model; it was made for another architecture"
        )
    if missing:
        raise LoraError(
            f"LoRA {file.path.name} fits {len(layers) - len(missing)} of {len(layers)} modules of {model}, which has"
            f" no {missing[0]}; use one made for this model"
        )
    twice = [layer for layer, times in Counter(layers.values()).items() if times > 1]
    if twice:
        raise LoraError(
            f"LoRA {file.path.name} names {'.'.join(twice[0] or ())} twice; keep one adapter in the file"
        )


def _check_fit(file: LoraFile, pipeline: DiffusionPipeline, model: str) -> None:
    width = int(pipeline.unet.config.cross_attention_dim)
    has_second = getattr(pipeline, "text_encoder_2", None) is not None
    if file.text_width not in (None, width) or (file.second_encoder and not has_second):
        theirs = _name_of(file.text_width, "SDXL" if file.second_encoder else "another model")
        ours = _name_of(width, "SDXL" if has_second else "Stable Diffusion")
        raise LoraError(
            f"LoRA {file.path.name} is for {theirs}, but {model} is {ours}; use one trained on it"
        )


def _name_of(text_width: int | None, otherwise: str) -> str:
    if text_width is None:
        return otherwise
    return f"{_TEXT_WIDTHS.get(text_width, otherwise)} (text width {text_width})"
