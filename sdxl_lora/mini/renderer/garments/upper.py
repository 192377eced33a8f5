"""What garments for the upper body share: torso, sleeves, cuffs, hem, folds."""

from dataclasses import dataclass

from sdxl_lora.mini.renderer.geometry import (
    Knot,
    Point,
    bend,
    between,
    flipped,
    lens,
    outline,
    rectangle,
    symmetric,
)
from sdxl_lora.mini.renderer.parts import Draft, Fold, Garment, Line, Neck, Piece, crease

SIDES = (-1, 1)


@dataclass(kw_only=True)
class Torso:
    """Measures of an upper garment in the unit square; half widths around x = 0.5."""

    top: float
    neck: float
    shoulder: float
    chest: float
    hip: float
    hem: float
    armpit: float
    cuff: Point  # outer end of the left sleeve
    cuff_width: float
    short: bool = False

    def sleeve(self) -> list[Knot]:
        """Knots of the left sleeve: shoulder, (curve), outer cuff, inner cuff, armpit."""
        x, y = self.cuff
        drop = 0.045 if self.short else 0.012
        return [
            (0.5 - self.shoulder + 0.035, self.top + 0.035),
            bend(0.5 - self.shoulder - 0.046, self.top + 0.055),
            (x, y),
            (x + self.cuff_width, y + drop),
            (0.5 - self.chest + 0.012, self.armpit + 0.025),
        ]

    def along(self, t: float) -> tuple[Point, Point]:
        """Outer and inner edge of the left sleeve a fraction t of the way down."""
        knots = self.sleeve()
        start = (0.5 - self.shoulder - 0.005, self.top + 0.075)
        outer = between(start, self.cuff, t)
        inner = between((knots[4][0], knots[4][1]), (knots[3][0], knots[3][1]), t)
        return outer, inner


def measure(
    draft: Draft, *, wide: float = 0.0, long: float = 0.0, short: bool = False, neck: float = 0.072
) -> Torso:
    """Draw the measures of a garment; `wide` and `long` change its half width and length."""
    v = draft.vary
    top = v(0.125, 0.145)
    chest = v(0.195, 0.21) + wide
    shoulder = chest + v(-0.004, 0.010)
    spread = {
        "flat": v(0.375, 0.40),
        "hanger": v(0.335, 0.35),
        "mannequin": v(0.325, 0.34),
        "figure": v(0.325, 0.34),
    }
    reach = spread[draft.pose] + wide
    if short:
        cuff = (0.5 - shoulder - v(0.115, 0.135), top + v(0.20, 0.225))
        cuff_width = 0.105
    else:
        cuff = (0.5 - reach, v(0.735, 0.77))
        cuff_width = v(0.088, 0.098) + wide * 0.3
    return Torso(
        top=top,
        neck=neck + v(-0.004, 0.004),
        shoulder=shoulder,
        chest=chest,
        hip=chest + v(-0.008, 0.008),
        hem=v(0.835, 0.865) + long,
        armpit=top + v(0.215, 0.235),
        cuff=cuff,
        cuff_width=cuff_width,
        short=short,
    )


def body_knots(t: Torso) -> list[Knot]:
    """Left half of the torso, from neck to hem."""
    return [
        (0.5 - t.neck, t.top),
        bend(0.5 - t.neck - 0.03, t.top + 0.012),
        (0.5 - t.shoulder + 0.016, t.top + 0.042),
        bend(0.5 - t.shoulder + 0.001, t.top + 0.047),
        (0.5 - t.shoulder + 0.003, t.top + 0.068),
        bend(0.5 - t.chest + 0.014, t.top + 0.13),
        (0.5 - t.chest, t.armpit),
        bend(0.5 - t.chest + 0.004, (t.armpit + t.hem) / 2),
        (0.5 - t.hip, t.hem - 0.006),
        bend(0.5 - t.hip * 0.5, t.hem + 0.006),
        (0.5, t.hem + 0.004),
    ]


