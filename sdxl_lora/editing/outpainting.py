"""A picture in a wider or taller frame: the canvas, and the mask of what has to be drawn on it.

The picture keeps every pixel. What is new is filled with its edge, carried on and ever more blurred, so that a model
that draws there begins with the right colours.
"""

import math
import re
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from sdxl_lora.errors import ImageError, RequestError

Anchor = Literal["middle", "start", "end"]
_RATIO = re.compile(r"(\d{1,4}(?:\.\d+)?)[:x/](\d{1,4}(?:\.\d+)?)")
MOST = 4.0  # times the picture's area
_LEAST = 0.02  # of a side that is added; less is no other shape


def ratio_of(text: str) -> float:
    """`16:9` -> width / height. Raises `RequestError`."""
    found = _RATIO.fullmatch(text.replace(" ", ""))
    sides = [float(side) for side in found.groups()] if found else [0.0]
    if not all(sides):
        raise RequestError(f"the shape {text!r} is not of the form W:H; say for example 16:9 or 4:5")
    return sides[0] / sides[1]


def widened(picture: Image.Image, ratio: float, anchor: Anchor = "middle") -> tuple[Image.Image, Image.Image]:
    """(canvas, mask) of an RGB picture whose frame gets the shape `ratio`; white in the mask is new.

    `anchor`: where in the new frame the picture stands. Raises `ImageError` where there is nothing to add, or too much.
    """
    width, height = picture.size
    wide, tall = max(width, round(height * ratio)), max(height, round(width / ratio))
    if wide < width * (1 + _LEAST) and tall < height * (1 + _LEAST):
        raise ImageError(f"the picture has that shape already ({width}x{height} px); choose another")
    if wide * tall > MOST * width * height:
        raise ImageError(
            f"{wide}x{tall} px would be more than {MOST:g} times the picture; choose a shape nearer to it"
        )
    free = (wide - width, tall - height)
    left, top = (_place(side, anchor) for side in free)
    pixels = cv2.copyMakeBorder(
        np.asarray(picture), top, free[1] - top, left, free[0] - left, cv2.BORDER_REPLICATE
    )
    canvas = Image.fromarray(_softened(pixels, max(free)))
    canvas.paste(picture, (left, top))
    mask = Image.new("L", (wide, tall), 255)
    mask.paste(0, (left, top, left + width, top + height))
    return canvas, mask


def _place(free: int, anchor: Anchor) -> int:
    """Pixels before the picture."""
    return {"start": 0, "middle": free // 2, "end": free}[anchor]


def _softened(
    pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", reach: int
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Carried-on edges are streaks: blurred, they are colours."""
    sigma = max(2.0, reach / 8)
    shrink = max(1, math.floor(sigma / 4))  # a wide blur is made of a small copy
    small = cv2.resize(pixels, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(blurred, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8)
