"""From a scene to pixels: pieces on a colour layer and a shade layer, then both set into a backdrop."""

import random
from collections.abc import Sequence

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

from sdxl_lora.mini.renderer.emblems import emblem_path
from sdxl_lora.mini.renderer.garments import TABLE
from sdxl_lora.mini.renderer.parts import RGB, Draft, Garment, Line, Piece, Stand
from sdxl_lora.mini.renderer.patterns import Cloth, paint_colour, paint_pattern, tone
from sdxl_lora.mini.renderer.presentation import stand_for
from sdxl_lora.mini.renderer.settings import backdrop
from sdxl_lora.mini.renderer.shading import (
    REDUCTION,
    Floats,
    blurred,
    fold_field,
    lit,
    moved,
    piece_shade,
    raster,
    waves,
)
from sdxl_lora.mini.scene import COLOURS, Scene

_OVERSAMPLING = 1.5
_CLEAR_CHANGE = 20.0  # mean difference in sRGB steps that makes a cell a detail through and through
_SOFTNESS = {"puffer jacket": 0.017, "vest": 0.015, "skirt": 0.012, "dress": 0.012, "coat": 0.014}


class _Layers:
    """Colour and shade of everything painted so far, `side` pixels square."""

    def __init__(
        self, side: int, matrix: skia.Matrix, light: tuple[float, float], wave: Floats, softness: float
    ) -> None:
        self.side, self.small = side, side // REDUCTION
        self.matrix, self.light, self.wave, self.softness = matrix, light, wave, softness
        self.small_matrix = skia.Matrix.Concat(matrix, skia.Matrix())
        self.small_matrix.postScale(self.small / side, self.small / side)
        self.pixels = np.zeros((side, side, 4), np.uint8)
        self.surface = skia.Surface(self.pixels, colorType=skia.kRGBA_8888_ColorType)
        self.canvas = self.surface.getCanvas()
        self.canvas.concat(matrix)
        self.shade = np.ones((side, side), np.float32)

    def _enlarge(self, field: Floats) -> Floats:
        return cv2.resize(field, (self.side, self.side), interpolation=cv2.INTER_LINEAR).astype(
            np.float32, copy=False
        )

    def add(self, piece: Piece, cloth: Cloth) -> None:
        """Paint one piece over everything before it."""
        colour = piece.colour or tone(cloth.colour, piece.tone)
        fill = skia.Paint(AntiAlias=True, Color=paint_colour(colour))
        self.canvas.drawPath(piece.path, fill)
        if piece.patterned and piece.colour is None:
            paint_pattern(self.canvas, piece.path, cloth, piece.angle)
        self._details(piece, colour)
        small = raster(piece.path, self.small, self.small_matrix)
        if piece.shadow:
            soft = blurred(small, 0.016 * self.small)
            offset = moved(soft, -0.010 * self.light[0] * self.small, 0.010 * self.small)
            self.shade *= 1 - piece.shadow * self._enlarge(offset)
        folds = fold_field(piece.folds, self.small, self.small_matrix, self.softness) if piece.folds else None
        shade = piece_shade(
            small,
            folds,
            self.wave if piece.colour is None else self.wave * 0,
            roundness=piece.roundness,
            depth=piece.depth,
            light=self.light,
        )
        full = raster(piece.path, self.side, self.matrix)
        self.shade += full * (self._enlarge(shade) - self.shade)

    def _details(self, piece: Piece, colour: RGB) -> None:
        stroke = skia.Paint(AntiAlias=True, Style=skia.Paint.kStroke_Style, StrokeCap=skia.Paint.kRound_Cap)
        self.canvas.save()
        self.canvas.clipPath(piece.path, True)
        if piece.edge:
            stroke.setStrokeWidth(piece.edge * 2)
            stroke.setColor(paint_colour(tone(colour, 0.66), 0.5))
            self.canvas.drawPath(piece.path, stroke)
        unclipped = [line for line in piece.lines if not line.clipped]
        for line in [line for line in piece.lines if line.clipped] + unclipped:
            if unclipped and line is unclipped[0]:
                self.canvas.restore()
                self.canvas.save()
            stroke.setStrokeWidth(line.width)
            stroke.setColor(paint_colour(line.ink if isinstance(line.ink, tuple) else tone(colour, line.ink)))
            if line.dash:
                dashed = skia.Paint(stroke)
                dashed.setPathEffect(skia.DashPathEffect.Make([line.dash, line.dash * 0.6], 0))
                dashed.setStrokeCap(skia.Paint.kButt_Cap)
                self.canvas.drawPath(line.path, dashed)
            else:
                self.canvas.drawPath(line.path, stroke)
        self.canvas.restore()
        for mark in piece.marks:
            ink = mark.ink if isinstance(mark.ink, tuple) else tone(colour, mark.ink)
            self.canvas.drawPath(mark.path, skia.Paint(AntiAlias=True, Color=paint_colour(ink)))

    def print_emblem(self, path: skia.Path, colour: RGB, outline_colour: RGB | None) -> None:
        """Print an emblem on the cloth; on a pattern it gets a rim of plain cloth, to stay legible."""
        if outline_colour is not None:
            rim = skia.Paint(
                AntiAlias=True,
                Style=skia.Paint.kStrokeAndFill_Style,
                StrokeWidth=0.022,
                Color=paint_colour(outline_colour),
            )
            rim.setBlendMode(skia.BlendMode.kSrcATop)
            self.canvas.drawPath(path, rim)
        ink = skia.Paint(AntiAlias=True, Color=paint_colour(colour))
        ink.setBlendMode(skia.BlendMode.kSrcATop)  # a print ends where the cloth ends
        self.canvas.drawPath(path, ink)


