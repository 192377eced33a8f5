"""How a way begins that does not begin from noise: diffusers' own image-to-image and inpainting pipelines, on the
weights that are loaded.

A pipeline is a shell around its parts. The other shells are made once per model, from the same parts, so that there is
no second copy of anything. A UNet of nine channels always gets a mask; without a picture everything is masked.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers import (
    DiffusionPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image

from sdxl_lora.models import encoding, latent_space
from sdxl_lora.models.engine import Denoising

_GREY = (128, 128, 128)


def completed(pipeline: DiffusionPipeline, way: Denoising) -> Denoising:
    """`way` with what the network cannot do without: a nine-channel UNet draws from noise by masking everything."""
    if not _takes_mask(pipeline):
        return way
    size = (way.width, way.height)
    picture = way.picture or Image.new("RGB", size, _GREY)
    return replace(way, picture=picture, mask=way.mask or Image.new("L", size, 255))


def shell(pipeline: DiffusionPipeline, way: Denoising) -> DiffusionPipeline:
    """The pipeline that goes `way`, around the parts of `pipeline`; itself where it begins from noise."""
    if way.picture is None:
        return pipeline
    if isinstance(pipeline, StableDiffusionXLPipeline):
        kind = StableDiffusionXLImg2ImgPipeline if way.mask is None else StableDiffusionXLInpaintPipeline
    else:
        kind = StableDiffusionImg2ImgPipeline if way.mask is None else StableDiffusionInpaintPipeline
    return _around(pipeline, kind)


def same_kind(pipeline: DiffusionPipeline, **parts: Any) -> DiffusionPipeline:
    """A pipeline like `pipeline` around its parts, some of which are others."""
    return _around(pipeline, type(pipeline), **parts)


def _around(pipeline: DiffusionPipeline, kind: type[DiffusionPipeline], **parts: Any) -> DiffusionPipeline:
    facts: dict[str, Any] = {"requires_safety_checker": False}
    if isinstance(pipeline, StableDiffusionXLPipeline):
        facts = {
            "add_watermarker": False,
            "force_zeros_for_empty_prompt": pipeline.config.force_zeros_for_empty_prompt,
        }
    other: DiffusionPipeline = kind(**{**pipeline.components, **parts}, **facts)
    other.set_progress_bar_config(disable=True)
    return other


def first_timestep(way: Denoising) -> float:
    """Where a way from a picture starts: the noise that is put on it (SDEdit, arXiv 2108.01073)."""
    assert way.steps is not None
    way.scheduler.set_timesteps(way.steps)
    skipped = way.steps - min(int(way.steps * way.strength), way.steps)
    return float(way.scheduler.timesteps[skipped * way.scheduler.order])


def arguments(pipeline: DiffusionPipeline, way: Denoising) -> dict[str, Any]:
    """What the call of a `shell` takes for the picture of `way`; the generator's first numbers are the encoder's."""
    assert way.picture is not None
    pixels = encoding.to_pixels(way.picture)
    nine = _takes_mask(pipeline)
    if nine and way.strength == 1:
        latents = torch.zeros(
            _shape(pipeline, way)
        )  # not looked at, and as in the stock pipeline not encoded
    else:
        latents = encoding.encode_pixels(pipeline, pixels, way.generator)
    given: dict[str, Any] = {"image": latents, "strength": way.strength}
    if way.mask is None:
        return given
    mask = _whole_latents(way.mask, latent_space.factor(pipeline.vae.config))
    masked = (
        _masked_latents(pipeline, pixels, mask, way) if nine else latents
    )  # of four channels not looked at
    return {
        **given,
        "mask_image": mask,
        "masked_image_latents": masked,
        "width": way.width,
        "height": way.height,
    }


def _takes_mask(pipeline: DiffusionPipeline) -> bool:
    """Whether the UNet has nine channels."""
    return bool(pipeline.unet.config.in_channels != pipeline.vae.config.latent_channels)


def _shape(pipeline: DiffusionPipeline, way: Denoising) -> tuple[int, int, int, int]:
    """Of the latents of a way (1CHW)."""
    factor = latent_space.factor(pipeline.vae.config)
    return 1, pipeline.vae.config.latent_channels, way.height // factor, way.width // factor


def _whole_latents(mask: Image.Image, factor: int) -> torch.Tensor:
    """The mask as 11HW of 0 and 1, grown to whole latents: what is marked is drawn anew, however thin it is."""
    marked = torch.from_numpy((np.asarray(mask) >= 128).astype(np.float32))[None, None]
    cells = torch.nn.functional.max_pool2d(marked, factor)
    return torch.nn.functional.interpolate(cells, scale_factor=float(factor), mode="nearest")


def _masked_latents(
    pipeline: DiffusionPipeline, pixels: torch.Tensor, mask: torch.Tensor, way: Denoising
) -> torch.Tensor:
    """Latents of the picture without its masked part. The stock pipeline draws the noise before it encodes this; its
    place in the row of random numbers is kept, and the generator is left where it was."""
    later = torch.Generator().set_state(way.generator.get_state())
    torch.randn(_shape(pipeline, way), generator=later)
    return encoding.encode_pixels(pipeline, pixels * (mask < 0.5), later)
