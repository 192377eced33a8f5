"""What stands behind a product: nothing, pure white, a colour, a picture, or a scene that a model drew.

Pixels of the product that are opaque stay as they are, on any background. Only its soft edge is mixed, and on a picture
takes on a little of the light around it, so that it does not look pasted.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageOps

from sdxl_lora.editing import colour
from sdxl_lora.editing.colour import RGB
from sdxl_lora.errors import InputError

WHITE: RGB = (255, 255, 255)
_LIGHT = 0.35  # how much of the light around reaches an edge's outermost pixel
_REACH = 1 / 40  # of the longer side: how far the light around is averaged


@dataclass(frozen=True)
class Background:
    """What was asked for; with neither colour nor words, nothing: transparent."""

    colour: RGB | None = None
    scene: str = ""  # words for a model


def parse(text: str) -> Background:
    """`transparent`, `white`, `#RRGGBB`, or the words of a scene. Raises `InputError`."""
    said = text.strip()
    if not said:
        raise InputError(
            "the background is empty; say transparent, white, a colour such as #1F2A44, or a scene"
        )
    if said.lower() == "transparent":
        return Background()
    if said.lower() == "white":
        return Background(colour=WHITE)
    if said.startswith("#"):
        return Background(colour=colour.parse(said))
    return Background(scene=said)


def on_colour(product: Image.Image, rgb: RGB) -> Image.Image:
    """The product of a cut-out (RGBA) on one colour: RGB, exactly that colour wherever nothing of it is."""
    ground = Image.new("RGBA", product.size, (*rgb, 255))
    return Image.alpha_composite(ground, product).convert("RGB")


def on_picture(product: Image.Image, picture: Image.Image) -> Image.Image:
    """The product of a cut-out (RGBA) before a picture, which is cropped to the frame and scaled to fill it: RGB."""
    behind = ImageOps.fit(picture.convert("RGB"), product.size, Image.Resampling.LANCZOS)
    lit = _lit(np.asarray(product), np.asarray(behind))
    return Image.alpha_composite(behind.convert("RGBA"), Image.fromarray(lit, "RGBA")).convert("RGB")


def _lit(product: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """The product [height, width, 4] with the light around on its soft edge, more the less opaque it is there."""
    edge = (product[..., 3] > 0) & (product[..., 3] < 255)
    result = product.copy()
    if edge.any():
        radius = max(1, round(_REACH * max(edge.shape)))
        around = cv2.blur(behind, (2 * radius + 1, 2 * radius + 1))[edge].astype(np.float32)
        share = _LIGHT * (1 - product[edge][:, 3:].astype(np.float32) / 255)
        mixed = product[edge][:, :3] * (1 - share) + around * share
        result[edge, :3] = mixed.round().astype(np.uint8)
    return result
