"""Which architecture a model folder holds, read from its own files and never from its name.

Knows nothing of weights: only `model_index.json` and the component configs are read.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdxl_lora import plain_json
from sdxl_lora.config import Architecture
from sdxl_lora.errors import InputError
from sdxl_lora.models import latent_space

_SDXL = {
    "cross_attention_dim": 2048,
    "block_out_channels": [320, 640, 1280],
    "addition_embed_type": "text_time",
}
SUPPORTED = "supported are Stable Diffusion 1.x and 2.x, and SDXL"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the files of a model say about it."""

    architecture: Architecture
    side: int  # px, the width and height it was made for
    latent_factor: int  # px of a side per latent
    like_sdxl: bool  # the UNet has SDXL's own sizes, so that networks beside it that were made for SDXL fit
    inpainting: bool  # the UNet takes a mask and the masked picture beside the latents: nine channels
    components: tuple[str, ...]  # folders that hold weights, e.g. ("text_encoder", "unet", "vae")


def read(folder: Path) -> Facts:
    """Reads the facts of a diffusers folder. Raises `InputError` when it is none, or not supported."""
    index = _read_json(folder / "model_index.json")
    components = tuple(sorted(name for name in index if _is_component(index[name])))
    kind = index.get("_class_name", "unknown pipeline")
    if "unet" not in components or "vae" not in components:
        raise InputError(f"{folder} holds a {kind}; {SUPPORTED}")
    unet = _read_json(folder / "unet" / "config.json")
    vae = _read_json(folder / "vae" / "config.json")
    latents, channels = vae.get("latent_channels", 4), unet.get("in_channels", 4)
    inpainting = channels == 2 * latents + 1
    if channels != latents and not inpainting:
        raise InputError(
            f"{folder} has a UNet of {channels} channels, which is no text-to-image or inpainting model;"
            " give its text-to-image base instead"
        )
    if not isinstance(vae.get("block_out_channels"), list):
        raise InputError(f"{folder / 'vae' / 'config.json'} says nothing of block_out_channels; {SUPPORTED}")
    latent_factor = latent_space.factor(vae)
    return Facts(
        architecture=_architecture(folder, unet, components),
        side=_sample_size(unet) * latent_factor,
        latent_factor=latent_factor,
        like_sdxl=all(unet.get(key) == value for key, value in _SDXL.items()),
        inpainting=inpainting,
        components=tuple(name for name in components if (folder / name / "config.json").is_file()),
    )


def unet_of(folder: Path) -> dict[str, Any]:
    """The configuration of a model's denoising network. Raises `InputError`."""
    return _read_json(folder / "unet" / "config.json")


def _architecture(folder: Path, unet: dict[str, Any], components: tuple[str, ...]) -> Architecture:
    condition = unet.get("addition_embed_type")
    if condition == "text_time" and "text_encoder_2" in components and "text_encoder" in components:
        return "sdxl"
    if condition is None and "text_encoder" in components and "text_encoder_2" not in components:
        return "sd"
    raise InputError(
        f"{folder} has a UNet with condition {condition!r} and {', '.join(components)}; {SUPPORTED}"
    )


def _sample_size(unet: dict[str, Any]) -> int:
    size = unet.get("sample_size", 64)
    return int(max(size) if isinstance(size, list) else size)


def _is_component(entry: Any) -> bool:
    """`model_index.json` names components as [library, class]; [null, null] is an absent one."""
    return isinstance(entry, list) and len(entry) == 2 and entry[0] is not None


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = plain_json.parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file.parent} is not a diffusers model folder: it has no {file.name}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{file} cannot be read: it is not a JSON object")
    return values
