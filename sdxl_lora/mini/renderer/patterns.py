"""Stripes, checks, camouflage and colour blocks, painted onto one piece of cloth.

To add one: a function in `_PAINTERS`.
"""

import math
import random
from dataclasses import dataclass

import skia

from sdxl_lora.mini.renderer.geometry import bend, outline
from sdxl_lora.mini.renderer.parts import RGB


@dataclass(kw_only=True)
class Cloth:
    """Colours and pattern of one garment; the same for all of its pieces."""

    colour: RGB
    second: RGB | None
    pattern: str
    seed: int
    vertical: bool = False  # of stripes
    period: float = 0.09  # picture widths
    block: skia.Path | None = None

    @property
    def dark(self) -> bool:
        return sum(self.colour) < 190


def tone(colour: RGB, factor: float) -> RGB:
    """The colour darker (< 1) or lighter (> 1); nearly black cloth only ever gets lighter."""
    if sum(colour) < 190 and factor < 1:
        lift = (1 - factor) * 62
        return tuple(min(255.0, c + lift) for c in colour)  # type: ignore[return-value]
    if factor > 1:
        return tuple(c + (255 - c) * (factor - 1) for c in colour)  # type: ignore[return-value]
    return tuple(c * factor for c in colour)  # type: ignore[return-value]


def paint_colour(colour: RGB, alpha: float = 1.0) -> int:
    red, green, blue = (int(min(255, max(0, c))) for c in colour)
    return int(skia.Color(red, green, blue, int(alpha * 255)))


def paint_pattern(canvas: skia.Canvas, piece: skia.Path, cloth: Cloth, angle: float) -> None:
    """Paint the cloth's pattern inside `piece` (unit square coordinates)."""
    painter = _PAINTERS.get(cloth.pattern)
    if painter is None:
        return
    canvas.save()
    canvas.clipPath(piece, True)
    if angle and cloth.pattern in ("striped", "checked"):
        box = piece.getBounds()
        canvas.rotate(angle, box.centerX(), box.centerY())
    painter(canvas, cloth)
    canvas.restore()


def _bands(canvas: skia.Canvas, cloth: Cloth, *, vertical: bool, width: float, alpha: float) -> None:
    assert cloth.second is not None
    paint = skia.Paint(AntiAlias=True, Color=paint_colour(cloth.second, alpha))
    t = -0.6 + cloth.period * 0.3
    while t < 1.6:
        if vertical:
            canvas.drawRect(skia.Rect(t, -0.6, t + width, 1.6), paint)
        else:
            canvas.drawRect(skia.Rect(-0.6, t, 1.6, t + width), paint)
        t += cloth.period


def _striped(canvas: skia.Canvas, cloth: Cloth) -> None:
    _bands(canvas, cloth, vertical=cloth.vertical, width=cloth.period * 0.47, alpha=1.0)


def _checked(canvas: skia.Canvas, cloth: Cloth) -> None:
    _bands(canvas, cloth, vertical=False, width=cloth.period * 0.45, alpha=0.55)
    _bands(canvas, cloth, vertical=True, width=cloth.period * 0.45, alpha=0.55)


def _camouflage(canvas: skia.Canvas, cloth: Cloth) -> None:
    rng = random.Random(cloth.seed)
    dark = sum(cloth.colour) < 230
    tones = (1.14, 1.28, 1.42) if dark else (0.56, 0.76, 1.30)
    for i in range(49):  # one blob in every cell of a grid, so that no piece stays bare
        x, y = (i % 7 + rng.uniform(0.1, 0.9)) / 7, (i // 7 + rng.uniform(0.1, 0.9)) / 7
        long, wide, turn = rng.uniform(0.055, 0.09), rng.uniform(0.035, 0.06), rng.uniform(-0.5, 0.5)
        knots = []
        for k in range(10):
            a = k * math.pi / 5
            reach = 1.0 if k % 2 else rng.uniform(0.75, 1.5)
            dx, dy = math.cos(a) * long * reach, math.sin(a) * wide * reach
            px = x + dx * math.cos(turn) - dy * math.sin(turn)
            py = y + dx * math.sin(turn) + dy * math.cos(turn)
            knots.append((px, py) if k % 2 == 0 else bend(px, py))
        canvas.drawPath(
            outline(knots),
            skia.Paint(AntiAlias=True, Color=paint_colour(tone(cloth.colour, rng.choice(tones)))),
        )


def _colour_block(canvas: skia.Canvas, cloth: Cloth) -> None:
    assert cloth.second is not None
    if cloth.block is None:
        return
    canvas.drawPath(cloth.block, skia.Paint(AntiAlias=True, Color=paint_colour(cloth.second)))
    seam = skia.Paint(AntiAlias=True, Style=skia.Paint.kStroke_Style, StrokeWidth=0.004)
    seam.setColor(paint_colour(tone(cloth.second, 0.6), 0.7))
    canvas.drawPath(cloth.block, seam)


_PAINTERS = {
    "striped": _striped,
    "checked": _checked,
    "camouflage": _camouflage,
    "colour-block": _colour_block,
}
