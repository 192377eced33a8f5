"""What a garment function hands to the renderer: pieces from back to front, and where things sit on them."""

import random
from dataclasses import dataclass, field

import skia

from sdxl_lora.mini.renderer.geometry import Point, bend, lens, symmetric
from sdxl_lora.mini.scene import Scene

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Fold:
    """A soft ridge (strength > 0, lighter) or valley (strength < 0, darker); strength is about -1..1."""

    path: skia.Path
    strength: float


@dataclass(frozen=True)
class Line:
    """A seam, stitch or edge, `width` in picture widths; `ink` a colour, or a tone of the cloth."""

    path: skia.Path
    width: float
    ink: float | RGB
    dash: float = 0.0
    clipped: bool = True


@dataclass(frozen=True)
class Mark:
    """A small filled shape on a piece: a button, an eyelet, a label."""

    path: skia.Path
    ink: float | RGB


@dataclass(kw_only=True)
class Piece:
    """One piece of cloth (or skin, wood, metal when it has its own `colour`)."""

    path: skia.Path
    tone: float = 1.0  # times the cloth's colour
    colour: RGB | None = None  # own colour instead of the cloth's
    patterned: bool = True
    angle: float = 0.0  # of the pattern, degrees
    folds: list[Fold] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    roundness: float = 0.045  # how far from its edge the piece curves away, picture widths
    depth: float = 0.26  # how much darker its edges are
    shadow: float = 0.22  # that it casts on what lies below
    edge: float = 0.0035  # width of its dark outline; 0: none


@dataclass(kw_only=True)
class Neck:
    """The opening a head comes out of."""

    y: float
    half_width: float
    drop: float  # how far down the front of the opening is
    shoulder: float = 0.2  # half the width of the shoulders


@dataclass(kw_only=True)
class Garment:
    """Pieces from back to front and the points other parts of the renderer need."""

    back: list[Piece] = field(default_factory=list)  # behind a wearer's neck
    front: list[Piece] = field(default_factory=list)
    over: list[Piece] = field(default_factory=list)  # in front of a wearer's neck: collars
    opening: Piece | None = None  # the inside one sees when nobody wears it
    # Position of an emblem -> x, y and half its size.
    anchors: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    block: skia.Path | None = None  # region of the second colour
    neck: Neck | None = None
    # Where hands and legs come out, and half their width.
    cuffs: list[tuple[Point, float]] = field(default_factory=list)
    legs: list[tuple[Point, float]] = field(default_factory=list)
    hem: float = 0.86  # y of the lower edge
    waist: tuple[float, float] | None = None  # y and half width, of garments for the lower body
    hips: float = 0.2  # half width at the hem


@dataclass(kw_only=True)
class Draft:
    """What a garment function may look at."""

    scene: Scene
    rng: random.Random

    @property
    def pose(self) -> str:
        return self.scene.presentation

    @property
    def worn(self) -> bool:
        return self.scene.presentation in ("figure", "mannequin")

    def vary(self, low: float, high: float) -> float:
        return self.rng.uniform(low, high)


@dataclass(kw_only=True)
class Stand:
    """What wears or holds a garment: pieces behind it, in its neckline, and how it moves to make room."""

    behind: list[Piece] = field(default_factory=list)
    neckline: list[Piece] = field(default_factory=list)
    scale: float = 1.0
    shift: float = 0.0  # downwards, after scaling about the centre


def solid(
    path: skia.Path, colour: RGB, *, roundness: float = 0.045, shadow: float = 0.12, depth: float = 0.24
) -> Piece:
    """A piece that is no cloth: wood, linen, skin, hair."""
    return Piece(
        path=path, colour=colour, patterned=False, edge=0, roundness=roundness, shadow=shadow, depth=depth
    )


def neckline_path(garment: Garment, width: float, rise: float) -> skia.Path:
    """A neck, `width` to each side, that rises above the neckline and fills it."""
    neck = garment.neck
    assert neck is not None
    return symmetric(
        [
            (0.5 - width, neck.y - rise),
            bend(0.5 - width, neck.y - 0.02),
            (0.5 - neck.half_width * 0.99, neck.y + 0.004),
            bend(0.5 - neck.half_width * 0.45, neck.y + neck.drop),
            (0.5, neck.y + neck.drop),
        ]
    )


def crease(a: Point, b: Point, width: float, strength: float, bow: float = 0.0) -> list[Fold]:
    """A valley with a ridge beside it: what a fold in cloth looks like under light from one side."""
    width *= 1.35
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1e-6
    ox, oy = -dy / length * width * 0.9, dx / length * width * 0.9
    return [
        Fold(lens(a, b, width, bow), -strength),
        Fold(lens((a[0] + ox, a[1] + oy), (b[0] + ox, b[1] + oy), width * 0.9, bow), strength * 0.8),
    ]
