"""In which colours a picture shows the parts of a drawing, and how soft it shows them.

A pixel of a logo on cloth is a mixture: with a_k the share of part k in it, c_k that part's colour on the picture,

    seen = sum_k a_k c_k + (1 - sum_k a_k) ground

The shares are those of the drawing after a Gaussian blur, as pictures that were made smaller or saved as JPEG are
softer than a drawing. The colours are those of the least absolute error (reweighted least squares, Holland & Welsch
1977), so that a part that is missing pulls at none of them, and the blur is the one that leaves the least error. So
strokes of two or three pixels, none of which is wholly covered, have the colour of their ink.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_BLURS: Final = (0.0, 0.6, 0.9, 1.3)  # px of the drawing: sigma
_ROUNDS: Final = 3
_LEAST_ERROR: Final = 0.04  # 0..1: errors below weigh alike
_HELD: Final = 0.5  # px of a part that the first guess weighs as much as
_TOUCHED: Final = 0.02  # share of ink from which a pixel says something

_Plane = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Inked:
    """How a picture shows the parts of a drawing."""

    colours: _Plane  # [parts, 3], RGB 0..1
    blur: float  # px of the drawing: sigma


def shares(labels: NDArray[np.int32], cover: _Plane) -> _Plane:
    """How much of each pixel is of each part [height, width, parts]; a soft rim is of the parts beside it."""
    parts = [np.where(labels == label, cover, 0) for label in range(int(labels.max()) + 1)]
    rim = (labels < 0) & (cover > 0)
    beside = np.stack(
        [cv2.dilate((labels == n).astype(np.uint8), np.ones((3, 3))) for n in range(len(parts))]
    )
    beside = beside / np.maximum(beside.sum(axis=0), 1)
    return np.stack(
        [part + np.where(rim, cover * near, 0) for part, near in zip(parts, beside, strict=True)], axis=-1
    ).astype(np.float32)


def found(parts: _Plane, seen: _Plane, ground: _Plane, guess: _Plane) -> Inked:
    """The parts [height, width, parts] as they are `seen` [height, width, 3] on the cloth `ground`.

    `guess`: colours [parts, 3] that are right where nothing else is known.
    """
    fits = [(*_fit(blurred(parts, blur), seen, ground, guess), blur) for blur in _BLURS]
    colours, _, blur = min(fits, key=lambda fit: fit[1])
    return Inked(colours=colours, blur=blur)


def mixed(parts: _Plane, inked: Inked, ground: _Plane) -> _Plane:
    """What is to be seen [height, width, 3] of parts in their colours on the cloth, as soft as it is."""
    here = blurred(parts, inked.blur)
    return np.asarray(here @ inked.colours + ground * (1 - here.sum(axis=-1, keepdims=True)), np.float32)


def blurred(planes: _Plane, sigma: float) -> _Plane:
    """[height, width] or [height, width, channels] after a Gaussian blur; as it is for 0."""
    if sigma == 0:
        return planes
    soft = cv2.GaussianBlur(planes, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.float32).reshape(planes.shape)


def _fit(parts: _Plane, seen: _Plane, ground: _Plane, guess: _Plane) -> tuple[_Plane, float]:
    """(colours [parts, 3], mean error of the pixels that the drawing touches)."""
    covered = parts.sum(axis=-1)
    touched = covered > _TOUCHED
    if not touched.any():
        return guess, np.inf
    mixture = parts[touched]
    rest = seen[touched] - ground[touched] * (1 - covered[touched])[:, None]
    weight = np.ones(len(mixture), np.float32)
    held = _HELD * np.eye(mixture.shape[1], dtype=np.float32)
    colours, error = guess, np.zeros(len(mixture), np.float32)
    for _ in range(_ROUNDS):
        weighed = mixture * weight[:, None]
        colours = np.linalg.solve(weighed.T @ mixture + held, weighed.T @ rest + held @ guess).astype(
            np.float32
        )
        error = np.linalg.norm(rest - mixture @ colours, axis=1)
        weight = _LEAST_ERROR / np.maximum(error, _LEAST_ERROR)
    return colours, float(error.mean())
