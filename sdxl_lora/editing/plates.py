"""A scene without the product that a model drew into it, to put another one in front.

Models that know products draw one wherever they are asked for a scene. It is cut out, and its place is filled from what
is around it, coarse to fine (push-pull; Gortler et al., "The Lumigraph", 1996), so that most of what is filled lies
behind the new product, and the rest is as soft as a background is.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora.editing.cutout import cut_out
from sdxl_lora.errors import ImageError

_GROWN = 1 / 24  # of the longer side: shadows and hangers around a product go with it
_TRACE = 8  # of a cut-out's alpha, from which something of the product is there
_MOST = 0.9  # of a picture: where a product fills more than this, there is no scene around it


def without_product(drawn: Image.Image) -> Image.Image:
    """The RGB picture with its product's place filled from around; itself where no product is in it."""
    try:
        alpha = np.asarray(cut_out(drawn).image.getchannel("A"))
    except ImageError:
        return drawn
    radius = max(2, round(_GROWN * max(drawn.size)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    hole = cv2.dilate((alpha >= _TRACE).astype(np.uint8), disc) > 0
    if hole.mean() > _MOST:
        return drawn
    return Image.fromarray(_filled(np.asarray(drawn.convert("RGB")), hole, radius))


def _filled(pixels: NDArray[np.uint8], hole: NDArray[np.bool_], soft: int) -> NDArray[np.uint8]:
    """[height, width, 3] with what is in the hole from around it; the seam is blended over `soft` px outside."""
    known = np.where(hole, 0, 1).astype(np.float32)
    filled = _push_pull(pixels.astype(np.float32) * known[..., None], known)
    share = cv2.blur(hole.astype(np.float32), (soft, soft))[..., None]
    share = np.maximum(share, hole[..., None])
    return (pixels * (1 - share) + filled * share).clip(0, 255).round().astype(np.uint8)


def _push_pull(weighted: NDArray[np.floating], weight: NDArray[np.floating]) -> NDArray[np.floating]:
    """Colours [height, width, 3] where the weight [height, width] is 1, and between them from ever coarser means."""
    height, width = weight.shape
    if weight.min() > 0 or min(height, width) <= 2:
        mean = weighted.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
        there = weight[..., None] > 1e-6
        return np.where(there, weighted / np.maximum(weight, 1e-6)[..., None], mean)
    half = ((width + 1) // 2, (height + 1) // 2)
    coarse = _push_pull(
        cv2.resize(weighted, half, interpolation=cv2.INTER_AREA),
        cv2.resize(weight, half, interpolation=cv2.INTER_AREA),
    )
    below = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.minimum(weight, 1)[..., None]
    return weighted + below * (1 - share)
