"""Skirt and dress."""

from sdxl_lora.mini.renderer.garments.bottoms import SIDES, waist_inside, waistband
from sdxl_lora.mini.renderer.geometry import Knot, bend, flipped, outline, rectangle, symmetric
from sdxl_lora.mini.renderer.parts import Draft, Fold, Garment, Line, Neck, Piece, crease


def _hanging_folds(
    draft: Draft, top: float, end: float, narrow: float, wide: float, count: int, strength: float
) -> list[Fold]:
    folds: list[Fold] = []
    for i in range(count):
        k = -0.86 + 1.72 * (i + 0.5) / count + draft.vary(-0.04, 0.04)
        start = (0.5 + k * narrow, top + draft.vary(0.0, 0.06))
        folds += crease(
            start,
            (0.5 + k * wide, end - 0.005),
            draft.vary(0.014, 0.020),
            strength * draft.vary(0.6, 1.1),
            k * 0.012,
        )
    return folds


def skirt(draft: Draft) -> Garment:
    v = draft.vary
    top = v(0.15, 0.18) if draft.pose == "flat" else 0.11
    waist, end = v(0.155, 0.175), top + v(0.60, 0.66)
    flare = waist + v(0.15, 0.20)
    half: list[Knot] = [
        (0.5 - waist, top),
        bend(0.5 - waist - 0.045, top + 0.16),
        (0.5 - flare, end - 0.03),
        bend(0.5 - flare * 0.55, end + 0.035),
        (0.5, end + 0.03),
    ]
    count = draft.rng.choice((7, 9, 11))
    body = Piece(path=symmetric(half), roundness=0.06, depth=0.28)
    body.folds = _hanging_folds(draft, top + 0.06, end, waist, flare, count, 0.62)
    if count > 7:  # pleats
        for i in range(1, count):
            k = -1 + 2 * i / count
            body.lines.append(
                Line(
                    outline([(0.5 + k * waist, top + 0.04), (0.5 + k * flare, end + 0.04)], closed=False),
                    0.004,
                    0.74,
                )
            )
    garment = Garment(
        front=[body, waistband(top, waist, 0.05)],
        back=[waist_inside(top, waist)],
        waist=(top, waist),
        hem=end,
    )
    garment.anchors = {"hem": (0.5 + flare * 0.50, end - 0.105, 0.070)}
    garment.block = rectangle(-0.2, -0.2, 1.2, top + 0.30)
    garment.legs = [((0.5 + s * 0.085, end), 0.06) for s in SIDES]
    return garment


def dress(draft: Draft) -> Garment:
    v = draft.vary
    top, neck, shoulder = v(0.065, 0.08), 0.068, v(0.138, 0.15)
    waist_y, waist, end = top + v(0.335, 0.36), v(0.118, 0.13), v(0.90, 0.925)
    flare = v(0.27, 0.31)
    pit = top + 0.17
    garment = Garment(hem=end, hips=flare)
    bodice = symmetric(
        [
            (0.5 - neck, top),
            (0.5 - shoulder, top + 0.032),
            bend(0.5 - shoulder + 0.022, top + 0.11),
            (0.5 - shoulder - 0.002, pit),
            bend(0.5 - shoulder + 0.004, pit + 0.07),
            (0.5 - waist, waist_y),
            (0.5, waist_y + 0.006),
        ]
    )
    body = Piece(path=bodice, roundness=0.045, depth=0.26)
    for s in SIDES:
        body.folds += crease(
            (0.5 + s * (shoulder - 0.01), pit + 0.02), (0.5 + s * 0.06, pit + 0.10), 0.011, 0.35, 0.01
        )
        body.folds += crease((0.5 + s * 0.075, waist_y), (0.5 + s * 0.06, pit + 0.06), 0.010, 0.35)
    skirt_path = symmetric(
        [
            (0.5 - waist, waist_y - 0.004),
            bend(0.5 - waist - 0.05, waist_y + 0.10),
            (0.5 - flare, end - 0.03),
            bend(0.5 - flare * 0.55, end + 0.03),
            (0.5, end + 0.026),
        ]
    )
    lower = Piece(path=skirt_path, roundness=0.055, depth=0.27, shadow=0.1)
    lower.folds = _hanging_folds(draft, waist_y + 0.02, end, waist, flare, 8, 0.62)
    sleeves = []
    if draft.rng.random() < 0.6:
        sleeves = [_cap_sleeve(top, shoulder, pit, s) for s in SIDES]
        garment.cuffs = [((0.5 + s * (shoulder + 0.042), top + 0.165), 0.034) for s in SIDES]
    belt = waistband(waist_y - 0.014, waist, 0.030)
    garment.front = [*sleeves, lower, body, belt]
    garment.opening = Piece(
        path=outline(
            [
                (0.5 - neck, top - 0.002),
                bend(0.5, top + 0.125),
                (0.5 + neck, top - 0.002),
                bend(0.5, top + 0.03),
            ]
        ),
        tone=0.5,
        patterned=False,
        shadow=0,
        edge=0,
        depth=0.1,
    )
    garment.neck = Neck(y=top, half_width=neck, drop=0.0625, shoulder=shoulder)
    garment.anchors = {"centre": (0.5, top + 0.215, 0.092), "hem": (0.5 + flare * 0.48, end - 0.115, 0.070)}
    low = draft.scene.emblem_position == "hem"
    garment.block = rectangle(-0.2, -0.2, 1.2, waist_y + 0.01) if low else rectangle(-0.2, waist_y, 1.2, 1.3)
    garment.legs = [((0.5 + s * 0.07, end), 0.045) for s in SIDES]
    return garment


def _cap_sleeve(top: float, shoulder: float, pit: float, side: int) -> Piece:
    knots: list[Knot] = [
        (0.5 - shoulder + 0.02, top + 0.025),
        bend(0.5 - shoulder - 0.04, top + 0.04),
        (0.5 - shoulder - 0.085, top + 0.16),
        (0.5 - shoulder - 0.005, top + 0.19),
        (0.5 - shoulder + 0.012, pit - 0.01),
    ]
    return Piece(path=outline(flipped(knots, side)), tone=0.96, roundness=0.025)
