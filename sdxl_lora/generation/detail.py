"""Detail for an enlarged picture: its tiles are drawn anew by the loaded model, each from itself and only a little.

A model draws well at the size it was made for, so a large picture goes to it in tiles of that size, which overlap and
are blended where they do; after "Ultimate SD upscale" and MultiDiffusion (Bar-Tal et al., 2023, section 4), whose tiles
are blended after every step instead. All tiles get the picture's words.
"""

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora.generation.drawing_over import drawn_over
from sdxl_lora.models.loading import LoadedModel
from sdxl_lora.request import MAX_SEED, ResolvedRequest

_OVERLAP = 0.25  # of a tile's side, at least

Box = tuple[int, int, int, int]  # left, top, right, bottom; px


def add(
    model: LoadedModel,
    request: ResolvedRequest,
    picture: Image.Image,
    *,
    cancel: threading.Event | None = None,
) -> Image.Image:
    """`picture` (RGB), a larger one than the request draws, with what the model draws into it at `request.detail`.

    One no larger than a tile comes back as it is. Raises as `generate`.
    """
    tile = (request.width, request.height)
    if picture.width <= tile[0] or picture.height <= tile[1]:
        return picture
    sums = np.zeros((picture.height, picture.width, 3), np.float32)
    weights = np.zeros((picture.height, picture.width, 1), np.float32)
    for number, box in enumerate(tiles(picture.size, tile)):
        part = picture.crop(box)
        seed = (request.seed + number) % (MAX_SEED + 1)
        drawn = drawn_over(model, request, part, request.detail, seed=seed, cancel=cancel)
        share = _ramp(box, picture.size)
        left, top, right, bottom = box
        sums[top:bottom, left:right] += np.asarray(drawn, np.float32) * share
        weights[top:bottom, left:right] += share
    return Image.fromarray((sums / weights).round().clip(0, 255).astype(np.uint8))


def tiles(size: tuple[int, int], tile: tuple[int, int]) -> Iterator[Box]:
    """The boxes of tiles that cover a picture of this size, evenly spread."""
    for top in _starts(size[1], tile[1]):
        for left in _starts(size[0], tile[0]):
            yield left, top, left + tile[0], top + tile[1]


def _starts(side: int, tile: int) -> list[int]:
    count = 1 + int(np.ceil((side - tile) / (tile * (1 - _OVERLAP)))) if side > tile else 1
    return [round(place) for place in np.linspace(0, side - tile, count)]


def _ramp(box: Box, size: tuple[int, int]) -> NDArray[np.float32]:
    """How much a tile counts [height, width, 1]: less towards its edges, except those of the picture."""
    sides = []
    for low, high, most in ((box[1], box[3], size[1]), (box[0], box[2], size[0])):
        side = high - low
        reach = max(1, round(side * _OVERLAP))
        from_start = np.arange(1, side + 1) / reach if low > 0 else np.ones(side)
        from_end = np.arange(side, 0, -1) / reach if high < most else np.ones(side)
        sides.append(np.minimum(1.0, np.minimum(from_start, from_end)))
    return (sides[0][:, None] * sides[1][None, :]).astype(np.float32)[..., None]
