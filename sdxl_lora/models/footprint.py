"""How much memory drawing takes, counted on the model's real sizes before anything is loaded.

The parts are built without storage on torch's meta device and run once, see `live_bytes`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig

from sdxl_lora import plain_json
from sdxl_lora.config import Offload, Precision
from sdxl_lora.errors import InputError
from sdxl_lora.models import building, decoding, int8, latent_space, published_sizes, registry
from sdxl_lora.models.device import Device
from sdxl_lora.models.live_bytes import peak_of
from sdxl_lora.models.precision import compute_dtype

Sizes = str  # configurations of a model's parts as JSON, which can be the key of a cache


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Bytes of one picture's way, by part of the model: `text_encoder`, `unet`, `vae` ..."""

    weights: Mapping[str, int]
    largest_layer: int  # bytes of the layer with the most weights
    working: Mapping[str, int]  # peak of everything else while the part runs

    def peak(self, offload: Offload = "none") -> int:
        """What the device holds at most, by how much of the model lies on it at once."""
        match offload:
            case "model":
                return max(self.weights[part] + self.working[part] for part in self.working)
            case "sequential":
                return self.largest_layer + max(self.working.values())
        return sum(self.weights.values()) + max(self.working.values())


def of(
    info: registry.ModelInfo, precision: Precision, device: Device, size: tuple[int, int] | None = None
) -> Footprint:
    """Of drawing one guided picture of `size` (width, height; px; None = the model's own) with a model.

    Its files need not be here where its sizes are published. Raises `InputError`, `OSError`.
    """
    size = size or (info.defaults.width, info.defaults.height)
    return _counted(sizes_of(info, compute_dtype(precision, device)), precision, device, size)


def sizes_of(info: registry.ModelInfo, half: torch.dtype = torch.float32) -> Sizes:
    """The sizes of a model's parts, with the VAE that would be used in `half` precision. Raises `InputError`."""
    if info.folder is None:
        return _published(info, half)
    assert info.architecture is not None
    parts = {
        part: plain_json.parse(
            (building.folder_of(part, info, info.folder, half) / "config.json").read_text("utf-8")
        )
        for part in building.PARTS[info.architecture]
    }
    return json.dumps({"architecture": info.architecture, "parts": parts})


def _published(info: registry.ModelInfo, half: torch.dtype) -> Sizes:
    sizes = published_sizes.BY_NAME.get(info.name)
    if sizes is None:
        raise InputError(
            f"the sizes of {info.name} are not known before it is here; run `models fetch {info.name}`"
        )
    parts = dict(sizes.parts)
    if half == torch.float16 and info.half_precision_vae is not None:
        parts["vae"] = {**parts["vae"], "force_upcast": False}
    return json.dumps({"architecture": sizes.architecture, "parts": parts})


def shell(sizes: Sizes, name: str, dtype: torch.dtype, *, quantised: bool) -> Any:
    """A part without storage."""
    described = plain_json.parse(sizes)
    kind, config = building.PARTS[described["architecture"]][name], described["parts"][name]
    with torch.device("meta"):
        diffusers = hasattr(kind, "load_config")
        part = kind.from_config(config) if diffusers else kind(CLIPTextConfig(**config))
    if quantised:
        int8.quantise_layers(part)
    return nn.Module.to(part, dtype).eval()


def unet_inputs(unet: Any, sizes: Sizes, size: tuple[int, int], batch: int) -> dict[str, Any]:
    """Arguments for one forward pass of a UNet without storage; `size` in px."""
    parts = plain_json.parse(sizes)["parts"]
    factor = latent_space.factor(parts["vae"])
    width, height = size[0] // factor, size[1] // factor
    found: dict[str, Any] = {
        "sample": _empty(unet.dtype, batch, unet.config.in_channels, height, width),
        "timestep": _empty(torch.int64, batch),
        "encoder_hidden_states": _empty(
            unet.dtype, batch, _tokens(parts["text_encoder"]), unet.config.cross_attention_dim
        ),
    }
    if "text_encoder_2" in parts:
        pooled = int(parts["text_encoder_2"]["projection_dim"])
        found["added_cond_kwargs"] = {
            "text_embeds": _empty(unet.dtype, batch, pooled),
            "time_ids": _empty(torch.float32, batch, 6),
        }
    return found


@lru_cache(maxsize=64)
def _counted(sizes: Sizes, precision: Precision, device: Device, size: tuple[int, int]) -> Footprint:
    parts = dict(_parts(sizes, precision, device))
    layers = (layer for part in parts.values() for layer in part.modules() if not list(layer.children()))
    return Footprint(
        weights={name: _bytes(_tensors(part)) for name, part in parts.items()},
        largest_layer=max(_bytes(_tensors(layer)) for layer in layers),
        working={
            name: peak_of(_run_of(name, part, sizes, size, device), besides=part)
            for name, part in parts.items()
        },
    )


def _parts(sizes: Sizes, precision: Precision, device: Device) -> Iterator[tuple[str, Any]]:
    """(name, part without storage), in the precision and with the layers that `building.build` gives it."""
    architecture = plain_json.parse(sizes)["architecture"]
    half = compute_dtype(precision, device)
    for name in building.PARTS[architecture]:
        dtype = torch.float32 if device == "cpu" and name not in building.DRAWING else half
        part = shell(sizes, name, dtype, quantised=precision == "int8")
        if name == "vae" and building.decodes_in_single(architecture, part):
            nn.Module.to(part, torch.float32)
        yield name, part


def _run_of(name: str, part: Any, sizes: Sizes, size: tuple[int, int], device: Device) -> Callable[[], Any]:
    """What a picture asks of a part: both sides of a guided prompt, one guided step, one decoding."""
    if name == "unet":
        inputs = unet_inputs(part, sizes, size, batch=2)
        return lambda: part(**inputs, return_dict=False)
    if name == "vae":
        factor = latent_space.factor(part.config)
        latents = _empty(part.dtype, 1, part.config.latent_channels, size[1] // factor, size[0] // factor)
        decoding.set_tiles(part, size[0] * size[1], on_gpu=device != "cpu")
        return lambda: part.decode(latents, return_dict=False)
    ids = _empty(torch.int64, 2, part.config.max_position_embeddings)
    return lambda: part(ids, output_hidden_states=True)


def _empty(dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=dtype, device="meta")


def _tokens(text_encoder: Mapping[str, Any]) -> int:
    return int(text_encoder.get("max_position_embeddings", 77))


def _tensors(part: nn.Module) -> Iterator[Tensor]:
    yield from part.parameters()
    yield from part.buffers()


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