def body_folds(draft: Draft, t: Torso, strength: float = 0.5) -> list[Fold]:
    """Folds that radiate from the armpits, and a few long soft ones towards the hem."""
    folds: list[Fold] = []
    v = draft.vary
    for side in SIDES:
        pit = (0.5 + side * (t.chest - 0.01), t.armpit + 0.01)
        for _ in range(2):
            end = (0.5 + side * v(0.05, 0.13), t.armpit + v(0.05, 0.20))
            folds += crease(pit, end, v(0.010, 0.016), strength * v(0.5, 0.9), side * v(-0.02, 0.03))
        top = (0.5 + side * v(0.06, 0.16), t.hem - v(0.24, 0.34))
        folds += crease(
            top,
            (0.5 + side * v(0.08, 0.17), t.hem - 0.03),
            v(0.012, 0.018),
            strength * v(0.4, 0.8),
            v(-0.02, 0.02),
        )
        waist = (0.5 + side * (t.hip - 0.005), v(0.56, 0.66))
        folds += crease(
            waist,
            (0.5 + side * v(0.04, 0.10), waist[1] + v(-0.03, 0.06)),
            v(0.010, 0.015),
            strength * 0.6,
            0.012,
        )
    return folds


def sleeve_folds(draft: Draft, t: Torso, side: int, strength: float = 0.55) -> list[Fold]:
    """Creases across the elbow and along the sleeve."""
    folds: list[Fold] = []
    if t.short:
        outer, inner = t.along(0.45)
        start, end = between(outer, inner, 0.9), between(outer, inner, 0.25)
        return crease(to_side(start, side), to_side(end, side), 0.012, strength * 0.7, 0.01)
    for at in (0.34, 0.47, 0.60, 0.78):
        at += draft.vary(-0.03, 0.03)
        outer, inner = t.along(at)
        lower_outer, _ = t.along(at + draft.vary(0.03, 0.09))
        start, end = between(outer, inner, 0.97), between(lower_outer, inner, 0.25)
        folds += crease(
            to_side(start, side),
            to_side(end, side),
            draft.vary(0.010, 0.015),
            strength * draft.vary(0.5, 1.0),
            side * 0.012,
        )
    a, b = t.along(0.1), t.along(0.95)
    folds.append(Fold(lens(to_side(between(*a, 0.42), side), to_side(between(*b, 0.42), side), 0.022), 0.22))
    return folds


def to_side(point: Point, side: int) -> Point:
    """A point of the left side, as it is (side -1) or mirrored to the right (side +1)."""
    return point if side < 0 else (1 - point[0], point[1])


def sleeves(
    draft: Draft, t: Torso, *, ribbed: bool, tone: float = 0.97, cuff_ink: float = 0.7
) -> list[Piece]:
    """Both sleeves, with ribbed cuffs or a stitched hem."""
    pieces: list[Piece] = []
    for side in SIDES:
        knots = flipped(t.sleeve(), side)
        lean = (t.cuff[0] - (0.5 - t.shoulder)) / (t.cuff[1] - t.top) * 57 * (0.85 if not t.short else 0.5)
        piece = Piece(
            path=outline(knots), tone=tone, angle=lean if side > 0 else -lean, roundness=0.03, depth=0.27
        )
        piece.folds = sleeve_folds(draft, t, side)
        hem_at = 0.955 if not t.short else 0.86
        outer, inner = t.along(hem_at)
        piece.lines.append(
            Line(outline([to_side(outer, side), to_side(inner, side)], closed=False), 0.0045, cuff_ink)
        )
        pieces.append(piece)
        if ribbed:
            outer, inner = t.along(0.93)
            end_outer, end_inner = t.along(1.0)
            shape = [
                between(outer, inner, 0.05),
                between(end_outer, end_inner, 0.07),
                between(end_outer, end_inner, 0.93),
                between(outer, inner, 0.96),
            ]
            cuff = Piece(
                path=outline([to_side(p, side) for p in shape]),
                tone=0.86,
                patterned=False,
                roundness=0.02,
                shadow=0.1,
            )
            cuff.lines = [
                Line(
                    outline(
                        [
                            to_side(between(shape[0], shape[3], f), side),
                            to_side(between(shape[1], shape[2], f), side),
                        ],
                        closed=False,
                    ),
                    0.006,
                    0.8,
                )
                for f in (0.2, 0.4, 0.6, 0.8)
            ]
            pieces.append(cuff)
    return pieces


def hem_band(t: Torso, height: float = 0.05) -> Piece:
    """A ribbed band around the hem."""
    left, right, y = 0.5 - t.hip + 0.006, 0.5 + t.hip - 0.006, t.hem
    path = outline(
        [(left - 0.004, y - height), (right + 0.004, y - height), (right, y), bend(0.5, y + 0.012), (left, y)]
    )
    band = Piece(path=path, tone=0.86, patterned=False, roundness=0.022, shadow=0.12)
    count = 16
    for i in range(1, count):
        x = left + (right - left) * i / count
        band.lines.append(Line(outline([(x, y - height), (x, y + 0.01)], closed=False), 0.006, 0.8))
    return band


