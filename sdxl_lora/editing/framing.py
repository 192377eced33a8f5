"""The product in its frame: centred, and filling as much of it as a shop asks for."""

from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.editing.upscale import upscale
from sdxl_lora.errors import ImageError

FILL = 0.85  # what marketplaces ask of a main picture at least
LEAST_FILL = 0.1
_SOFT = 1.5  # times: a product that is enlarged more than this is enlarged by the network first
_OPAQUE = 128  # alpha from which a pixel belongs to the product's box


def frame(product: Image.Image, size: tuple[int, int], fill: float = FILL) -> Image.Image:
    """The product of a cut-out (RGBA) in the middle of a transparent frame of `size` (width, height) px.

    Args:
        fill: share of the frame's width or height, whichever it meets first, that the product takes: 0.1 to 1.

    Raises `ImageError` for another share, a frame of no or too many pixels, and a product without opaque pixels.
    """
    if not LEAST_FILL <= fill <= 1:
        raise ImageError(f"the product can fill {LEAST_FILL:.0%} to 100 % of the frame, not {fill:.0%}")
    if min(size) < 1 or size[0] * size[1] > inputs.MAX_PIXELS:
        most = inputs.MAX_PIXELS // 10**6
        raise ImageError(f"a frame of {size[0]}x{size[1]} px cannot be made; at most {most} megapixels are")
    box = box_of(product)
    if box is None:
        raise ImageError("nothing of the product is opaque, so that it cannot be framed; cut it out again")
    cropped = product.crop(box)
    scale = fill * min(size[0] / cropped.width, size[1] / cropped.height)
    wanted = (max(1, round(cropped.width * scale)), max(1, round(cropped.height * scale)))
    if scale > _SOFT and 4 * cropped.width * cropped.height <= inputs.MAX_PIXELS:
        cropped = upscale(cropped, 2)
    if wanted != cropped.size:  # Pillow weighs colours by alpha
        cropped = cropped.resize(wanted, Image.Resampling.LANCZOS)
    framed = Image.new("RGBA", size, (255, 255, 255, 0))
    framed.paste(cropped, ((size[0] - wanted[0]) // 2, (size[1] - wanted[1]) // 2))
    return framed


def box_of(product: Image.Image) -> tuple[int, int, int, int] | None:
    """(left, upper, right, lower) px of what is at least half opaque; None: nothing is."""
    return product.getchannel("A").point(lambda value: 255 if value >= _OPAQUE else 0).getbbox()


def cut_off(product: Image.Image) -> tuple[str, ...]:
    """At which sides of its picture the product of a cut-out (RGBA) ends because the picture does."""
    alpha = product.getchannel("A")
    width, height = alpha.size
    sides = {
        "top": (0, 0, width, 1),
        "bottom": (0, height - 1, width, height),
        "left": (0, 0, 1, height),
        "right": (width - 1, 0, width, height),
    }
    found = []
    for name, box in sides.items():
        strip = alpha.crop(box)
        if sum(strip.histogram()[_OPAQUE:]) > 0.02 * strip.width * strip.height:
            found.append(name)
    return tuple(found)
