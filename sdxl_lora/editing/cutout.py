"""Cuts the product out of a photo: RGBA with soft edges, no halo of the old background and no specks.

Where the product is whole, its pixels are those of the photo, bit for bit.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from sdxl_lora.editing import edges, matting
from sdxl_lora.editing.matting import Matte, Method
from sdxl_lora.errors import ImageError

WORKING_SIDE = 2_048  # px: edges of larger pictures are found at this size
MIN_SIDE = 16  # px
_EDGE = 1 / 64  # of the longer side: how far the first guess's edge may be off
_SURE, _NOTHING = 0.9, 0.1  # of a fitted matte: product, background
_SPECK = 0.05  # of the largest piece; smaller ones are no second shoe
_HOLE = 0.002  # of the product; smaller ones are no gap between two legs
_LIKE = 32  # levels of a channel: as near as this the background is seen through a hole
_SEEN = 0.03  # of the background that has to be like it
_LOOKED_AT = 20_000  # pixels of the background
_LEAST = 0.002  # of the picture; less is no product


@dataclass(frozen=True)
class CutOut:
    """A product without its background."""

    image: Image.Image  # RGBA; transparent pixels are white
    method: Method  # who found it
    reason: str = ""  # one line: why it was not the network; "" = it was, or nothing had to be found

    @property
    def doubt(self) -> str:
        """One line where the network did not find it; "" = it did."""
        if not self.reason:
            return ""
        return f"the product was cut out by {self.method}, which is less sure of edges: {self.reason}"

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, upper, right, lower) of what is at least half there, px."""
        found = self.image.getchannel("A").point(lambda value: 255 if value >= 128 else 0).getbbox()
        return found or (0, 0, *self.image.size)


def cut_out(image: Image.Image) -> CutOut:
    """The product of a picture (RGB, or RGBA: what is transparent already stays so, and nothing else is looked for).

    Raises `ImageError` where no product is found.
    """
    if min(image.size) < MIN_SIDE:
        raise ImageError(
            f"{image.width}x{image.height} px are too few to find a product in; use a larger picture"
        )
    if image.mode == "RGBA" and _cut_already(image):
        if _share_opaque(image) < _LEAST:
            raise ImageError("the picture is transparent all over, so that no product is in it; use another")
        return CutOut(_transparent_white(image), "the picture's own transparency")
    photo = image.convert("RGB")
    working = photo.copy()
    working.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    first = matting.guess(working)
    alpha = _refined(working, first.matte)
    return CutOut(with_alpha(photo, alpha), first.method, first.reason)


def with_alpha(photo: Image.Image, alpha: Matte) -> Image.Image:
    """The RGB photo as RGBA with this alpha [h, w], which may be of a smaller copy of it; edges without the background.

    Pixels of alpha 1 keep their colours, those of alpha 0 become white.
    """
    pixels = np.asarray(photo)
    full = alpha
    if alpha.shape != pixels.shape[:2]:
        full = cv2.resize(alpha, photo.size, interpolation=cv2.INTER_LINEAR)
    levels = (full * 255).round().astype(np.uint8)
    edge = (levels > 0) & (levels < 255)
    result = np.dstack([pixels, levels])
    result[levels == 0, :3] = 255
    result[edge, :3] = edges.foreground(pixels, full, edge)
    return Image.fromarray(result, "RGBA")


def _cut_already(image: Image.Image) -> bool:
    """Whether at least a hundredth of an RGBA picture is transparent."""
    return _share_opaque(image) <= 0.99


def _share_opaque(image: Image.Image) -> float:
    """Share of an RGBA picture that is at least half there."""
    return float((np.asarray(image.getchannel("A")) >= 128).mean())


def _transparent_white(image: Image.Image) -> Image.Image:
    pixels = np.array(image)
    pixels[pixels[..., 3] == 0, :3] = 255
    return Image.fromarray(pixels, "RGBA")


def _refined(photo: Image.Image, matte: Matte) -> Matte:
    """The final alpha at `WORKING_SIDE` or the photo's size, whichever is smaller. Raises `ImageError`."""
    height, width = matte.shape
    solid = _without_small(matte > 0.5, np.asarray(photo))
    if solid.mean() < _LEAST:
        raise ImageError(
            "no product was found in the picture; use one where it stands out from its background, or give a mask"
        )
    radius = max(2, round(_EDGE * max(height, width)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    inner = cv2.erode(solid.astype(np.uint8), disc, borderType=cv2.BORDER_REPLICATE) > 0
    outer = cv2.dilate(solid.astype(np.uint8), disc) == 0
    steep = ((matte - 0.5) * 2 + 0.5).clip(0, 1)
    guided = edges.fit(
        np.asarray(photo), np.where(inner, 1, np.where(outer, 0, steep)).astype(np.float32), radius
    )
    alpha = ((guided - _NOTHING) / (_SURE - _NOTHING)).clip(0, 1)
    alpha = np.where(inner, 1, np.where(outer, 0, alpha)).astype(np.float32)
    return np.where(_connected(alpha, solid), alpha, 0)


def _without_small(solid: NDArray[np.bool_], pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Without specks, and without holes through which no background is seen: pinholes, and prints."""
    pieces, count = ndimage.label(solid)
    if count == 0:
        return solid
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = (sizes >= _SPECK * sizes.max())[pieces]
    gaps, count = ndimage.label(~kept)
    border = np.unique(np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]]))
    outside = np.isin(gaps, border[border > 0])
    filled = kept.copy()
    for number, place in enumerate(ndimage.find_objects(gaps), start=1):
        here = gaps[place] == number
        if number in border:
            continue
        if here.sum() <= _HOLE * kept.sum() or not _shows(pixels[place][here], pixels[outside]):
            filled[place] |= here
    return filled


def _shows(hole: NDArray[np.uint8], background: NDArray[np.uint8]) -> bool:
    """Whether the background [n, 3] is seen through a hole [m, 3]: something of its colour is there, too."""
    if len(background) == 0:
        return False
    middle = np.median(hole, axis=0)
    some = background[:: max(1, len(background) // _LOOKED_AT)].astype(np.float32)
    return bool((np.abs(some - middle).max(axis=1) <= _LIKE).mean() >= _SEEN)


def _connected(alpha: Matte, solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What hangs together with the product; the guided filter sometimes finds crumbs beside it."""
    pieces, count = ndimage.label(alpha > 0)
    reached = np.zeros(count + 1, bool)
    reached[np.unique(pieces[solid & (alpha > 0)])] = True
    reached[0] = False
    return reached[pieces]
