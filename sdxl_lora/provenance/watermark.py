"""An invisible mark in the pixels that says: made here, or edited here. It needs no weights.

A pattern of fixed spatial frequencies, with phases that only the name of the mark decides, is laid over the brightness
of the whole picture again and again: its waves have whole numbers of periods in a square of `PERIOD` px. A detector
(`detection`) looks for these phases at every scale and shift, so that the mark outlives scaling and cropping; the
frequencies lie below what halving the size and JPEG take away. Spread-spectrum marking after Cox et al., IEEE Trans.
Image Processing 6(12), 1997; a tiled pattern against cropping after Honsinger and Rabbani, Data Embedding Using Phase
Dispersion, 2000.

It is strong where cloth hides it and weak on smooth and dark ground. Pure white stays pure white, and so does every
pixel that the caller names: shops ask for the one, and whoever edits a photo for the other. The pattern is public:
everybody can look for it, and anybody could add or remove it, so that it is a hint and no proof.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from sdxl_lora.provenance import detection
from sdxl_lora.provenance.pattern import PERIOD, Grey, grey_of, mean, pattern, tile
from sdxl_lora.records.iptc import SourceType

SMALLEST = 128  # px; no mark is promised to be found in less
_SMOOTH = 0.9  # grey levels on smooth ground, of a picture of _USUAL px a side
_TEXTURE = 0.25  # of the local contrast, where there is some
_MOST = 5.0  # grey levels
_ENOUGH = 512  # px, to see by where a mark is hidden
_USUAL = 300.0  # px; larger pictures have more waves and need less of each
_LEAST_MSE_RATIO = 10**-4.1  # noise to 255 squared, that is 41 dB: never more than that
_DARK = 60.0  # grey levels; below, less is seen by as little as _IN_THE_DARK
_IN_THE_DARK = 0.7


def embed(image: Image.Image, kind: SourceType, *, changed: NDArray[np.bool_] | None = None) -> Image.Image:
    """The picture with the mark; the same pixels for the same picture, always.

    Args:
        image: L, RGB or RGBA; any other mode becomes RGB. Alpha stays, and what cannot be seen through it.
        kind: what the mark says.
        changed: (height, width), the only pixels that may be changed; None = all.
    """
    picture = image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB")
    pixels = np.asarray(picture)
    colours = pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]
    grey = grey_of(picture)
    strength = _strength(grey) * np.clip((255.0 - _darkest(colours)) / 5, 0, 1)  # pure white stays
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        strength = np.where(pixels[..., 3] > 0, strength, 0)
    if changed is not None:
        strength = np.where(changed, strength, 0)
    delta = strength * _laid_over(grey, kind)
    noise = float(np.mean(np.square(delta))) / 255**2
    if noise > _LEAST_MSE_RATIO:
        delta *= np.sqrt(_LEAST_MSE_RATIO / noise)
    marked = np.clip(np.rint(colours + delta[..., None]), 0, 255).astype(np.uint8)
    if pixels.ndim == 2:
        return Image.fromarray(marked[..., 0])
    if pixels.shape[2] == 4:
        marked = np.concatenate([marked, pixels[..., 3:]], axis=-1)
    return Image.fromarray(marked)


def _darkest(colours: NDArray[np.uint8]) -> Grey:
    """(height, width), the least of a pixel's colours."""
    least = colours[..., 0]
    for channel in range(1, colours.shape[-1]):
        least = np.minimum(least, colours[..., channel])
    return least.astype(np.float32)


def _laid_over(grey: Grey, kind: SourceType) -> Grey:
    """The pattern all over, shifted to where the picture itself resembles it most: half of the work is done there."""
    height, width = grey.shape
    top, left = (max(0, (side - 2 * _ENOUGH) // 2) // PERIOD * PERIOD for side in grey.shape)
    middle, times = _reduced(grey[top : top + 2 * _ENOUGH, left : left + 2 * _ENOUGH], _ENOUGH)
    likeness = detection.likeness(middle, pattern(kind), 1 / times)
    down, right = np.unravel_index(int(np.argmax(likeness)), likeness.shape)
    shifted = np.roll(tile(kind), (int(down), int(right)), axis=(0, 1))
    tiles = (-(-height // PERIOD), -(-width // PERIOD))
    return np.tile(shifted, tiles)[:height, :width]


def _reduced(grey: Grey, enough: int) -> tuple[Grey, int]:
    """The picture at a whole part of its size, with at least `enough` px on its longer side, and which part."""
    times = max(1, max(grey.shape) // enough)
    if times == 1:
        return grey, 1
    return np.asarray(Image.fromarray(grey).reduce(times), np.float32), times


def _strength(grey: Grey) -> Grey:
    """(height, width) grey levels by which each pixel may change."""
    small, times = _reduced(grey, _ENOUGH)
    contrast = np.sqrt(mean(np.square(small - mean(small, 5)), 5))
    contrast = mean(ndimage.minimum_filter(contrast, 9), 7)  # an edge hides nothing beside it
    less = np.clip(np.sqrt(_USUAL / np.sqrt(grey.size)), 0.55, 1)
    strength = np.minimum(_SMOOTH + _TEXTURE * contrast, _MOST) * float(less)
    light = np.clip(mean(small, 9) / _DARK, 0, 1)
    strength *= _IN_THE_DARK + (1 - _IN_THE_DARK) * light
    if times == 1:
        return strength
    size = (grey.shape[1], grey.shape[0])
    whole = Image.fromarray(strength.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(whole, np.float32)
