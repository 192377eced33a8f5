"""Paths in the unit square: x to the right, y down, both 0..1 across the picture."""

import math
from collections.abc import Sequence

import skia

Point = tuple[float, float]
# A third member marks a control point of a quadratic curve between its two neighbours.
Knot = tuple[float, float] | tuple[float, float, str]
CURVE = "curve"


def bend(x: float, y: float) -> Knot:
    """A control point: the outline bends towards it without touching it."""
    return (x, y, CURVE)


def outline(knots: Sequence[Knot], *, closed: bool = True) -> skia.Path:
    """A path through corners; `bend` knots between two corners are control points of quadratic curves."""
    path = skia.Path()
    path.moveTo(knots[0][0], knots[0][1])
    i, n = 1, len(knots)
    while i < n:
        knot = knots[i]
        if len(knot) == 3:
            end = knots[(i + 1) % n]
            path.quadTo(knot[0], knot[1], end[0], end[1])
            i += 2
        else:
            path.lineTo(knot[0], knot[1])
            i += 1
    if closed:
        path.close()
    return path


def reflected(knots: Sequence[Knot]) -> list[Knot]:
    """The knots on the other side of x = 0.5, in the same order."""
    return [bend(1 - knot[0], knot[1]) if len(knot) == 3 else (1 - knot[0], knot[1]) for knot in knots]


def mirrored(knots: Sequence[Knot]) -> list[Knot]:
    """The knots on the other side of x = 0.5, in reverse order: both halves join to one outline."""
    return reflected(knots)[::-1]


def symmetric(left_half: Sequence[Knot]) -> skia.Path:
    """A closed outline from its left half, given from top to bottom."""
    return outline([*left_half, *mirrored(left_half)])


def flipped(knots: Sequence[Knot], side: int) -> list[Knot]:
    """The knots as they are (side -1, left) or mirrored to the right (side +1)."""
    return list(knots) if side < 0 else mirrored(knots)


def between(a: Point, b: Point, t: float) -> Point:
    """The point a fraction t of the way from a to b."""
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t)


def ellipse(x: float, y: float, rx: float, ry: float) -> skia.Path:
    path = skia.Path()
    path.addOval(skia.Rect(x - rx, y - ry, x + rx, y + ry))
    return path


def rectangle(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> skia.Path:
    path = skia.Path()
    path.addRoundRect(skia.Rect(left, top, right, bottom), radius, radius)
    return path


def lens(a: Point, b: Point, width: float, bow: float = 0.0) -> skia.Path:
    """A sliver from a to b, `width` thick in the middle, bowed sideways by `bow`."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy) or 1e-6
    nx, ny = -dy / length, dx / length
    mx, my = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
    path = skia.Path()
    path.moveTo(*a)
    path.quadTo(mx + nx * (bow + width), my + ny * (bow + width), *b)
    path.quadTo(mx + nx * (bow - width), my + ny * (bow - width), *a)
    path.close()
    return path
