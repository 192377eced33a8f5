"""Checks that need no model: whether there is a picture at all."""

import numpy as np
from PIL import Image

_FLAT = 2  # levels of 255: what JPEG or rounding may add to a flat colour


def blank_reason(image: Image.Image) -> str | None:
    """Why the picture shows nothing, or None if it shows something.

    A pipeline turns NaN into black, so a flat picture nearly always means numerical trouble.
    """
    pixels = np.asarray(image.convert("RGB"))  # HWC, uint8
    low, high = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))  # C
    if (high - low > _FLAT).any():
        return None
    if (high <= _FLAT).all():
        return "the picture is black: the model made no finite numbers; try precision fp32 or another seed"
    return "the picture is one flat colour; try another seed or less guidance"
