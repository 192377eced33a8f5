"""Where a logo will be on a garment that is not drawn yet: on the outline that such a garment usually has in the frame.

A product picture shows one garment, upright, in the middle, with a little room around it. Which kind it is says the
position: a sleeve belongs to a top, a thigh to trousers, a front to a cap or bag. The true place is found on the
finished picture (`placing`) and may lie elsewhere.
"""

from typing import Final

import cv2
import numpy as np

from sdxl_lora.errors import LogoError
from sdxl_lora.logos import placing
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.logos.silhouette import Silhouette
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.request.logo_spec import FREE, LogoSpec

_FILLS: Final = 0.8  # of the frame's shorter side
_LONGEST: Final = 512  # px, of the outline that places are found on
_TOP: Final = (
    *((0.36, 0.02), (0.44, 0.05), (0.56, 0.05), (0.64, 0.02), (0.76, 0.08), (1.0, 0.42), (0.86, 0.52)),
    *((0.74, 0.38), (0.75, 0.98), (0.25, 0.98), (0.26, 0.38), (0.14, 0.52), (0.0, 0.42), (0.24, 0.08)),
)
_TROUSERS: Final = ((0.3, 0.0), (0.7, 0.0), (0.78, 1.0), (0.56, 1.0), (0.5, 0.35), (0.44, 1.0), (0.22, 1.0))
_THING: Final = ((0.1, 0.2), (0.9, 0.2), (0.95, 0.85), (0.05, 0.85))
_OUTLINES: Final = {
    "left-thigh": _TROUSERS,
    "right-thigh": _TROUSERS,
    "front": _THING,
    "side": _THING,
}  # of positions; all others are on a top
_known: LruCache[tuple[object, ...], Silhouette] = LruCache(16)


def corners(spec: LogoSpec, aspect: float, size: tuple[int, int]) -> Corners:
    """Corners of a logo of `aspect` (width / height) on a picture of `size` (width, height), px.

    Raises `LogoError`, `UnknownNameError`.
    """
    width, height = size
    if spec.at != FREE:
        scale = max(1.0, max(size) / _LONGEST)
        small = max(1, round(width / scale)), max(1, round(height / scale))
        on = placing.at(spec.at, _outline(spec.at, small), aspect, width=spec.width, angle=spec.angle)
        return on * (width / small[0], height / small[1])
    if spec.corners:
        return placing.between([(x * width, y * height) for x, y in spec.corners], (height, width))
    if spec.x is None or spec.y is None or spec.width is None:  # not of a spec that was checked
        raise LogoError("a logo that is placed freely needs X, Y and WIDTH")
    centre = (spec.x * width, spec.y * height)
    return placing.freely(centre, spec.width * width, aspect, (height, width), angle=spec.angle)


def _outline(position: str, size: tuple[int, int]) -> Silhouette:
    """The garment that has the position, in the middle of a frame."""
    shape = _OUTLINES.get(position, _TOP)
    found = _known.find((shape, size))
    if found is not None:
        return found
    side = _FILLS * min(size)
    points = np.array(shape) * side + (np.array(size) - side) / 2
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], 1)
    return _known.keep((shape, size), Silhouette.of(mask.astype(bool)))
