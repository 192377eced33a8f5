"""Backdrops and their light. All is smooth, as with a wide aperture.

To add a setting: a function `(rng, side) -> (backdrop, Light)` in `_PAINTERS`, its word in `scene.SETTINGS`.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Light:
    """How a setting lights the garment."""

    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)  # multiplies what stands in it
    shadow: float = 0.30  # darkness of the cast shadow
    haze: float = 0.0  # how much of the haze colour lies over everything
    haze_colour: tuple[float, float, float] = (206.0, 211.0, 214.0)


def _vertical(side: int, *stops: tuple[float, tuple[float, float, float]]) -> Floats:
    """Rows blended between colours at given heights, (side, side, 3)."""
    y = (np.arange(side) + 0.5) / side
    at = [s[0] for s in stops]
    rows = np.stack([np.interp(y, at, [s[1][c] for s in stops]) for c in range(3)], axis=1)
    return np.repeat(rows[:, None, :], side, axis=1).astype(np.float32)


def _grid(side: int) -> tuple[Floats, Floats]:
    axis = ((np.arange(side) + 0.5) / side).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return x.astype(np.float32, copy=False), y.astype(np.float32, copy=False)


def _glow(image: Floats, x0: float, y0: float, radius: float, colour: tuple[float, float, float]) -> None:
    x, y = _grid(image.shape[0])
    image += np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / radius**2)[..., None] * np.array(colour, np.float32)


def _box(
    image: Floats, left: float, top: float, right: float, bottom: float, colour: tuple[float, float, float]
) -> None:
    s = image.shape[0]
    image[max(0, int(top * s)) : max(0, int(bottom * s)), max(0, int(left * s)) : max(0, int(right * s))] = (
        colour
    )


def _soften(image: Floats, sigma: float) -> Floats:
    return cv2.GaussianBlur(image, (0, 0), sigma * image.shape[0]).astype(np.float32, copy=False)


def _studio(rng: random.Random, side: int) -> tuple[Floats, Light]:
    v = rng.uniform(168, 200)
    image = _vertical(
        side,
        (0, (v, v, v + 2)),
        (0.72, (v - 8, v - 8, v - 6)),
        (0.86, (v - 34, v - 34, v - 32)),
        (1, (v - 22,) * 3),
    )
    _glow(image, rng.uniform(0.35, 0.65), 0.40, 0.45, (26, 26, 26))
    return image, Light(shadow=0.30)


def _white(rng: random.Random, side: int) -> tuple[Floats, Light]:
    v = rng.uniform(248, 253)
    return _vertical(side, (0, (v, v, v)), (1, (v - 5, v - 5, v - 5))), Light(shadow=0.17)


def _wall(rng: random.Random, side: int) -> tuple[Floats, Light]:
    image = _vertical(side, (0, (226, 206, 174)), (1, (206, 183, 148)))
    x, y = _grid(side)
    from_left = rng.random() < 0.5
    image *= (1.06 - 0.22 * (x if from_left else 1 - x))[..., None]
    edge = 1 / (1 + np.exp(-((x if from_left else 1 - x) + 0.5 * y - 0.75) * 14))
    image *= (1 - 0.09 * edge)[..., None]
    return image, Light(tint=(1.02, 1.0, 0.96), shadow=0.32)


def _street(rng: random.Random, side: int) -> tuple[Floats, Light]:
    image = _vertical(side, (0, (198, 210, 222)), (0.6, (222, 224, 224)), (1, (200, 200, 200)))
    horizon = rng.uniform(0.66, 0.72)
    colours = [(134, 118, 108), (160, 148, 134), (104, 112, 126), (150, 112, 92), (120, 122, 122)]
    for right in (False, True):
        x = 0.0
        while x < 0.44:
            width = rng.uniform(0.12, 0.18)
            colour = rng.choice(colours)
            top = x * 0.8 + rng.uniform(0.0, 0.10)
            left, end = (1 - x - width, 1 - x) if right else (x, x + width)
            _box(image, left, top, end, horizon, colour)
            dark = tuple(c * 0.62 for c in colour)
            y = top + 0.05
            while y < horizon - 0.06:
                for k in (0.14, 0.58):
                    _box(image, left + k * width, y, left + (k + 0.28) * width, y + 0.045, dark)  # type: ignore[arg-type]
                y += 0.09
            x += width
    _box(image, 0, horizon, 1, 1, (118, 118, 122))
    _box(image, 0, horizon, 1, horizon + 0.04, (156, 154, 150))
    image = _soften(image, 0.017)
    return image, Light(tint=(0.98, 1.0, 1.02), shadow=0.24)


def _forest(rng: random.Random, side: int) -> tuple[Floats, Light]:
    image = _vertical(
        side, (0, (150, 178, 118)), (0.6, (96, 132, 72)), (0.78, (74, 96, 48)), (1, (92, 84, 52))
    )
    for _ in range(22):
        shade = rng.uniform(-34, 40)
        _glow(
            image,
            rng.random(),
            rng.uniform(0, 0.7),
            rng.uniform(0.05, 0.12),
            (shade * 0.8, shade, shade * 0.45),
        )
    for _ in range(rng.randint(5, 7)):
        x, width = rng.random(), rng.uniform(0.025, 0.055)
        k = rng.uniform(0.8, 1.2)
        _box(image, x, 0, x + width, rng.uniform(0.74, 0.86), (66 * k, 52 * k, 38 * k))
    return _soften(image, 0.018), Light(tint=(0.97, 1.01, 0.94), shadow=0.22)


def _golden_hour(rng: random.Random, side: int) -> tuple[Floats, Light]:
    horizon = rng.uniform(0.66, 0.72)
    image = _vertical(
        side,
        (0, (236, 158, 92)),
        (horizon - 0.1, (255, 206, 128)),
        (horizon, (240, 168, 92)),
        (horizon + 0.02, (142, 88, 52)),
        (1, (104, 64, 42)),
    )
    _glow(
        image,
        rng.choice((rng.uniform(0.06, 0.22), rng.uniform(0.78, 0.94))),
        horizon - rng.uniform(0.2, 0.4),
        0.22,
        (60, 62, 64),
    )
    return _soften(image, 0.014), Light(tint=(1.06, 0.99, 0.91), shadow=0.22)


def _fog(rng: random.Random, side: int) -> tuple[Floats, Light]:
    image = _vertical(side, (0, (216, 220, 223)), (0.7, (200, 205, 208)), (1, (184, 189, 192)))
    for _ in range(5):
        x, width, k = rng.random(), rng.uniform(0.03, 0.08), rng.uniform(8, 22)
        _box(image, x, rng.uniform(0.05, 0.4), x + width, 0.8, (204 - k, 209 - k, 212 - k))
    return _soften(image, 0.030), Light(tint=(0.98, 1.0, 1.01), shadow=0.13, haze=0.15)


def _wood(rng: random.Random, side: int) -> tuple[Floats, Light]:
    k = rng.uniform(0.9, 1.08)
    image = np.empty((side, side, 3), np.float32)
    boards = rng.randint(4, 5)
    offset = rng.uniform(-0.5, 0)
    x, y = _grid(side)
    for i in range(boards + 1):
        left, right = (i + offset) / boards, (i + 1 + offset) / boards
        tone = rng.uniform(0.92, 1.06) * k
        _box(image, left, 0, right, 1, (184 * tone, 134 * tone, 88 * tone))
        phase, bow = rng.uniform(0, 6.3), rng.uniform(6, 11)
        span = slice(max(0, int(left * side)), max(0, int(right * side)))
        grain = np.sin(
            phase + (x[:, span] - left) * boards * bow + 0.8 * np.sin(y[:, span] * rng.uniform(3, 6) + phase)
        )
        image[:, span] += grain[..., None] * np.array((6, 5, 4), np.float32)
    for i in range(1, boards + 1):
        seam = (i + offset) / boards
        _box(image, seam - 0.004, 0, seam + 0.004, 1, (96 * k, 64 * k, 40 * k))
    image *= (1.05 - 0.12 * y)[..., None]
    return _soften(image, 0.003), Light(tint=(1.01, 1.0, 0.98), shadow=0.42)


def _beach(rng: random.Random, side: int) -> tuple[Floats, Light]:
    sea, sand = rng.uniform(0.40, 0.46), rng.uniform(0.60, 0.66)
    image = _vertical(
        side,
        (0, (142, 196, 238)),
        (sea - 0.01, (206, 228, 242)),
        (sea, (52, 140, 178)),
        (sand - 0.04, (104, 188, 202)),
        (sand - 0.015, (240, 244, 240)),
        (sand + 0.02, (222, 196, 150)),
        (1, (236, 212, 168)),
    )
    return _soften(image, 0.008), Light(tint=(1.02, 1.0, 0.98), shadow=0.24)


def _night(rng: random.Random, side: int) -> tuple[Floats, Light]:
    image = _vertical(side, (0, (14, 18, 38)), (0.7, (34, 36, 62)), (1, (22, 22, 32)))
    for _ in range(6):
        x, k = rng.random(), rng.uniform(0.7, 1.3)
        _box(image, x, rng.uniform(0.1, 0.4), x + rng.uniform(0.1, 0.2), 0.75, (22 * k, 24 * k, 42 * k))
    image = _soften(image, 0.012)
    _glow(image, 0.5, 0.45, 0.4, (26, 28, 40))
    lights = [(255, 196, 92), (255, 150, 60), (110, 190, 255), (255, 96, 110), (255, 232, 180)]
    for _ in range(18):
        cv2.circle(
            image,
            (int(rng.random() * side), int(rng.uniform(0.08, 0.78) * side)),
            int(rng.uniform(0.016, 0.042) * side),
            [c * rng.uniform(0.55, 0.9) for c in rng.choice(lights)],
            -1,
            cv2.LINE_AA,
        )
    return _soften(image, 0.007), Light(tint=(0.97, 0.97, 1.03), shadow=0.15)


_PAINTERS: dict[str, Callable[[random.Random, int], tuple[Floats, Light]]] = {
    "studio": _studio,
    "white": _white,
    "wall": _wall,
    "street": _street,
    "forest": _forest,
    "golden hour": _golden_hour,
    "fog": _fog,
    "wood": _wood,
    "beach": _beach,
    "night": _night,
}


def backdrop(setting: str, rng: random.Random, side: int) -> tuple[Floats, Light]:
    """The picture behind the garment, (side, side, 3) 0..255, and the light that falls on the garment."""
    small = max(96, side // 2) if setting != "wood" else side
    image, light = _PAINTERS[setting](rng, small)
    if small != side:
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)
    return np.clip(image, 0, 255), light
