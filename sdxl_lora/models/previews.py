"""Small pictures of what is being drawn, without the decoder.

At every step the scheduler knows a prediction of the finished latents. A linear map from the latent channels
to RGB shows them at next to no cost. The map is fitted once per model, by least squares on a picture of
coloured squares that its own encoder has turned into latents, so it fits whatever VAE the model has.
"""

import functools
from typing import Any, Self

import numpy as np
import torch
from diffusers import AutoencoderKL, SchedulerMixin
from PIL import Image
from torch import Tensor

from sdxl_lora.models import latent_space

_LONGEST_SIDE = 192  # px
_SQUARES = 8  # per side of the picture that the map is fitted on
_LATENTS_PER_SQUARE = 4


class Predictions:
    """Keeps the latest prediction of the finished latents of a scheduler, which goes on working as before.

    As a context manager it gives the scheduler its own method back at the end.
    """

    def __init__(self, scheduler: SchedulerMixin) -> None:
        self._scheduler = scheduler
        self._latest: Tensor | None = None
        step = scheduler.step

        @functools.wraps(step)  # the pipeline reads the signature
        def recording(*args: Any, return_dict: bool = True, **kwargs: Any) -> Any:
            output = step(*args, **kwargs, return_dict=True)
            # LCM's has another name
            self._latest = getattr(output, "pred_original_sample", getattr(output, "denoised", None))
            return output if return_dict else (output.prev_sample,)

        scheduler.step = recording

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        del self._scheduler.step  # of the instance; its class has the original

    def latest(self, latents: Tensor) -> Tensor:
        """The prediction; `latents` (the noisy ones) where the scheduler makes none. NCHW."""
        if self._latest is not None:
            return self._latest
        outputs = getattr(
            self._scheduler, "model_outputs", None
        )  # of multistep solvers that predict the data
        return outputs[-1] if outputs and outputs[-1] is not None else latents


def fit(vae: AutoencoderKL, device: torch.device | None = None) -> Tensor:
    """The map for this VAE: [channels + 1, 3], from scaled latents and 1 to RGB in -1..1.

    `device`: where it computes, if its weights wait elsewhere.
    """
    factor = latent_space.factor(vae.config)
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(1, 3, _SQUARES, _SQUARES, generator=generator) * 2 - 1
    cells = torch.nn.functional.interpolate(colours, scale_factor=float(_LATENTS_PER_SQUARE), mode="nearest")
    picture = torch.nn.functional.interpolate(cells, scale_factor=float(factor), mode="nearest")
    with torch.no_grad():
        encoded = vae.encode(picture.to(device or vae.device, vae.dtype)).latent_dist.mean
        latents = latent_space.scale(encoded, vae.config)
    known = _with_ones(latents.float().cpu()[0].flatten(1).T)
    return torch.linalg.lstsq(known, cells[0].flatten(1).T).solution


def draw(latents: Tensor, factors: Tensor, size: tuple[int, int]) -> Image.Image:
    """A preview of scaled latents (1CHW) of a picture of `size` (width, height)."""
    channels = latents[0].float().cpu()
    rgb = _with_ones(channels.flatten(1).T) @ factors
    pixels = ((rgb.clamp(-1, 1) + 1) * 127.5).nan_to_num().to(torch.uint8).numpy()
    image = Image.fromarray(np.ascontiguousarray(pixels.reshape(*channels.shape[1:], 3)))
    shrink = min(1.0, _LONGEST_SIDE / max(size))
    return image.resize((round(size[0] * shrink), round(size[1] * shrink)), Image.Resampling.BICUBIC)


def _with_ones(rows: Tensor) -> Tensor:
    return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
