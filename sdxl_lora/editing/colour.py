"""The colour of a garment, and how far it is from the one that was asked for.

Colours are CIELAB (D65, 2 degrees), differences CIEDE2000 (Sharma, Wu, Dalal, 2005). A garment's colour is the median
over its cut-out, edges left out; folds and shadows change lightness more than hue, so that a pattern is told from them
by a difference in which lightness counts less. Cameras and screens shift colours by several units: a photo of a garment
shows its colour only as well as it was lit.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.color import deltaE_ciede2000, lab2rgb, rgb2lab

from sdxl_lora.errors import ImageError, InputError

Lab = tuple[float, float, float]  # L* 0..100, a*, b*
RGB = tuple[int, int, int]  # sRGB, 0..255

MATCH, CLOSE = 2.0, 5.0  # CIEDE2000: not noticeable in a shop; noticeable side by side
SINGLE = 0.75  # of the garment that has to be of one dye for it to be the garment's colour
_SHADING = (
    1.5  # kL of CIEDE2000: how much less lightness counts, so that folds are overlooked and stripes are not
)
_ALIKE = 10.0  # from the median, lightness counting less: still the same dye
_SIDE = 256  # px: colours are taken at this size
_TRIM = (10, 95)  # percentiles of lightness: deep shadows and highlights are left out of the median
_LEAST = 50  # pixels
_HEX = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


@dataclass(frozen=True)
class GarmentColour:
    """The colour of most of a garment."""

    lab: Lab
    share: float  # of the garment that is of this colour, 0..1

    @property
    def single(self) -> bool:
        """Whether it is the garment's only colour, but for buttons and prints."""
        return self.share >= SINGLE

    @property
    def hex(self) -> str:
        """As #RRGGBB."""
        return to_hex(to_rgb(self.lab))


@dataclass(frozen=True)
class ColourCheck:
    """A garment beside a swatch."""

    garment: GarmentColour
    swatch: RGB
    difference: float  # CIEDE2000

    @property
    def matches(self) -> bool:
        """Whether nobody would send the garment back for its colour."""
        return self.garment.single and self.difference < CLOSE

    @property
    def words(self) -> str:
        """One sentence."""
        wanted = to_hex(self.swatch)
        if not self.garment.single:
            share = f"{self.garment.share:.0%}"
            return f"no single colour: {share} of it is near {self.garment.hex}; the swatch is {wanted}"
        if self.difference < MATCH:
            return f"the colour matches: off by {self.difference:.0f}, the swatch is {wanted}"
        how = "close" if self.difference < CLOSE else "another colour"
        return f"{how}: off by {self.difference:.0f}, the swatch is {wanted}, the garment {self.garment.hex}"


def parse(text: str) -> RGB:
    """`#1F2A44` or `#fff` -> sRGB. Raises `InputError`."""
    found = _HEX.fullmatch(text.strip())
    if found is None:
        raise InputError(f"{text!r} is no colour; write it as #1F2A44")
    digits = found[1] if len(found[1]) == 6 else "".join(2 * digit for digit in found[1])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def to_hex(rgb: RGB) -> str:
    """sRGB -> `#RRGGBB`."""
    return "#{:02X}{:02X}{:02X}".format(*rgb)


def to_lab(rgb: RGB) -> Lab:
    """sRGB -> CIELAB."""
    lightness, a, b = rgb2lab(np.array(rgb, np.float64) / 255)
    return float(lightness), float(a), float(b)


def labs(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """sRGB [..., 3] -> CIELAB [..., 3]."""
    return rgb2lab(pixels)


def to_rgb(lab: Lab) -> RGB:
    """CIELAB -> the nearest sRGB."""
    red, green, blue = (lab2rgb(np.array(lab)).clip(0, 1) * 255).round().astype(int)
    return int(red), int(green), int(blue)


def difference(one: Lab, other: Lab) -> float:
    """CIEDE2000; about 1 is just noticeable, above 10 another colour."""
    return float(deltaE_ciede2000(np.array(one), np.array(other)))


def garment_colour(product: Image.Image) -> GarmentColour:
    """The colour of a cut-out (RGBA). Raises `ImageError` where nothing of it is opaque."""
    values = _inner(product)
    low, high = np.percentile(values[:, 0], _TRIM)
    lit = values[(values[:, 0] >= low) & (values[:, 0] <= high)]
    middle = np.median(lit, axis=0)
    apart = deltaE_ciede2000(values, middle[None], kL=_SHADING)
    # once more, over what is of that dye: a print no longer pulls at it
    near = lit[deltaE_ciede2000(lit, middle[None], kL=_SHADING) <= _ALIKE]
    if len(near):
        middle = np.median(near, axis=0)
        apart = deltaE_ciede2000(values, middle[None], kL=_SHADING)
    return GarmentColour(
        (float(middle[0]), float(middle[1]), float(middle[2])), float((apart <= _ALIKE).mean())
    )


def compare(product: Image.Image, swatch: RGB) -> ColourCheck:
    """The garment of a cut-out (RGBA) beside a swatch. Raises `ImageError` where nothing of it is opaque."""
    found = garment_colour(product)
    return ColourCheck(found, swatch, difference(found.lab, to_lab(swatch)))


def _inner(product: Image.Image) -> NDArray[np.float64]:
    """CIELAB [n, 3] of the pixels well within the product, at `_SIDE`."""
    small = product.copy()
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small.convert("RGBA"))
    opaque = pixels[..., 3] >= 250
    inner = ndimage.binary_erosion(opaque, iterations=2)
    if inner.sum() < _LEAST:
        inner = opaque
    if not inner.any():
        raise ImageError("nothing of the product is opaque, so that it has no colour; cut it out again")
    return labs(pixels[inner][:, :3])
