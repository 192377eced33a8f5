"""A garment in another colour, with its folds, shadows, prints and buttons as they are: an edit, not a photo.

In CIELAB: lightness is that of the new dye times the shading that the old one had, colour is that of the new dye, less
in the shade, plus a little of how the cloth itself varies. Only what is of the garment's main dye is changed.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import deltaE_ciede2000, lab2rgb, rgb2lab

from sdxl_lora.editing import colour
from sdxl_lora.editing.colour import RGB, GarmentColour
from sdxl_lora.errors import ImageError

LABEL = "recoloured"  # what a record calls it
_DYED, _OTHER = 12.0, 28.0  # difference from the garment's dye: changed wholly, not at all
_LIGHTNESS = 3.0  # kL of CIEDE2000: lightness counts less, since the deepest fold is of the same dye
_SHADING = (0.6, 1.7)  # how much weaker or stronger folds may become
_STRIP = 1 << 20  # pixels that are computed at once


def recolour(product: Image.Image, swatch: RGB) -> Image.Image:
    """The product of a cut-out (RGBA) in the swatch's colour; alpha and what is not of its main dye stay.

    Raises `ImageError` where the garment has no single colour, or nothing of it is opaque.
    """
    found = colour.garment_colour(product)
    if not found.single:
        raise ImageError(
            f"the garment has no single colour ({found.share:.0%} of it is near {found.hex}), so that it cannot be"
            " recoloured"
        )
    pixels = np.array(product.convert("RGBA"))
    rows = max(1, _STRIP // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        part = pixels[top : top + rows]
        there = part[..., 3] > 0
        if there.any():
            part[there, :3] = _dyed(part[there][:, :3], found, swatch)
    return Image.fromarray(pixels, "RGBA")


def _dyed(pixels: NDArray[np.uint8], old: GarmentColour, swatch: RGB) -> NDArray[np.uint8]:
    """Pixels [n, 3] of the old dye in the new one."""
    lab = rgb2lab(pixels)
    new, before = np.array(colour.to_lab(swatch)), np.array(old.lab)
    apart = deltaE_ciede2000(lab, before[None], kL=_LIGHTNESS)
    share = ((_OTHER - apart) / (_OTHER - _DYED)).clip(0, 1)[:, None]
    # reflected light is proportional to the dye's, and so, nearly, is L*; folds of black cloth would become stripes
    # on white, and those of white vanish on black, so the factor is held within bounds
    contrast = np.clip(new[0] / max(before[0], 1.0), *_SHADING)
    lightness = (new[0] + (lab[:, :1] - before[0]) * contrast).clip(0, 100)
    shade = (lightness / max(new[0], 1.0)).clip(0.3, 1.2)  # dark folds have less colour
    cloth = (lab[:, 1:] - before[1:] * (lab[:, :1] / max(before[0], 1.0)).clip(0.3, 1.2)) * 0.25
    dyed = np.concatenate([lightness, new[1:] * shade + cloth], axis=1)
    mixed = lab * (1 - share) + dyed * share
    return (lab2rgb(mixed).clip(0, 1) * 255).round().astype(np.uint8)
