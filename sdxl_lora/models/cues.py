"""Loads what shows a logo to the denoising network while it draws: a ControlNet, an IP-Adapter, or both.

They are loaded once beside the model that is in memory and share its weights: the IP-Adapter's attention sits in a
mirror of the UNet, so that the UNet itself stays bit for bit what it was. `cued_network` lets
them have their say. An IP-Adapter's image encoder is needed for a moment only, and then gone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import ControlNetModel, DiffusionPipeline
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from sdxl_lora.errors import MemoryLimitError, ModelUnavailableError, RequestError
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.models import cue_files, latent_space, pipeline_internals, room, starts
from sdxl_lora.models.cue_files import AdapterFiles, ControlNetFiles
from sdxl_lora.models.loading import LoadedModel
from sdxl_lora.models.quiet import quiet

_EMBEDDED: Final = 16  # sets of logos


def outline(model: LoadedModel, files: ControlNetFiles, edges: Image.Image, scale: float) -> dict[str, Any]:
    """The part of a `Cue` that a ControlNet makes of white edges (RGB, of the picture's size).

    The model must be in use by the caller. Raises `InputError`, `MemoryLimitError`, `ModelUnavailableError`.
    """
    pipeline = model.engine.pipeline
    factor = latent_space.factor(pipeline.vae.config)
    cue_files.check_controlnet(files, pipeline.unet.config, factor, model.info.name)
    net = _one_of_a_kind(
        model,
        "controlnet",
        files.sha256,
        lambda: _loaded(model, files, files.weights, lambda: _controlnet(model, files)),
    )
    pixels = torch.from_numpy(np.asarray(edges, np.float32).transpose(2, 0, 1)[None] / 255.0)
    return {
        "controlnet": net,
        "edges": pixels.to(net.device, net.dtype),
        "conditioning_scale": scale,
    }


def looks(
    model: LoadedModel, files: AdapterFiles, pictures: Sequence[Image.Image], scale: float, key: object
) -> dict[str, Any]:
    """The part of a `Cue` that an IP-Adapter makes of the pictures of logos; as `outline`.

    Args:
        key: of the pictures, for what is remembered of them.
    """
    pipeline = model.engine.pipeline
    layers = [
        (module.to_k.out_features, module.to_k.in_features)
        for name, module in pipeline.unet.named_modules()
        if name.endswith("attn2")
    ]
    cue_files.check_adapter(files, layers, model.info.name)
    shell = _one_of_a_kind(
        model,
        "ip_adapter",
        files.sha256,
        lambda: _loaded(model, files, files.weights, lambda: _adapted(model, files)),
    )
    embeds: LruCache[object, Tensor] = model.base.cache.setdefault("image_embeds", LruCache(_EMBEDDED))
    found = embeds.find((files.sha256, key))
    if found is None:
        seen = _loaded(model, files, files.encoder_weights, lambda: _embedded(model, shell, files, pictures))
        found = embeds.keep((files.sha256, key), seen)
    shell.set_ip_adapter_scale(scale)
    return {"adapted": shell.unet, "image_embeds": found}


def insist(kind: str, name: str, found: str, wanted: str) -> None:
    """Raises `RequestError` where a network is another one than the request was decided with ("" = any)."""
    if wanted not in ("", found):
        raise RequestError(
            f"the {kind} {name} has changed since this was asked for; ask again to use the new one"
        )


def _one_of_a_kind(model: LoadedModel, kind: str, sha256: str, load: Callable[[], Any]) -> Any:
    """The network of that kind and contents; another one is forgotten before it is loaded."""
    known = model.base.cache.get(kind)
    if known is None or known[0] != sha256:
        model.base.cache.pop(kind, None)
        known = model.base.cache[kind] = (sha256, load())
    return known[1]


def _loaded(
    model: LoadedModel, files: ControlNetFiles | AdapterFiles, weights: Path, load: Callable[[], Any]
) -> Any:
    """What `load` gives, where there is room for it."""
    name = files.name
    needed, free = weights.stat().st_size, room.free_bytes(model.device)
    if free is not None and needed > free:
        raise _too_large(name, model.device, needed, free)
    try:
        with quiet(), torch.no_grad():
            return load()
    except torch.OutOfMemoryError:
        raise _too_large(name, model.device, needed, free) from None
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelUnavailableError(f"{name} cannot be loaded: {reason}") from error


def _too_large(name: str, device: str, needed: int, free: int | None) -> MemoryLimitError:
    there = "" if free is None else f", where {free / 1e9:.1f} GB are free"
    return MemoryLimitError(
        f"{name} needs {needed / 1e9:.1f} GB more on {device}{there}; draw without the logo's cue (the logo is put on"
        " all the same), or use only one of outline and looks"
    )


def _controlnet(model: LoadedModel, files: ControlNetFiles) -> Any:
    net = ControlNetModel.from_pretrained(
        files.config.parent,
        dtype=model.dtype,
        variant=files.variant,
        use_safetensors=True,
        local_files_only=True,
    )
    return net.to(model.device).eval()


def _adapted(model: LoadedModel, files: AdapterFiles) -> DiffusionPipeline:
    """A pipeline around the same parts, whose UNet is a mirror with the adapter's attention in it."""
    shell = starts.same_kind(
        model.engine.pipeline, unet=pipeline_internals.mirror_with_config(model.engine.pipeline.unet)
    )
    shell.load_ip_adapter(
        str(files.weights.parent),
        subfolder="",
        weight_name=files.weights.name,
        image_encoder_folder=None,
        local_files_only=True,
    )
    return shell


def _embedded(
    model: LoadedModel, shell: DiffusionPipeline, files: AdapterFiles, pictures: Sequence[Image.Image]
) -> Tensor:
    """As diffusers' pipelines encode the pictures of an adapter, for a guided step."""
    encoder: Any = CLIPVisionModelWithProjection.from_pretrained(
        files.encoder,
        dtype=model.dtype,
        variant="fp16" if ".fp16." in files.encoder_weights.name else None,
        use_safetensors=True,
        local_files_only=True,
    )
    side = encoder.config.image_size
    seeing = starts.same_kind(
        shell,
        image_encoder=encoder.to(model.device).eval(),
        feature_extractor=CLIPImageProcessor(size=side, crop_size=side),
    )
    [embeds] = seeing.prepare_ip_adapter_image_embeds(
        [list(pictures)], None, pipeline_internals.execution_device(model.engine.pipeline), 1, True
    )
    return embeds.to(model.dtype)