def neck_opening(t: Torso, drop: float) -> Piece:
    """The dark inside seen through the neckline."""
    knots: list[Knot] = [
        (0.5 - t.neck, t.top - 0.002),
        bend(0.5, t.top + 2 * drop),
        (0.5 + t.neck, t.top - 0.002),
        bend(0.5, t.top + 0.03),
    ]
    return Piece(path=outline(knots), tone=0.5, patterned=False, depth=0.1, shadow=0, edge=0)


def crew_collar(t: Torso, drop: float, width: float = 0.026) -> Piece:
    """A ribbed ring around the neckline."""
    n, y = t.neck, t.top
    knots: list[Knot] = [
        (0.5 - n - width * 0.7, y + 0.002),
        bend(0.5, y + 2 * drop + 2.1 * width),
        (0.5 + n + width * 0.7, y + 0.002),
        (0.5 + n, y - 0.004),
        bend(0.5, y + 2 * drop),
        (0.5 - n, y - 0.004),
    ]
    return Piece(path=outline(knots), tone=0.92, patterned=False, roundness=0.012, depth=0.18, shadow=0.18)


def base(t: Torso, *, drop: float = 0.05) -> Garment:
    """A garment with anchors, neck and hands in the right places; the caller adds pieces."""
    outer, inner = t.along(0.60)
    middle = between(outer, inner, 0.46)
    garment = Garment(
        anchors={
            "centre": (0.5, t.top + 0.315, 0.105),
            "chest": (0.5 + 0.1, t.top + 0.235, 0.068),
            "sleeve": (1 - middle[0], middle[1], 0.050),
        },
        block=rectangle(-0.2, -0.3, 1.2, t.top + 0.145),
        neck=Neck(y=t.top, half_width=t.neck, drop=drop, shoulder=t.shoulder),
        hem=t.hem,
        hips=t.hip,
    )
    if not t.short:
        end_outer, end_inner = t.along(1.0)
        for side in SIDES:
            garment.cuffs.append((to_side(between(end_outer, end_inner, 0.5), side), t.cuff_width * 0.36))
    else:
        outer, inner = t.along(0.85)
        for side in SIDES:
            garment.cuffs.append((to_side(between(outer, inner, 0.5), side), t.cuff_width * 0.36))
    return garment


def torso_piece(draft: Draft, t: Torso, strength: float = 0.5) -> Piece:
    piece = Piece(path=symmetric(body_knots(t)), folds=body_folds(draft, t, strength), roundness=0.05)
    piece.shadow = 0.3
    for side in SIDES:
        seam: list[Knot] = [
            (0.5 + side * (t.shoulder - 0.004), t.top + 0.05),
            bend(0.5 + side * (t.chest - 0.020), t.top + 0.12),
            (0.5 + side * (t.chest - 0.003), t.armpit),
        ]
        piece.lines.append(Line(outline(seam, closed=False), 0.005, 0.72))
    return piece


def zip_lines(top: float, bottom: float) -> list[Line]:
    """The teeth of a zip down the middle."""
    path = outline([(0.5, top), (0.5, bottom)], closed=False)
    return [Line(path, 0.014, (58, 58, 62)), Line(path, 0.006, (205, 205, 208), dash=0.008)]


def zipped_front(t: Torso) -> list[Line]:
    """A zip on its tape, from neck to hem."""
    tape = Line(outline([(0.5, t.top), (0.5, t.hem)], closed=False), 0.034, 0.78)
    return [tape, *zip_lines(t.top, t.hem)]


def pockets(t: Torso, *, slant: float = 0.035, length: float = 0.12, rise: float = 0.2) -> list[Line]:
    lines = []
    for side in SIDES:
        a = (0.5 + side * (0.105 + slant), t.hem - rise + length)
        b = (0.5 + side * 0.105, t.hem - rise)
        lines.append(Line(outline([a, b], closed=False), 0.013, 0.56))
        lines.append(
            Line(
                outline([(a[0] + 0.006 * side, a[1]), (b[0] + 0.006 * side, b[1])], closed=False), 0.003, 1.15
            )
        )
    return lines
