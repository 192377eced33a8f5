"""Pictures that show logos to a model while it draws: edges where they will be printed, and each logo by itself."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from PIL import Image

from sdxl_lora.errors import LogoError
from sdxl_lora.logos import compositing
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.logos.raster import Logo

_NEUTRAL: Final = 128  # of the canvas
_OTHER: Final = 255  # of the canvas on which parts as grey as the neutral one are seen
_CANNY: Final = (100, 200)  # thresholds that the usual ControlNet's pictures were made with
_ALONE: Final = 448  # px: side of a logo's own picture, twice what CLIP looks at
_MARGIN: Final = 0.12  # of that side
_LIGHT: Final = 160  # mean of a logo's colours from which it is shown on a dark ground


def edges(logos: Sequence[tuple[Logo, Corners]], size: tuple[int, int]) -> Image.Image:
    """White edges on black (RGB) of the logos on an empty canvas of `size` (width, height), px.

    Raises `LogoError` where nothing of them can be seen.
    """
    found = np.zeros((size[1], size[0]), np.uint8)
    for grey in (_NEUTRAL, _OTHER):
        canvas = np.full((size[1], size[0], 3), grey, np.uint8)
        for logo, corners in logos:
            canvas = compositing.composite(canvas, logo, corners)
        found = np.maximum(found, cv2.Canny(canvas, *_CANNY))
    if not found.any():
        raise LogoError("the logo is too small or too faint to be followed; make it larger")
    return Image.fromarray(found).convert("RGB")


def alone(logo: Logo) -> Image.Image:
    """The logo in the middle of a plain square (RGB) on which it can be seen."""
    drawn = Image.fromarray(logo.drawn(round(_ALONE * (1 - 2 * _MARGIN))))
    pixels = np.asarray(drawn, np.float32)
    light = float(np.average(pixels[..., :3].mean(axis=-1), weights=pixels[..., 3]))
    square = Image.new("RGB", (_ALONE, _ALONE), "#202020" if light >= _LIGHT else "#ffffff")
    square.paste(drawn, ((_ALONE - drawn.width) // 2, (_ALONE - drawn.height) // 2), drawn)
    return square
