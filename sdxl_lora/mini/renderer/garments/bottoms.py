"""Trousers, jeans and shorts, and the waistband they share with skirts."""

from sdxl_lora.mini.renderer.geometry import Knot, bend, ellipse, flipped, lens, outline, rectangle
from sdxl_lora.mini.renderer.parts import Draft, Fold, Garment, Line, Mark, Piece, crease

SIDES = (-1, 1)
_STITCH = (226.0, 168.0, 84.0)
_DARK_STITCH = (168.0, 100.0, 40.0)  # on pale denim
_COPPER = (190.0, 122.0, 70.0)
_TURN_UP = 0.058  # height of the turned-up hem of jeans


def _legs(
    draft: Draft,
    *,
    waist: float,
    hip: float,
    outer: float,
    inner: float,
    top: float,
    crotch: float,
    end: float,
) -> list[Piece]:
    """Two legs as separate pieces, the crotch between them; half widths around x = 0.5."""
    pieces = []
    for side in SIDES:
        half: list[Knot] = [
            (0.5, top),
            (0.5 - waist, top),
            bend(0.5 - hip, top + (crotch - top) * 0.35),
            (0.5 - hip - 0.004, crotch - 0.02),
            (0.5 - outer, end),
            bend(0.5 - (outer + inner) / 2, end + 0.012),
            (0.5 - inner, end + 0.004),
            (0.5 - 0.004, crotch),
        ]
        piece = Piece(path=outline(flipped(half, side)), roundness=0.034, depth=0.28, shadow=0.12)
        x = 0.5 + side * 0.004
        for _ in range(3):
            far = (0.5 + side * draft.vary(hip * 0.5, hip * 0.95), crotch + draft.vary(-0.07, 0.05))
            piece.folds += crease(
                (x, crotch - 0.005),
                far,
                draft.vary(0.009, 0.014),
                draft.vary(0.25, 0.5),
                draft.vary(-0.015, 0.015),
            )
        length = end - crotch
        if length > 0.3:
            for at in (0.42, 0.50, 0.60, 0.9):
                y = crotch + length * (at + draft.vary(-0.03, 0.03))
                f = (y - crotch) / length
                a = 0.5 + side * (0.01 + (inner - 0.01) * f)
                b = 0.5 + side * (hip + (outer - hip) * f)
                t = draft.vary(0.45, 0.75)
                near, far2 = (a, b) if draft.rng.random() < 0.5 else (b, a)
                piece.folds += crease(
                    (near, y),
                    (near + (far2 - near) * t, y + draft.vary(-0.03, 0.03)),
                    0.010,
                    draft.vary(0.25, 0.5),
                    0.006,
                )
        ridge = lens(
            (0.5 + side * hip * 0.55, crotch - 0.05), (0.5 + side * (outer + inner) / 2, end - 0.02), 0.020
        )
        piece.folds.append(Fold(ridge, 0.30))
        pieces.append(piece)
    return pieces


def waistband(top: float, waist: float, height: float = 0.042, *, elastic: bool = False) -> Piece:
    """A band around the waist; an elastic one is gathered."""
    path = outline(
        [
            (0.5 - waist - 0.002, top),
            bend(0.5, top + 0.010),
            (0.5 + waist + 0.002, top),
            (0.5 + waist + 0.012, top + height),
            bend(0.5, top + height + 0.010),
            (0.5 - waist - 0.012, top + height),
        ]
    )
    band = Piece(path=path, tone=0.94, patterned=False, roundness=0.016, depth=0.2, shadow=0.15)
    if elastic:
        for i in range(1, 16):
            x = 0.5 - waist + 2 * waist * i / 16
            band.lines.append(Line(outline([(x, top), (x, top + height + 0.01)], closed=False), 0.004, 0.8))
    return band


def waist_inside(top: float, waist: float) -> Piece:
    """The inside of the back, seen over the front of the waistband."""
    path = outline(
        [
            (0.5 - waist, top + 0.002),
            bend(0.5, top - 0.022),
            (0.5 + waist, top + 0.002),
            bend(0.5, top + 0.012),
        ]
    )
    return Piece(path=path, tone=0.5, patterned=False, shadow=0, edge=0)


