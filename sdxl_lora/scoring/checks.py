"""Checks that need no model: is there a picture at all, is its ground white, how much of it is filled, is it sharp.

Each is also a scorer (`WhiteBackground`, `Sharpness`) that takes texts for the protocol's sake and ignores them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from skimage.measure import blur_effect

_FLAT = 2  # levels of 255: what JPEG or rounding may add to a flat colour
_WHITE = 240  # of 255, in every channel: what counts as white; shops ask for 255, a decoder rarely gives it
_BORDER = 0.04  # of the shorter side: the frame that is looked at for the background
_BLUR_SIDE = 256  # px, the longer side at which blur is measured
_BLUR_WINDOW = 11  # px, of the low-pass that the paper compares with


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


@dataclass(frozen=True, kw_only=True)
class Backdrop:
    """What surrounds the product on a picture that should have a white ground."""

    white: float  # share of the picture's border that is white, 0..1
    fill: float  # longer side of the box around all that is not white, as a share of that side; 0..1


def backdrop(image: Image.Image) -> Backdrop:
    """Measures border and frame fill; shops such as Amazon ask for a white border and a fill of 0.85."""
    white = np.asarray(image.convert("RGB")).min(axis=-1) >= _WHITE  # HW
    height, width = white.shape
    edge = max(1, round(_BORDER * min(height, width)))
    border = np.ones_like(white)
    border[edge : height - edge, edge : width - edge] = False
    rows, columns = np.nonzero(~white)
    if len(rows) == 0:
        return Backdrop(white=1.0, fill=0.0)
    fill = max((np.ptp(rows) + 1) / height, (np.ptp(columns) + 1) / width)
    return Backdrop(white=float(white[border].mean()), fill=float(fill))


def sharpness(image: Image.Image) -> float:
    """0 (blurred) .. 1 (sharp): 1 minus the blur of Crété et al. 2007, "The blur effect", at 256 px.

    NaN for a blank picture. Depends on what is shown: compare with pictures of the same kind only.
    """
    if blank_reason(image):
        return math.nan
    scale = _BLUR_SIDE / max(image.size)
    width, height = (max(_BLUR_WINDOW + 1, round(side * scale)) for side in image.size)
    grey = (
        np.asarray(image.convert("L").resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
        / 255
    )
    return 1.0 - float(blur_effect(grey, h_size=_BLUR_WINDOW))


class WhiteBackground:
    """Share of the border that is white."""

    key = "white_background"
    name = "white border (share)"

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """0..1 per picture; NaN for a blank one."""
        return [math.nan if blank_reason(image) else backdrop(image).white for image in images]


class Sharpness:
    """`sharpness` of every picture."""

    key = "sharpness"
    name = "sharpness (1 - blur effect)"

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """0..1 per picture; NaN for a blank one."""
        return [sharpness(image) for image in images]
