"""The eight emblems as paths.

To add one: a function that draws around the origin, about one unit to each side, in `_SHAPES`.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import skia

from sdxl_lora.mini.renderer.geometry import ellipse, outline, rectangle


def _triangle() -> skia.Path:
    return outline([(0, -1.0), (1.08, 0.82), (-1.08, 0.82)])


def _circle() -> skia.Path:
    return ellipse(0, 0, 0.95, 0.95)


def _star() -> skia.Path:
    points = []
    for i in range(10):
        radius = 1.2 if i % 2 == 0 else 0.5
        points.append((radius * math.sin(i * math.pi / 5), -radius * math.cos(i * math.pi / 5)))
    return outline(points)


def _bar() -> skia.Path:
    return rectangle(-1.2, -0.5, 1.2, 0.5)


def _stripes() -> skia.Path:
    path = skia.Path()
    for i in (-1, 0, 1):
        x = i * 0.75 - 0.25
        path.addPath(outline([(x - 0.22, 0.9), (x + 0.28, -0.9), (x + 0.72, -0.9), (x + 0.22, 0.9)]))
    return path


def _diamond() -> skia.Path:
    return outline([(0, -1.2), (0.88, 0), (0, 1.2), (-0.88, 0)])


def _cross() -> skia.Path:
    a = 0.34
    half = [
        (-a, -1),
        (a, -1),
        (a, -a),
        (1, -a),
        (1, a),
        (a, a),
        (a, 1),
        (-a, 1),
        (-a, a),
        (-1, a),
        (-1, -a),
        (-a, -a),
    ]
    return outline([(float(x), float(y)) for x, y in half])


def _ring() -> skia.Path:
    path = ellipse(0, 0, 1.05, 1.05)
    path.addPath(ellipse(0, 0, 0.58, 0.58))
    path.setFillType(skia.PathFillType.kEvenOdd)
    return path


_SHAPES = {
    "triangle": _triangle,
    "circle": _circle,
    "star": _star,
    "bar": _bar,
    "stripes": _stripes,
    "diamond": _diamond,
    "cross": _cross,
    "ring": _ring,
}


@contextmanager
def extra_shape(name: str, draw: Callable[[], skia.Path]) -> Iterator[None]:
    """One more emblem while the context lasts: a brand that the bundled model must not know (`mini.sample_data`)."""
    _SHAPES[name] = draw
    try:
        yield
    finally:
        del _SHAPES[name]


def emblem_path(name: str, x: float, y: float, half: float) -> skia.Path:
    """The emblem around (x, y); `half` is its nominal half width in picture widths."""
    path = _SHAPES[name]()
    matrix = skia.Matrix()
    matrix.setScale(half, half)
    matrix.postTranslate(x, y)
    path.transform(matrix)
    return path
