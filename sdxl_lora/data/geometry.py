"""Sizes, buckets, crops and flips: which part of a picture the model sees, and the numbers SDXL is told
about it.

Pure arithmetic and one resize; knows nothing of files or models. Sizes are (height, width) in px throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sdxl_lora.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

Size = tuple[int, int]  # (height, width), px

INTERPOLATIONS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
    "nearest_exact": Image.Resampling.NEAREST,
}
MAX_ASPECT_RATIO = 2.0  # longest : shortest side of a bucket, as in SDXL's own buckets within rounding
_BUCKET_STEPS = 16  # a square bucket's side is this many bucket steps: 64 px at 1024, as in SDXL


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How a picture is shown to the model: resized, then flipped, then cropped (in this order)."""

    original: Size
    resized: Size
    target: Size
    top: int  # px of `resized`, after the flip
    left: int  # px of `resized`, after the flip
    flip: bool

    def time_ids(self) -> tuple[int, int, int, int, int, int]:
        """SDXL's micro-conditioning: original size, crop corner, target size (arXiv:2307.01952, section
        2.2).
        """
        return (*self.original, self.top, self.left, *self.target)

    @property
    def upscaled(self) -> bool:
        return self.resized[0] > self.original[0]


def buckets(resolution: int, multiple: int, max_ratio: float = MAX_ASPECT_RATIO) -> list[Size]:
    """Sizes of about `resolution`² pixels, never more, in steps of a sixteenth side; sorted tall to wide.

    `multiple` is what the model can divide by (VAE factor x UNet factor), px.
    """
    check_resolution(resolution, multiple)
    step = max(multiple, round(resolution / _BUCKET_STEPS / multiple) * multiple)
    sizes: set[Size] = {(resolution, resolution)}
    for short in range(step, resolution, step):
        long = resolution * resolution // short // step * step
        if long <= max_ratio * short:
            sizes |= {(long, short), (short, long)}
    return sorted(sizes, key=lambda size: size[1] / size[0])


def check_resolution(resolution: int, multiple: int) -> None:
    """Raises `RequestError` naming the nearest valid resolution."""
    if resolution < multiple or resolution % multiple:
        nearest = max(1, round(resolution / multiple)) * multiple
        raise RequestError(
            f"resolution {resolution} is not a multiple of {multiple}, as this model needs; use {nearest}"
        )


def nearest_bucket(original: Size, sizes: Sequence[Size]) -> Size:
    """The bucket whose aspect ratio is nearest on a log scale; of equals, the largest."""
    ratio = math.log(original[1] / original[0])
    return min(
        sizes, key=lambda size: (round(abs(math.log(size[1] / size[0]) - ratio), 9), -size[0] * size[1])
    )


def place(
    original: Size, target: Size, *, flip: bool = False, shift: tuple[float, float] | None = None
) -> Placement:
    """Resizes so that `target` is just covered, then crops: centred, or at `shift` in [0, 1)² of the room
    there is.
    """
    height, width = original
    if target[0] * width >= target[1] * height:  # the height decides
        resized = (target[0], max(target[1], int(target[0] * width / height)))
    else:
        resized = (max(target[0], int(target[1] * height / width)), target[1])
    room = (resized[0] - target[0], resized[1] - target[1])
    if shift is None:
        top, left = round(room[0] / 2), round(room[1] / 2)
    else:
        top, left = (int(s * (r + 1)) for s, r in zip(shift, room, strict=True))
    return Placement(original=original, resized=resized, target=target, top=top, left=left, flip=flip)


def cut(image: Image.Image, placement: Placement, interpolation: str = "lanczos") -> Tensor:
    """The pixels the model sees: float32, 3 x height x width, in [-1, 1]."""
    import torch

    height, width = placement.resized
    resized = image.resize((width, height), INTERPOLATIONS[interpolation])
    if placement.flip:
        resized = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    box = (
        placement.left,
        placement.top,
        placement.left + placement.target[1],
        placement.top + placement.target[0],
    )
    pixels = torch.from_numpy(np.asarray(resized.crop(box)).copy())  # HWC uint8
    return pixels.permute(2, 0, 1).to(torch.float32).div(255).sub(0.5).div(0.5)
