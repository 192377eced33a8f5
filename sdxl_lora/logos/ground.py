"""What a logo is put onto: whether the cloth is plain there, which is worth knowing before it is printed.

A print that is there already, stripes, a zip or the gap between two legs have edges that folds and shading have
not, and show around the logo and through its gaps. Measured is the steepness of lightness (CIELAB) that a twentieth
of the place exceeds, at one size for all; the bar was chosen on real photos, see docs/log.md.
"""

from typing import Final

import cv2
import numpy as np
from skimage.color import rgb2lab

from sdxl_lora.logos import geometry
from sdxl_lora.logos.compositing import Pixels
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.prompts import attributes

_UPPER: Final = ("chest", "left-chest", "right-chest", "back", "left-sleeve", "right-sleeve")
_NO_TORSO: Final = ("trousers", "jeans", "shorts", "skirt", "sneakers", "cap", "tote bag")
BUSY: Final = 4.0  # lightness per pixel
_SIDE: Final = 96  # px, of the longer side of what is looked at
_SOFT: Final = 1.2  # px: sigma that takes out the weave
_SHARE: Final = 0.95  # of the pixels under the logo that are less steep


def steepness(pixels: Pixels, corners: Corners) -> float:
    """How steep lightness is under a logo on a picture [height, width, 3] without it; lightness 0..100 per pixel."""
    left, top, right, bottom = geometry.bounds(corners)
    x, y = max(0, int(left)), max(0, int(top))
    part = pixels[y : max(y + 1, int(bottom) + 1), x : max(x + 1, int(right) + 1)]
    inside = geometry.covered(corners - (x, y), part.shape[:2]).astype(np.uint8)
    scale = min(1.0, _SIDE / max(part.shape[:2]))
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    under = cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST) > 0
    if not under.any():
        return 0.0
    lightness = cv2.GaussianBlur(rgb2lab(small)[..., 0].astype(np.float32), (0, 0), _SOFT)
    across = cv2.Sobel(lightness, cv2.CV_32F, 1, 0) / 8
    down = cv2.Sobel(lightness, cv2.CV_32F, 0, 1) / 8
    return float(np.quantile(np.hypot(across, down)[under], _SHARE))


def doubt(pixels: Pixels, corners: Corners, name: str) -> str:
    """One line where the cloth is not plain under a logo; "" where it is."""
    if steepness(pixels, corners) < BUSY:
        return ""
    return (
        f"the cloth is not plain where {name or 'the logo'} goes (a print, a pattern or a seam), and shows around it;"
        " look closely, or place it elsewhere"
    )


def misfit(position: str, words: str) -> str:
    """One line where the words name only garments that have no such place, as shorts no chest; "" where they do not.

    An outline alone does not tell shorts from a shirt without sleeves, so that a chest is found on both.
    """
    if position not in _UPPER:
        return ""
    named = [one.value.lower() for one in attributes.find(words) if one.name == "garment"]
    lower = [kinds for kinds in attributes.GARMENTS if kinds[0] in _NO_TORSO]
    if not named or not all(any(name in kinds for kinds in lower) for name in named):
        return ""
    return f"{named[0]} has no {position.replace('-', ' ')}: look where the logo is, or name another place"
