"""Four corners on a picture, and the perspective between them and a logo's own rectangle.

Corners are px of the picture, in the order top left, top right, bottom right, bottom left of the logo's visible part.
"""

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sdxl_lora.errors import LogoError

Corners = NDArray[np.float64]  # [4, 2], x and y
SMALLEST_SIDE: Final = 4.0  # px; a mark that is smaller shows nothing


def rectangle(centre: tuple[float, float], width: float, height: float, angle: float = 0.0) -> Corners:
    """Corners of a rectangle turned by `angle` degrees, clockwise as seen."""
    x, y = width / 2, height / 2
    plain = np.array([(-x, -y), (x, -y), (x, y), (-x, y)])
    turn = math.radians(angle)
    rotation = np.array([(math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))])
    return plain @ rotation + np.array(centre)


def corners_of(points: Sequence[Sequence[float]], name: str) -> Corners:
    """Corners as somebody gave them. Raises `LogoError` unless they are a convex quadrangle in their order."""
    corners = np.asarray(points, dtype=np.float64)
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        raise LogoError(f"{name} needs four corners, each X,Y")
    edges = np.roll(corners, -1, axis=0) - corners
    turns = edges[:, 0] * np.roll(edges, -1, axis=0)[:, 1] - edges[:, 1] * np.roll(edges, -1, axis=0)[:, 0]
    if not (turns > 0).all():  # clockwise as seen, as y points down
        raise LogoError(
            f"the corners of {name} go top left, top right, bottom right, bottom left, and do not cross"
        )
    if lengths(corners).min() < SMALLEST_SIDE:
        raise LogoError(f"{name} would be under {SMALLEST_SIDE:.0f} px small; make it larger")
    return corners


def lengths(corners: Corners) -> NDArray[np.float64]:
    """Of the four edges, px: top, right, bottom, left."""
    return np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)


def bounds(corners: Corners) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the upright box around the corners."""
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def perspective(source: Corners, target: Corners) -> NDArray[np.float64]:
    """The 3 x 3 homography that takes `source` to `target`."""
    found: NDArray[np.float64] = cv2.getPerspectiveTransform(
        source.astype(np.float32), target.astype(np.float32)
    )
    return found


def own_rectangle(width: float, height: float) -> Corners:
    """Corners of an upright picture of that size."""
    return np.array([(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)])


def box_corners(left: float, top: float, right: float, bottom: float) -> Corners:
    """Corners of an upright box."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def covered(corners: Corners, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels [height, width] of a picture inside the corners."""
    filled = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(filled, np.round(corners).astype(np.int32), 1)
    return filled.astype(bool)