def _cords(top: float, draft: Draft) -> list[Line]:
    light = draft.scene.colour in ("white", "beige", "yellow", "light blue", "pink")
    ink = (96.0, 96.0, 100.0) if light else (238.0, 238.0, 234.0)
    return [
        Line(
            outline(
                [(0.5 + s * 0.012, top), bend(0.5 + s * 0.03, top + 0.05), (0.5 + s * 0.02, top + 0.10)],
                closed=False,
            ),
            0.008,
            ink,
            clipped=False,
        )
        for s in SIDES
    ]


def _full_length(draft: Draft) -> tuple[Garment, float, float, float, float, float, float]:
    v = draft.vary
    top, waist = v(0.075, 0.095), v(0.135, 0.15)
    hip, crotch, end = waist + v(0.035, 0.05), top + v(0.265, 0.285), v(0.915, 0.935)
    outer = v(0.205, 0.235) if draft.pose == "flat" else v(0.165, 0.185)
    inner = outer - v(0.120, 0.145)
    garment = Garment(waist=(top, waist), hem=end)
    garment.legs = [((0.5 + s * (outer + inner) / 2, end), (outer - inner) / 2) for s in SIDES]
    garment.anchors = {"thigh": (0.5 + hip * 0.57, crotch + 0.055, 0.068)}
    garment.block = rectangle(-0.2, 0.62, 1.2, 1.3)
    garment.back = [waist_inside(top, waist)]
    return garment, top, waist, hip, crotch, end, outer - inner


def trousers(draft: Draft) -> Garment:
    garment, top, waist, hip, crotch, end, width = _full_length(draft)
    outer = garment.legs[1][0][0] - 0.5 + width / 2
    elastic = draft.rng.random() < 0.5
    legs = _legs(
        draft, waist=waist, hip=hip, outer=outer, inner=outer - width, top=top, crotch=crotch, end=end
    )
    for side, leg in zip(SIDES, legs, strict=True):
        leg.lines.append(
            Line(
                outline(
                    [(0.5 + side * (waist - 0.03), top + 0.045), (0.5 + side * (hip - 0.004), top + 0.16)],
                    closed=False,
                ),
                0.007,
                0.62,
            )
        )
        if not elastic:  # a pressed crease down the front
            middle = 0.5 + side * (outer - width / 2)
            leg.folds.append(Fold(lens((0.5 + side * hip * 0.55, top + 0.1), (middle, end), 0.006), 0.55))
            leg.lines.append(
                Line(
                    outline([(0.5 + side * hip * 0.55, top + 0.08), (middle, end)], closed=False), 0.003, 0.82
                )
            )
        leg.lines.append(Line(outline([(0.1, end - 0.028), (0.9, end - 0.028)], closed=False), 0.004, 0.74))
    legs[1].lines.append(
        Line(outline([(0.5, top + 0.03), (0.5, crotch)], closed=False), 0.007, 0.66, clipped=False)
    )
    band = waistband(top, waist, elastic=elastic)
    if elastic:
        band.lines += _cords(top + 0.04, draft)
    else:
        band.marks.append(Mark(ellipse(0.5, top + 0.024, 0.009, 0.009), (60, 56, 52)))
    garment.front = [*legs, band]
    return garment


