"""Shows the product as a shop wants it: cut out, in the middle of the frame, on another background, with a shadow.

Or puts a product that was cut out before in front of what was drawn. Its opaque pixels stay as they are.
"""

import logging
from dataclasses import replace

import numpy as np
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.editing import backgrounds, colour, framing, plates, shadow
from sdxl_lora.editing.cutout import cut_out
from sdxl_lora.editing.recolour import recolour
from sdxl_lora.errors import StudioError
from sdxl_lora.finishing.chain import Piece, Stage, noted
from sdxl_lora.request import GenerationRequest

log = logging.getLogger(__name__)


class Background:
    """After logos were put on: they belong to the product."""

    stage = Stage.BACKGROUND

    def wanted(self, piece: Piece) -> bool:
        """Where the request says what is behind the product, or which one is in front."""
        return bool(piece.request.background or piece.request.product)

    def __call__(self, piece: Piece) -> Piece:
        """The picture so; as it was where that cannot be done, with the reason."""
        request, doubt = piece.request, ""
        try:
            if request.product:
                product = inputs.open(request.product).convert("RGBA")
                if request.recolour:
                    product = recolour(product, colour.parse(request.recolour))
            else:
                found = cut_out(piece.bare or piece.image)  # a logo draws the eye, and would be taken for it
                product, doubt = found.image, found.doubt
                if piece.bare is not None:
                    product = _with_logos(product, piece.bare, piece.image)
            product = _placed(product, piece.image.size, request)
            image = _shown(product, piece.image, request)
            exact = np.asarray(product.getchannel("A")) == 255 if request.product else None
        except StudioError as error:
            log.info("background as it was: %s", error)
            plain = replace(request, background="", product="", fill=0, shadow=False)
            if request.product:
                plain = replace(plain, recolour="")
            return noted(replace(piece, request=plain), f"the background is as it was: {error}")
        return noted(replace(piece, image=image, untouched=exact), doubt)


def staged(product: Image.Image, picture: Image.Image, request: GenerationRequest) -> Image.Image:
    """A product (RGBA) that was cut out of the picture, shown as the request says, without the rest of the chain.

    Raises `StudioError`.
    """
    return _shown(_placed(product, picture.size, request), picture, request)


def _with_logos(product: Image.Image, bare: Image.Image, finished: Image.Image) -> Image.Image:
    """The product (RGBA) with the pixels that its logos changed."""
    pixels = np.array(product)
    before, after = (np.asarray(image.convert("RGB")) for image in (bare, finished))
    changed = (before != after).any(axis=-1)
    pixels[changed, :3] = after[changed]
    return Image.fromarray(pixels)


def _placed(product: Image.Image, size: tuple[int, int], request: GenerationRequest) -> Image.Image:
    """The product (RGBA) at the size of the picture that was drawn, filling as much of it as the request says."""
    if request.fill or product.size != size:
        return framing.frame(product, size, request.fill / 100 if request.fill else framing.FILL)
    return product


def _shown(product: Image.Image, drawn: Image.Image, request: GenerationRequest) -> Image.Image:
    """The product before what the request says."""
    if request.shadow:
        product = shadow.ground(product)
    wanted = request.background
    if not wanted:  # a product in front of what was drawn
        return backgrounds.on_picture(product, plates.without_product(drawn))
    if wanted == "transparent":
        return product
    if wanted == "white":
        return backgrounds.on_colour(product, backgrounds.WHITE)
    if wanted.startswith("#"):
        return backgrounds.on_colour(product, colour.parse(wanted))
    return backgrounds.on_picture(product, inputs.open(wanted))
