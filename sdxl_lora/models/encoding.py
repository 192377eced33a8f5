"""Picture -> latents to begin from, as the stock pipelines encode it, on the weights as they are.

diffusers' pipelines would encode pictures themselves, and change the number format of the shared autoencoder while they
do so. They take latents as well, so that is what they get.
"""

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Generator, Tensor

from sdxl_lora.models import decoding, latent_space, pipeline_internals


def encode(pipeline: DiffusionPipeline, picture: Image.Image, generator: Generator) -> Tensor:
    """Scaled latents (1CHW, fp32) of an RGB picture whose sides the model can draw; the posterior is sampled."""
    return encode_pixels(pipeline, to_pixels(picture), generator)


def to_pixels(picture: Image.Image) -> Tensor:
    """RGB picture -> 1CHW in -1..1, laid out in memory as diffusers does it: sums are rounded by that."""
    values = np.asarray(picture, dtype=np.float32)[None] / 255.0
    return 2.0 * torch.from_numpy(values.transpose(0, 3, 1, 2)) - 1.0


def encode_pixels(pipeline: DiffusionPipeline, pixels: Tensor, generator: Generator) -> Tensor:
    """Scaled latents (1CHW, fp32) of pixels in -1..1 (1CHW)."""
    vae = pipeline.vae
    device = pipeline_internals.execution_device(pipeline)
    decoding.set_tiles(vae, pixels.shape[-2] * pixels.shape[-1], on_gpu=device.type == "cuda")
    with torch.no_grad():
        posterior = vae.encode(pixels.to(device, vae.dtype)).latent_dist
    return latent_space.scale(posterior.sample(generator=generator), vae.config).float()
