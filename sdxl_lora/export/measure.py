"""What can be measured of a product picture: its background, and how much of the frame the product takes.

The background is what is connected with the border and about as bright and coloured as most of the border. Pure
arrays in, numbers out.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Mask = npt.NDArray[np.bool_]

_TOLERANCE = 24  # levels of 255 that a background may differ from the border: soft shadow, JPEG
_PURE, _TOLERANCE_OF_WHITE = (
    253,
    8,
)  # a border that is white has no gradient: a white shirt is not taken for it
_PLAIN = 0.8  # share of the border that is background, for it to be one: a garment may touch one edge
_DARKEST = 2  # percentile: a few pixels of JPEG noise make no background grey
_ENOUGH = 600  # px of the longer side that numbers are measured at, at least
_SPECK = 0.004  # of a side: what is thinner belongs to no product


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where background and product are."""

    value: int  # 0 to 255: the smallest channel of the background at its darkest (2nd percentile)
    colour: tuple[int, int, int]  # median of the border
    plain: bool  # one background goes round the product, so that the rest below means something
    size: tuple[int, int]  # width and height of the picture in px
    background: Mask  # height x width of what was measured
    box: tuple[
        int, int, int, int
    ]  # left, top, right, bottom of the product in px; the whole frame where not plain

    @property
    def fill(self) -> float:
        """Share of the frame that the product spans, in the direction where it spans more."""
        width, height = self.size
        left, top, right, bottom = self.box
        return max((right - left) / width, (bottom - top) / height)


def layout(image: Image.Image, *, exact: bool = False) -> Layout:
    """Background and product of an RGB or RGBA picture; what is transparent counts as background.

    Large pictures are measured at every n-th pixel, which is as good for numbers; `exact`: at every one.
    """
    step = 1 if exact else max(1, max(image.size) // _ENOUGH)
    pixels, see_through = _opaque(image)
    found = _layout(pixels[::step, ::step], see_through[::step, ::step])
    if step == 1:
        return found
    left, top, right, bottom = (edge * step for edge in found.box)
    return replace(
        found, size=image.size, box=(left, top, min(right, image.width), min(bottom, image.height))
    )


def _layout(pixels: npt.NDArray[np.uint8], see_through: Mask) -> Layout:
    height, width = pixels.shape[:2]
    ring = _ring(height, width)
    colour = np.median(pixels[ring], axis=0).astype(np.int16)
    pure = np.percentile(pixels[ring].min(axis=1), 10) >= _PURE
    near = np.abs(pixels.astype(np.int16) - colour).max(axis=2) <= (
        _TOLERANCE_OF_WHITE if pure else _TOLERANCE
    )
    near |= see_through
    labels, found = ndimage.label(near)
    touches = np.zeros(found + 1, dtype=bool)
    touches[labels[ring & near]] = True
    touches[0] = False
    background = touches[labels]
    share = float(background[ring].mean())
    smallest = pixels.min(axis=2)
    counted = smallest[_apart(background)] if share >= _PLAIN else smallest[ring]
    red, green, blue = (int(channel) for channel in colour)
    return Layout(
        value=int(np.percentile(counted, _DARKEST)),
        colour=(red, green, blue),
        plain=share >= _PLAIN,
        size=(width, height),
        background=background,
        box=_box(~background) if share >= _PLAIN else (0, 0, width, height),
    )


def _opaque(image: Image.Image) -> tuple[npt.NDArray[np.uint8], Mask]:
    """The picture on white, and where nothing of it is."""
    if image.mode != "RGBA":
        pixels = np.asarray(image.convert("RGB"))
        return pixels, np.zeros(pixels.shape[:2], dtype=bool)
    white = Image.new("RGBA", image.size, "white")
    laid = np.asarray(Image.alpha_composite(white, image).convert("RGB"))
    return laid, np.asarray(image.getchannel("A")) < 8


def _ring(height: int, width: int) -> Mask:
    """The border, 1 % of the shorter side and at least one pixel wide."""
    thick = max(1, min(height, width) // 100)
    ring = np.ones((height, width), dtype=bool)
    ring[thick : height - thick, thick : width - thick] = False
    return ring


def _apart(background: Mask) -> Mask:
    """The background without its seam along the product, where a soft edge is neither."""
    width = 2 * max(1, min(background.shape) // 40) + 1
    apart: Mask = ndimage.minimum_filter(background, size=width, mode="nearest")
    return apart if apart.any() else background


def _box(product: Mask) -> tuple[int, int, int, int]:
    """Bounding box of what is more than a speck; empty in the middle where there is nothing."""
    height, width = product.shape
    columns = np.flatnonzero(product.sum(axis=0) > max(1, round(_SPECK * height)))
    rows = np.flatnonzero(product.sum(axis=1) > max(1, round(_SPECK * width)))
    if not columns.size or not rows.size:
        return width // 2, height // 2, width // 2, height // 2
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
