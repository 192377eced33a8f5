"""Colour accuracy: how far the garment's colour is from the reference garment's, in CIELAB, without any
weights.

The garment is what differs from the backdrop, which is taken to be the colour of the picture's frame. That
holds for catalogue photos; on a street scene no mask is found and the picture has no value rather than a
wrong one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2lab

from sdxl_lora.evaluation.pictures import Picture, Pixels

MASK_SIDE = 256  # px
FRAME = 8 / 256  # width of the frame that shows the backdrop, of the side
BACKDROP_DISTANCE = 8.0  # CIELAB units (CIE76) from the backdrop: clearly another colour
FRAME_SPREAD = 12.0  # median distance of frame pixels from the backdrop above which it is not plain
COVERAGE = (0.02, 0.95)  # share of the picture a garment can fill


@dataclass(frozen=True)
class GarmentColour:
    """Median CIELAB colour inside the garment mask, or the reason why there is none."""

    lab: tuple[float, float, float] | None
    reason: str = ""


def garment_mask(pixels: Pixels) -> tuple[NDArray[np.bool_] | None, str]:
    """Mask [height, width] of the largest object before a plain backdrop, or None and why."""
    lab = rgb2lab(pixels)
    width = max(1, round(FRAME * min(lab.shape[:2])))
    # the lower edge is left out: garments and models often run out of the picture there
    sides = (lab[:width], lab[:, :width], lab[:, -width:])
    frame = np.concatenate([side.reshape(-1, 3) for side in sides])
    backdrop = np.median(frame, axis=0)
    if np.median(np.linalg.norm(frame - backdrop, axis=1)) > FRAME_SPREAD:
        return None, "no plain backdrop to tell the garment from"
    apart = np.linalg.norm(lab - backdrop, axis=2) > BACKDROP_DISTANCE
    labels, count = ndimage.label(ndimage.binary_opening(apart, iterations=2))
    if count == 0:
        return None, "nothing stands out from the backdrop"
    sizes = np.bincount(labels.ravel())[1:]
    mask = ndimage.binary_fill_holes(labels == 1 + int(sizes.argmax()))
    share = float(mask.mean())
    if not COVERAGE[0] <= share <= COVERAGE[1]:
        return None, f"the object fills {share:.0%} of the picture: that is no garment"
    return mask, ""


def garment_colour(picture: Picture) -> GarmentColour:
    """Median L*, a*, b* (D65, L* 0..100) of the garment at 256 px, the mask shrunk by 2 px to leave its edge
    out.
    """
    pixels = picture.resized(MASK_SIDE)
    mask, reason = garment_mask(pixels)
    if mask is None:
        return GarmentColour(None, reason)
    inner = ndimage.binary_erosion(mask, iterations=2)
    lightness, a, b = np.median(rgb2lab(pixels)[inner if inner.any() else mask], axis=0)
    return GarmentColour((float(lightness), float(a), float(b)))