def jeans(draft: Draft) -> Garment:
    garment, top, waist, hip, crotch, end, width = _full_length(draft)
    outer = garment.legs[1][0][0] - 0.5 + width / 2
    legs = _legs(
        draft, waist=waist, hip=hip, outer=outer, inner=outer - width, top=top, crotch=crotch, end=end
    )
    pale = draft.scene.colour in ("white", "light blue", "grey")
    stitch = _DARK_STITCH if pale else _STITCH
    for side, leg in zip(SIDES, legs, strict=True):
        middle = 0.5 + side * (outer - width / 2)
        # Worn denim is paler along the thigh.
        leg.folds.append(Fold(lens((0.5 + side * hip * 0.55, top + 0.14), (middle, end - 0.10), 0.048), 0.50))
        pocket: list[Knot] = [
            (0.5 + side * 0.058, top + 0.045),
            bend(0.5 + side * 0.072, top + 0.125),
            (0.5 + side * (waist + 0.04), top + 0.135),
        ]
        side_seam: list[Knot] = [
            (0.5 + side * (hip - 0.014), top + 0.14),
            (0.5 + side * (outer - 0.014), end - _TURN_UP),
        ]
        leg.lines += [
            Line(outline(pocket, closed=False), 0.020, 0.66),
            Line(outline(pocket, closed=False), 0.009, stitch),
            Line(outline(side_seam, closed=False), 0.008, stitch),
        ]
        for x, y in ((0.064, top + 0.062), (waist + 0.012, top + 0.131)):
            leg.marks.append(Mark(ellipse(0.5 + side * x, y, 0.010, 0.010), _COPPER))
    fly: list[Knot] = [
        (0.536, top + 0.04),
        (0.536, crotch - 0.10),
        bend(0.536, crotch - 0.055),
        (0.5, crotch - 0.045),
    ]
    legs[1].lines += [
        Line(outline([(0.5, top + 0.03), (0.5, crotch)], closed=False), 0.007, 0.62, clipped=False),
        Line(outline(fly, closed=False), 0.009, stitch),
    ]
    band = waistband(top, waist, 0.045)
    for y in (top + 0.007, top + 0.044):
        band.lines.append(
            Line(outline([(0.3, y), bend(0.5, y + 0.01), (0.7, y)], closed=False), 0.006, stitch)
        )
    for x in (-0.105, -0.055, 0.055, 0.105):
        loop = outline([(0.5 + x, top), (0.5 + x, top + 0.05)], closed=False)
        band.lines += [Line(loop, 0.022, 0.62), Line(loop, 0.012, 0.96)]
    band.marks.append(Mark(ellipse(0.5, top + 0.028, 0.015, 0.015), _COPPER))
    garment.front = [*legs, band]
    garment.over = [_turn_up(side, outer, outer - width, end) for side in SIDES]
    return garment


def _turn_up(side: int, outer: float, inner: float, end: float) -> Piece:
    """The lower edge of a leg turned over, so that the pale inside of the denim shows."""
    half: list[Knot] = [
        (0.5 - outer - 0.008, end - _TURN_UP),
        bend(0.5 - (outer + inner) / 2, end - _TURN_UP + 0.012),
        (0.5 - inner + 0.008, end - _TURN_UP + 0.004),
        (0.5 - inner + 0.008, end + 0.006),
        bend(0.5 - (outer + inner) / 2, end + 0.016),
        (0.5 - outer - 0.008, end + 0.002),
    ]
    return Piece(path=outline(flipped(half, side)), tone=1.45, patterned=False, roundness=0.016, edge=0.004)


def shorts(draft: Draft) -> Garment:
    v = draft.vary
    top = v(0.17, 0.20) if draft.pose == "flat" else 0.12
    waist = v(0.205, 0.22)
    hip, crotch, end = waist + v(0.045, 0.06), top + v(0.335, 0.36), top + v(0.575, 0.63)
    outer, inner = hip + v(0.055, 0.08), v(0.03, 0.045)
    if draft.worn:
        outer -= 0.03
    legs = _legs(draft, waist=waist, hip=hip, outer=outer, inner=inner, top=top, crotch=crotch, end=end)
    for side, leg in zip(SIDES, legs, strict=True):
        leg.lines.append(
            Line(
                outline(
                    [(0.5 + side * (waist - 0.04), top + 0.05), (0.5 + side * (hip + 0.002), top + 0.22)],
                    closed=False,
                ),
                0.009,
                0.62,
            )
        )
        leg.lines.append(
            Line(outline([(0.05, end - 0.032), (0.95, end - 0.032)], closed=False), 0.0045, 0.72)
        )
    legs[1].lines.append(
        Line(outline([(0.5, top + 0.04), (0.5, crotch)], closed=False), 0.007, 0.66, clipped=False)
    )
    band = waistband(top, waist, 0.056, elastic=True)
    band.lines += _cords(top + 0.05, draft)
    garment = Garment(front=[*legs, band], back=[waist_inside(top, waist)], waist=(top, waist), hem=end)
    garment.anchors = {"thigh": (0.5 + (outer + inner) * 0.52, crotch + 0.06, 0.070)}
    garment.block = rectangle(-0.2, top + 0.05, 1.2, crotch - 0.07)
    garment.legs = [((0.5 + s * (outer + inner) / 2, end), (outer - inner) / 2) for s in SIDES]
    return garment
