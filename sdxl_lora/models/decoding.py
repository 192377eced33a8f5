"""Finished latents -> picture, exactly as the stock pipelines do it, with a look at whether it is one."""

from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Tensor

from sdxl_lora.errors import StudioError
from sdxl_lora.models import int8, latent_space

# px of area that are decoded at once; beyond, SDXL's decoder would need more memory than its UNet (13 GB at 2048 px,
# tiled 3.6), and overlapping tiles are blended as diffusers does it
_LARGEST_WHOLE = 1536 * 1536
# where memory is short even half of that is more than all the weights; tiles of a quarter of the area then suffice
_LARGEST_WHOLE_SAVING = 768 * 768
_SAVING_SIDE = 512  # px of a tile


def decode(pipeline: DiffusionPipeline, latents: Tensor) -> Image.Image:
    """The picture of scaled latents (1CHW). Raises `StudioError` if it came out as NaN or black."""
    vae = pipeline.vae
    area = latents.shape[-2] * latents.shape[-1] * latent_space.factor(vae.config) ** 2
    set_tiles(vae, area, on_gpu=latents.device.type == "cuda")
    if not torch.isfinite(latents).all():
        raise StudioError(_advice("no valid numbers (NaN)", pipeline))
    with torch.no_grad():
        pixels = vae.decode(latent_space.unscale(latents, vae.config).to(vae.dtype), return_dict=False)[0]
    if not torch.isfinite(pixels).all():
        raise StudioError(_advice("no valid numbers (NaN) from its decoder", pipeline))
    image: Image.Image = pipeline.image_processor.postprocess(pixels.float(), output_type="pil")[0]
    if image.getextrema() == ((0, 0),) * 3:
        raise StudioError(_advice("an entirely black picture", pipeline))
    return image


def set_tiles(vae: Any, area: int, *, on_gpu: bool) -> None:
    """Lets an autoencoder take pictures of `area` px whole or in tiles; int8 on a GPU says that memory is short."""
    saving = on_gpu and int8.has_quantised(vae)
    side = vae.config.sample_size
    side = _SAVING_SIDE if saving else max(side) if isinstance(side, list | tuple) else side
    vae.use_tiling = area > (_LARGEST_WHOLE_SAVING if saving else _LARGEST_WHOLE)
    vae.tile_sample_min_size = side
    vae.tile_latent_min_size = side // latent_space.factor(vae.config)


def _advice(what: str, pipeline: DiffusionPipeline) -> str:
    precision = str(pipeline.unet.dtype).removeprefix("torch.")
    if pipeline.unet.dtype == torch.float32:
        return f"the model gave {what}; lower the guidance or the LoRA weights, or take another model"
    return f"the model gave {what} in {precision}; try precision fp32, lower guidance or lower LoRA weights"