def render(scene: Scene, size: int = 256, *, details: bool = True) -> NDArray[np.uint8]:
    """Draw a scene. Returns (size, size, 3) uint8 sRGB; the same scene always gives the same picture.

    Without `details` the garment is bare cloth: no collar, zip, buttons, pockets or seams.
    """
    layers, rng = _painted(scene, size, details=details)
    return _compose(scene, rng, layers, size)


def coverage(scene: Scene, size: int = 256) -> Floats:
    """How much of each pixel of `render(scene, size)` the garment, and what holds or wears it, covers, 0..1."""
    layers, _ = _painted(scene, size, details=True)
    return _cells(layers.pixels[..., 3].astype(np.float32) / np.float32(255), size)


def _painted(scene: Scene, size: int, *, details: bool) -> tuple[_Layers, random.Random]:
    """Everything but the backdrop, and the random numbers as they go on from there."""
    rng = random.Random(scene.seed)
    numbers = np.random.default_rng(scene.seed)
    side = round(size * _OVERSAMPLING / REDUCTION) * REDUCTION
    draft = Draft(scene=scene, rng=rng)
    garment = TABLE[scene.garment](draft)
    stand = stand_for(draft, garment)
    if not details:
        _strip(garment)
    light = (rng.choice((-0.75, 0.75)), 0.7)
    layers = _Layers(
        side,
        _framing(rng, side, stand.scale, stand.shift),
        light,
        waves(numbers, side // REDUCTION, 0.028),
        _SOFTNESS.get(scene.garment, 0.010),
    )
    cloth = _cloth(scene, rng, garment)
    for piece in garment.back + stand.behind:
        layers.add(piece, cloth)
    for piece in garment.front:
        layers.add(piece, cloth)
    if stand.neckline:
        dark = [garment.opening] if garment.opening is not None else []
        for piece in dark + stand.neckline:
            layers.add(piece, cloth)
    elif garment.opening is not None:
        layers.add(garment.opening, cloth)
    for piece in garment.over:
        layers.add(piece, cloth)
    _emblem(scene, rng, garment, layers, cloth)
    return layers, rng


def _strip(garment: Garment) -> None:
    garment.over.clear()
    for piece in garment.front:
        piece.lines.clear()
        piece.marks.clear()


def _framing(rng: random.Random, side: int, scale: float, shift: float) -> skia.Matrix:
    """Unit square to pixels, with the small jitter of a catalogue photographer."""
    matrix = skia.Matrix()
    factor = side * scale * rng.uniform(0.96, 1.04)
    matrix.setTranslate(-0.5, -0.5)
    matrix.postScale(factor, factor)
    matrix.postRotate(rng.uniform(-2.5, 2.5))
    matrix.postTranslate(
        side * (0.5 + rng.uniform(-0.02, 0.02)), side * (0.5 + shift + rng.uniform(-0.015, 0.015))
    )
    return matrix


def _jittered(rng: random.Random, colour: tuple[int, int, int], amount: float) -> RGB:
    shared = rng.uniform(-amount, amount)
    red, green, blue = (
        min(248.0, max(10.0, c + shared + rng.uniform(-amount, amount) * 0.4)) for c in colour
    )
    return red, green, blue


def _cloth(scene: Scene, rng: random.Random, garment: Garment) -> Cloth:
    return Cloth(
        colour=_jittered(rng, COLOURS[scene.colour], 7),
        second=None if scene.second_colour is None else _jittered(rng, COLOURS[scene.second_colour], 5),
        pattern=scene.pattern,
        seed=scene.seed,
        vertical=scene.garment in ("shirt", "trousers") or rng.random() < 0.08,
        period=rng.uniform(0.082, 0.10),
        block=garment.block,
    )


def _emblem(scene: Scene, rng: random.Random, garment: Garment, layers: _Layers, cloth: Cloth) -> None:
    if scene.emblem is None or scene.emblem_colour is None or scene.emblem_position is None:
        return
    path = _emblem_path(scene, rng, garment)
    rim = cloth.colour if scene.pattern in ("striped", "checked", "camouflage") else None
    layers.print_emblem(path, _jittered(rng, COLOURS[scene.emblem_colour], 4), rim)


def _emblem_path(scene: Scene, rng: random.Random, garment: Garment) -> skia.Path:
    x, y, half = garment.anchors[scene.emblem_position or ""]
    return emblem_path(scene.emblem or "", x, y, half * rng.uniform(0.95, 1.05))


def emblem_mask(scene: Scene, side: int) -> Floats:
    """How much of each cell of a `side` x `side` grid the emblem covers, 0..1; all 0 without one."""
    if scene.emblem is None:
        return np.zeros((side, side), np.float32)
    fine = 8 * side
    garment, _, matrix, rng = _laid_out(scene, fine)
    _cloth(scene, rng, garment)
    return _cells(raster(_emblem_path(scene, rng, garment), fine, matrix), side)


def cloth_mask(scene: Scene, side: int) -> Floats:
    """How much of each cell of a `side` x `side` grid the garment covers, 0..1, whatever is printed on it."""
    fine = 4 * side
    garment, _, matrix, _ = _laid_out(scene, fine)
    return _cells(_union(garment.back + garment.front, fine, matrix), side)


def stand_mask(scene: Scene, side: int) -> Floats:
    """How much of each cell of a `side` x `side` grid the hanger, the mannequin or the figure covers where it is
    seen, 0..1; all 0 where the garment lies flat."""
    if scene.presentation == "flat":
        return np.zeros((side, side), np.float32)
    fine = 4 * side
    garment, stand, matrix, _ = _laid_out(scene, fine)
    seen = _union(stand.behind, fine, matrix) * (1 - _union(garment.back + garment.front, fine, matrix))
    return _cells(np.maximum(seen, _union(stand.neckline, fine, matrix)), side)


def _laid_out(scene: Scene, side: int) -> tuple[Garment, Stand, skia.Matrix, random.Random]:
    """The pieces of a scene, the matrix that frames them, and the random numbers as `_painted` has them then."""
    rng = random.Random(scene.seed)
    draft = Draft(scene=scene, rng=rng)
    garment = TABLE[scene.garment](draft)
    stand = stand_for(draft, garment)
    rng.choice((-0.75, 0.75))  # the light
    return garment, stand, _framing(rng, side, stand.scale, stand.shift), rng


def _union(pieces: Sequence[Piece], side: int, matrix: skia.Matrix) -> Floats:
    """What any of these pieces covers, with the lines that reach beyond them, (side, side)."""
    covered = np.zeros((side, side), np.float32)
    for piece in pieces:
        for path in [piece.path, *(_stroked(line) for line in piece.lines if not line.clipped)]:
            covered = np.maximum(covered, raster(path, side, matrix))
    return covered


def _stroked(line: Line) -> skia.Path:
    pen = skia.Paint(Style=skia.Paint.kStroke_Style, StrokeWidth=line.width, StrokeCap=skia.Paint.kRound_Cap)
    filled = skia.Path()
    pen.getFillPath(line.path, filled)
    return filled


def _cells(full: Floats, side: int) -> Floats:
    return cv2.resize(full, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)


def detail_mask(scene: Scene, side: int) -> Floats:
    """How much collar, zip, buttons, pockets and seams change each cell of a `side` x `side` grid, 0..1."""
    fine = 4 * side
    with_details, without = (render(scene, fine, details=shown).astype(np.float32) for shown in (True, False))
    change = np.abs(with_details - without).mean(axis=2)
    return np.minimum(_cells(change, side) / _CLEAR_CHANGE, 1)


def _compose(scene: Scene, rng: random.Random, layers: _Layers, size: int) -> NDArray[np.uint8]:
    """Shade the colour layer, cast a shadow, set it into the backdrop and reduce to the wanted size."""
    image, light = backdrop(scene.setting, rng, layers.side)
    alpha = layers.pixels[..., 3].astype(np.float32) / 255
    small = cv2.resize(alpha, (layers.small, layers.small), interpolation=cv2.INTER_AREA).astype(
        np.float32, copy=False
    )
    spread = 0.016 if scene.setting == "wood" else 0.026
    shadow = moved(
        blurred(small, spread * layers.small), -0.026 * layers.light[0] * layers.small, 0.024 * layers.small
    )
    image *= (1 - light.shadow * cv2.resize(shadow, (layers.side, layers.side)))[..., None]
    # The colour layer is premultiplied: divide where there is something.
    colour = layers.pixels[..., :3].astype(np.float32) / np.maximum(alpha, 1 / 255)[..., None]
    cloth = lit(colour.astype(np.float32, copy=False), layers.shade) * np.array(light.tint, np.float32)
    image += (np.clip(cloth, 0, 255) - image) * alpha[..., None]
    if light.haze:
        image += (np.array(light.haze_colour, np.float32) - image) * light.haze
    result = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    return cv2.resize(result, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
