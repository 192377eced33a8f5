"""A part of a finished picture, drawn over a little by the loaded model: image-to-image of it alone, at low strength.

Its colours stay: of what the model drew only what is finer than a few pixels of its own size counts, the rest is the
picture's own (as enlargers restore colours after a model drew into tiles).
"""

import math
import threading

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora.generation.drawing_over import drawn_over
from sdxl_lora.generation.starting import Start
from sdxl_lora.models.loading import LoadedModel
from sdxl_lora.request import ResolvedRequest

_AROUND = 1.25  # times the part's longer side that the model sees
_COLOURS = 1 / 32  # of the drawn size: what is coarser keeps its colour

Box = tuple[int, int, int, int]  # left, top, right, bottom; px


def part(
    model: LoadedModel,
    request: ResolvedRequest,
    picture: Image.Image,
    opacity: NDArray[np.float32],
    strength: float,
    *,
    cancel: threading.Event | None = None,
) -> Image.Image:
    """`picture` (RGB) with the part where `opacity` (HW, 0..1) is above 0 drawn over; all else bit for bit as it was.

    Raises as `generate`.
    """
    rows, columns = np.flatnonzero(opacity.any(axis=1)), np.flatnonzero(opacity.any(axis=0))
    if not len(rows):
        return picture
    size = (request.width, request.height)
    box = _box((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1), size, picture.size)
    least = math.ceil(100 / request.steps) / 100  # one step
    before = picture.crop(box).resize(size, Image.Resampling.LANCZOS)
    inside = np.ascontiguousarray(opacity[box[1] : box[3], box[0] : box[2]])
    drawn = drawn_over(model, request, before, max(strength, least), seed=request.seed, cancel=cancel)
    begun = Start(picture=before, mask=None, whole=picture, box=box, opacity=inside)
    return begun.finished(_in_colours_of(before, drawn))


def _box(part: Box, size: tuple[int, int], whole: tuple[int, int]) -> Box:
    """What the model sees: the part with a little around it, in the shape that is drawn where there is room.

    A small part is enlarged, or the model's own coding would wipe out what is as fine as a thread.
    """
    scale = _AROUND * max((part[2] - part[0]) / size[0], (part[3] - part[1]) / size[1])
    sides = []
    for low, high, own, most in (
        (part[0], part[2], size[0], whole[0]),
        (part[1], part[3], size[1], whole[1]),
    ):
        side = min(most, max(high - low, math.ceil(own * scale)))
        start = max(0, min((low + high - side) // 2, most - side))
        sides.append((start, start + side))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


def _in_colours_of(before: Image.Image, drawn: Image.Image) -> Image.Image:
    """`drawn`, whose coarse colours are those of `before`."""
    old, new = (np.asarray(image, np.float32) for image in (before, drawn))
    sigma = max(1.0, _COLOURS * min(before.size))
    coarse = cv2.GaussianBlur(old, (0, 0), sigma) - cv2.GaussianBlur(new, (0, 0), sigma)
    return Image.fromarray(np.clip(new + coarse, 0, 255).round().astype(np.uint8))
