"""LoRA files: found, matched layer by layer before anything is changed, merged into the weights and taken out again.

A LoRA is loaded exactly or refused with the reason. Merged, it costs nothing while drawing; what a layer's weights were
is kept, so that a model without its LoRAs is bit for bit what it was. What a file holds is `lora_file`'s to say, which
layer a name means `lora_names`', and what becomes of its weights `lora_changes`'.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from torch import Tensor
from torch.nn import Parameter

from sdxl_lora.errors import LoraError
from sdxl_lora.models import hub, lora_changes, lora_file, lora_names
from sdxl_lora.models.lora_file import LoraFile, inspect
from sdxl_lora.request import LoraSpec

__all__ = ["STANDARD_NAME", "MergedAdapters", "check", "find", "find_here", "inspect", "load_adapters"]

STANDARD_NAME = "pytorch_lora_weights.safetensors"
_UNSAFE = (".ckpt", ".bin", ".pt", ".pth", ".pkl")
_TEXT_WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL"}


@dataclass(kw_only=True, eq=False)
class MergedAdapters:
    """LoRAs that are in a model's weights, and what these were before."""

    originals: list[tuple[Parameter, Tensor]] = field(default_factory=list)  # the tensors lie in main memory

    def unload(self) -> None:
        """Puts the weights back; the model is bit for bit what it was without LoRAs."""
        with torch.no_grad():
            while self.originals:
                parameter, original = self.originals.pop()
                parameter.copy_(original)


def find(spec: LoraSpec) -> Path:
    """The file a spec means: a file, a folder with one, or a hub id (optionally `owner/name/file`)."""
    path = find_here(spec)
    if path is not None:
        return path
    owner, name, *filename = spec.path.split("/", 2)
    return hub.fetch_file(f"{owner}/{name}", filename[0] if filename and filename[0] else STANDARD_NAME)


def find_here(spec: LoraSpec) -> Path | None:
    """The file on this machine that a spec means; None for a hub id, which nothing is fetched of.

    Raises `LoraError` where it can be neither.
    """
    path = Path(spec.path).expanduser()
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if path / STANDARD_NAME in files:
            return path / STANDARD_NAME
        if len(files) != 1:
            held = ", ".join(file.name for file in files) or "no .safetensors file"
            raise LoraError(f"the LoRA folder {spec.path} holds {held}; name one file")
        return files[0]
    if path.suffix in _UNSAFE:
        raise LoraError(
            f"{spec.path} is not a .safetensors file; other formats can run code, convert it first"
        )
    if path.is_file():
        return path
    owner, _, rest = spec.path.partition("/")
    name, _, filename = rest.partition("/")
    if hub.is_id(f"{owner}/{name}") and (not filename or filename.endswith(".safetensors")):
        return None
    raise LoraError(f"there is no LoRA at {spec.path}; give a .safetensors file, a folder or a hub id")


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
    totals: dict[tuple[lora_names.Layer, str], Tensor] = {}  # (layer, "weight" or "bias") -> sum of changes
    for spec, path in files.items():
        if spec.weight != 0:
            for name, change in lora_file.read(path, spec.sha256).items():
                _add(totals, change, name, spec.weight, path, pipeline)
    merged = MergedAdapters()
    try:
        with torch.no_grad():
            for (layer, kind), total in totals.items():
                parameter = getattr(lora_names.module_of(layer, pipeline), kind)
                own = parameter.detach()
                merged.originals.append((parameter, own.to("cpu", copy=True)))
                parameter.copy_(own.float() + total)
    except torch.OutOfMemoryError:
        merged.unload()
        raise
    return merged


@torch.no_grad()
def _add(
    totals: dict[tuple[lora_names.Layer, str], Tensor],
    change: lora_changes.Change,
    name: str,
    weight: float,
    path: Path,
    pipeline: DiffusionPipeline,
) -> None:
    """Adds `weight` times what a change makes of its layer's parameters to `totals`."""
    layer = lora_names.layer_of(name, pipeline)
    if layer is None:  # the file is another one than that which was checked
        raise LoraError(f"LoRA {path.name} was just changed; try again")
    module = lora_names.module_of(layer, pipeline)
    bias = getattr(module, "bias", None)
    try:
        found = {
            "weight": (lora_changes.changed_weight(change, module.weight), module.weight),
            "bias": (lora_changes.changed_bias(change, bias), bias),
        }
    except lora_changes.Unfit as reason:
        raise LoraError(f"LoRA {path.name} does not fit this model: {name} {reason}") from None
    for kind, (target, own) in found.items():
        if target is None or own is None:
            continue
        if not torch.isfinite(target).all():
            raise LoraError(f"LoRA {path.name} makes infinite numbers of {name}; its training went wrong")
        difference = weight * (target - own.float())
        known = totals.get((layer, kind))
        totals[layer, kind] = difference if known is None else known + difference


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
