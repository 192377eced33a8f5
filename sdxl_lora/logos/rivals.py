"""What else a picture could show instead of a logo: the same drawing with its corners rounded and its gaps filled, as
models draw it, or the drawing with something on it that it does not have.

How alike the first is to the true drawing at the size at which the logo is seen says how much an alteration can be seen
there at all, and so how alike a true one has to be.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sdxl_lora.logos import inks
from sdxl_lora.logos.aligning import Aligned, Drawing

_ROUNDED: Final = (
    0.06  # of the logo's shorter side: sigma of the blur, before every pixel is of one part again
)
_FINE: Final = 3  # how much larger that is done
_BARE: Final = 0.03  # cover up to which a pixel is cloth
_LEVEL: Final = 90  # percentile of the unevenness of the cloth beside the logo
_OFF: Final = (5.0, 1.6)  # CIE76 from which cloth is covered by something: at least, and of that percentile

_Plane = NDArray[np.float32]


def molten(drawing: Drawing) -> _Plane:
    """The parts of the drawing [height, width, parts] with rounded corners and filled gaps."""
    height, width = drawing.cover.shape
    side = min(height, width) - 2 * drawing.edge
    large = cv2.resize(drawing.parts, (width * _FINE, height * _FINE), interpolation=cv2.INTER_LINEAR)
    soft = inks.blurred(large.reshape(height * _FINE, width * _FINE, -1), _ROUNDED * side * _FINE)
    winner = np.concatenate([soft, 1 - soft.sum(axis=-1, keepdims=True)], axis=-1).argmax(axis=-1)
    planes = np.stack([winner == part for part in range(soft.shape[-1])], axis=-1).astype(np.float32)
    small = cv2.resize(planes, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(drawing.parts.shape)


def added(drawing: Drawing, there: Aligned) -> float:
    """Share of the logo's rectangle that the largest thing takes which stands on the cloth between its parts."""
    cover = inks.blurred(drawing.cover, max(0.6, there.inked.blur))
    inside = np.zeros(cover.shape, np.bool_)
    inside[drawing.edge : -drawing.edge, drawing.edge : -drawing.edge] = True
    bare = cover < _BARE
    off = np.linalg.norm(_lab(there.seen) - _lab(there.ground), axis=-1)
    beside = off[bare & ~inside]
    level = float(np.percentile(beside, _LEVEL)) if beside.size else 0.0
    found = (bare & inside & (off > max(_OFF[0], _OFF[1] * level))).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    count, _, facts, _ = cv2.connectedComponentsWithStats(found)
    return float(facts[1:count, cv2.CC_STAT_AREA].max(initial=0) / inside.sum())


def _lab(pixels: _Plane) -> _Plane:
    return np.asarray(cv2.cvtColor(pixels.clip(0, 1), cv2.COLOR_RGB2LAB), np.float32)
