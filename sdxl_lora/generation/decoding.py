"""Finished latents -> picture, exactly as the stock pipelines do it, with a look at whether it is one."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Tensor

from sdxl_lora.errors import StudioError


def decode(pipeline: DiffusionPipeline, latents: Tensor) -> Image.Image:
    """The picture of scaled latents (1CHW). Raises `StudioError` if it came out as NaN or black."""
    vae = pipeline.vae
    if not torch.isfinite(latents).all():
        raise StudioError(_advice("no valid numbers (NaN)", pipeline))
    with torch.no_grad():
        pixels = vae.decode(_unscale(latents, vae.config).to(vae.dtype), return_dict=False)[0]
    if not torch.isfinite(pixels).all():
        raise StudioError(_advice("no valid numbers (NaN) from its decoder", pipeline))
    image: Image.Image = pipeline.image_processor.postprocess(pixels.float(), output_type="pil")[0]
    if image.getextrema() == ((0, 0),) * 3:
        raise StudioError(_advice("an entirely black picture", pipeline))
    return image


def _unscale(latents: Tensor, config: Mapping[str, Any]) -> Tensor:
    """Scaled latents -> what the decoder takes; some VAEs state mean and deviation per channel."""
    scale = float(config["scaling_factor"])
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    if mean is None or deviation is None:
        return latents / scale
    shape = (1, -1, 1, 1)
    mean, deviation = latents.new_tensor(mean).view(shape), latents.new_tensor(deviation).view(shape)
    return latents * deviation / scale + mean


def _advice(what: str, pipeline: DiffusionPipeline) -> str:
    precision = str(pipeline.unet.dtype).removeprefix("torch.")
    if pipeline.unet.dtype == torch.float32:
        return f"the model gave {what}; lower the guidance or the LoRA weights, or take another model"
    return f"the model gave {what} in {precision}; try precision fp32, lower guidance or lower LoRA weights"
