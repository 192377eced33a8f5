"""Embroidery, drawn: the ink of a logo becomes threads that stand above the cloth. An approximation, and labelled so.

Every colour is filled with parallel threads (a tatami fill), each colour in its own direction, as a digitised pattern
has it. With t the place across a thread, 0..1, s the place along it, and d the distance to the edge of the logo:

    height   h = (1 - (1 - d/r)^2)^(1/2) + a * (1 - (2t - 1)^2)^(1/2)     a bolster of radius r, and threads on it
    normal   n = (-dh/dx, -dh/dy, 1), normalised
    light    L = n . l / l_z, light l from above and the left; stitches end along s, and shine in their middle
    shadow   of the bolster on the cloth, to the lower right

(Lambert's law; the shape of an ellipse for threads, as in knit and embroidery shaders.) The mean of L over the logo is
1, so that its mean colour stays the brand's; its edge is as uneven as the ends of threads are.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_Plane = NDArray[np.float32]

_PITCH: Final = 0.0125  # of the logo's longer side: from thread to thread
_LEAST_PITCH: Final = 2.2  # px; finer threads cannot be seen
_STITCH: Final = 9.0  # pitches: length of a stitch
_BOLSTER: Final = 2.2  # pitches: radius of the rounded rim
_THREAD: Final = 0.42  # height of a thread against its pitch
_LIGHT: Final = np.array((-0.45, -0.6, 0.9), np.float32)
_SHINE: Final = 0.10
_RANGE: Final = (0.5, 1.55)
_RAGGED: Final = 0.22  # pitches: how far ends of threads stick out
_SHADOW: Final = 0.42  # of the light that the deepest shadow takes
_ANGLES: Final = (35.0, -40.0, 80.0, 5.0)  # degrees, of the threads of the first, second ... colour


def sewn(ink: _Plane, longest: float) -> tuple[_Plane, _Plane]:
    """(the ink as threads, what is left of the light on the cloth around them).

    Args:
        ink: [height, width, 4], linear light, premultiplied, as it would be printed.
        longest: px of the logo's longer side.
    """
    pitch = max(_LEAST_PITCH, _PITCH * longest)
    alpha = ink[..., 3]
    colour = np.asarray(ink[..., :3] / np.maximum(ink[..., 3:], 1e-4), np.float32)
    noise = np.random.default_rng(0)  # the same threads every time
    height = np.zeros_like(alpha)
    gloss = np.zeros_like(alpha)
    ragged = np.zeros_like(alpha)
    for part, angle in zip(_parts(colour, alpha), _ANGLES, strict=False):
        thread, shine, end = _threads(alpha.shape, pitch, angle, noise)
        height, gloss, ragged = (
            np.where(part, new, old) for new, old in ((thread, height), (shine, gloss), (end, ragged))
        )
    cover = _uneven(alpha, ragged * pitch)
    solid = (cover > 0.5).astype(np.uint8)
    depth = cv2.distanceTransform(np.pad(solid, 1), cv2.DIST_L2, 5)[1:-1, 1:-1] / (_BOLSTER * pitch)
    bolster = _BOLSTER * pitch * 0.5 * np.sqrt(1 - (1 - np.minimum(depth, 1)) ** 2)
    relief = cv2.GaussianBlur((bolster + _THREAD * pitch * height).astype(np.float32), (0, 0), 0.35 * pitch)
    light = _lambert(relief) * (1 + _SHINE * gloss)
    inside = solid > 0
    light = np.clip(light / max(float(light[inside].mean()) if inside.any() else 1.0, 1e-3), *_RANGE)
    threads = np.concatenate([colour * cover[..., None] * light[..., None], cover[..., None]], axis=-1)
    return threads.astype(np.float32), _shaded(cover, pitch)


def _parts(colour: _Plane, alpha: _Plane) -> list[NDArray[np.bool_]]:
    """The pixels of each of the logo's colours, the largest first; together they are all pixels."""
    values = np.round(colour * 6).astype(np.int32) @ (49, 7, 1)
    kinds, counts = np.unique(values[alpha > 0.5], return_counts=True)
    order = kinds[np.argsort(-counts, kind="stable")][: len(_ANGLES)]
    parts = [values == kind for kind in order[1:]]
    rest = ~np.any(parts, axis=0) if parts else np.ones(values.shape, bool)
    return [rest, *parts]


def _threads(
    shape: tuple[int, ...], pitch: float, angle: float, noise: np.random.Generator
) -> tuple[_Plane, _Plane, _Plane]:
    """(height 0..1, shine -1..1, how far ends stick out -1..1) of a field of threads."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    across, along = (x * -sin + y * cos) / pitch, (x * cos + y * sin) / (pitch * _STITCH)
    count = int(np.ptp(across)) + 2
    number = (across - across.min()).astype(np.int32)
    offset, length, reach = noise.random(count), noise.normal(1, 0.05, count), noise.uniform(-1, 1, count)
    t = across - across.min() - number
    s = (along / length[number] + offset[number]) % 1.0
    round_ = np.sqrt(np.maximum(1 - (2 * t - 1) ** 2, 0))
    end = np.minimum(s, 1 - s) * _STITCH  # pitches to the next hole
    held = 1 - 0.55 * np.exp(-((end / 0.5) ** 2))
    return (
        (round_ * held).astype(np.float32),
        (np.sin(np.pi * s) * 2 - 1).astype(np.float32),
        reach[number].astype(np.float32),
    )


def _uneven(alpha: _Plane, reach: _Plane) -> _Plane:
    """The cover, whose edge is moved by `reach` px."""
    inside = (alpha > 0.5).astype(np.uint8)
    if not inside.any():
        return alpha
    framed = np.pad(inside, 1)
    distance = (
        cv2.distanceTransform(framed, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - framed, cv2.DIST_L2, 5)
    )[1:-1, 1:-1]
    fine = np.where(np.abs(distance) < 2, (alpha - 0.5) * 2, distance)  # fractions of a pixel at the edge
    return np.clip(fine + _RAGGED * reach + 0.5, 0, 1).astype(np.float32)


def _lambert(relief: _Plane) -> _Plane:
    across, down = cv2.Sobel(relief, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(relief, cv2.CV_32F, 0, 1) / 8
    length = np.sqrt(across**2 + down**2 + 1)
    lit = (-across * _LIGHT[0] - down * _LIGHT[1] + _LIGHT[2]) / length / _LIGHT[2]
    return np.asarray(np.maximum(lit, 0), np.float32)


def _shaded(cover: _Plane, pitch: float) -> _Plane:
    """What is left of the light on the cloth, 0..1: less to the lower right of what stands out."""
    soft = cv2.GaussianBlur(cover, (0, 0), 0.8 * pitch)
    moved = np.array([[1, 0, 0.6 * pitch], [0, 1, 0.8 * pitch]], np.float64)
    thrown = cv2.warpAffine(soft, moved, (cover.shape[1], cover.shape[0]))
    return np.asarray(1 - _SHADOW * thrown, np.float32)
