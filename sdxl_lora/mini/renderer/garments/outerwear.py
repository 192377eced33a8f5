"""Jacket, puffer jacket, coat and vest."""

from sdxl_lora.mini.renderer.garments.upper import (
    SIDES,
    Torso,
    base,
    body_knots,
    hem_band,
    measure,
    neck_opening,
    pockets,
    sleeves,
    to_side,
    torso_piece,
    zip_lines,
    zipped_front,
)
from sdxl_lora.mini.renderer.geometry import (
    Knot,
    bend,
    between,
    ellipse,
    lens,
    outline,
    reflected,
    symmetric,
)
from sdxl_lora.mini.renderer.parts import Draft, Fold, Garment, Line, Mark, Piece, crease


def _stand_collar(garment: Garment, t: Torso, height: float) -> None:
    """A high collar: its back inside behind the neck, its two fronts before it."""
    n = t.neck + 0.012
    inside = outline(
        [
            (0.5 - n, t.top + 0.02),
            (0.5 - n + 0.014, t.top - height),
            bend(0.5, t.top - height - 0.02),
            (0.5 + n - 0.014, t.top - height),
            (0.5 + n, t.top + 0.02),
            bend(0.5, t.top + 0.07),
        ]
    )
    garment.back = [Piece(path=inside, tone=0.55, patterned=False, shadow=0, depth=0.15)]
    front = outline(
        [
            (0.5 - n - 0.004, t.top + 0.024),
            (0.5 - n + 0.008, t.top - height),
            bend(0.5, t.top - height + 0.085),
            (0.5 + n - 0.008, t.top - height),
            (0.5 + n + 0.004, t.top + 0.024),
            bend(0.5, t.top + 0.085),
        ]
    )
    collar = Piece(path=front, patterned=False, tone=0.98, roundness=0.03, shadow=0.25, depth=0.22)
    collar.lines = zip_lines(t.top - height, t.top + 0.09)
    garment.over.append(collar)


def jacket(draft: Draft) -> Garment:
    t = measure(draft, wide=0.004)
    t.top += 0.02
    garment = base(t)
    body = torso_piece(draft, t, 0.62)
    body.lines += zipped_front(t) + pockets(t)
    body.marks.append(Mark(ellipse(0.5, t.top + 0.10, 0.010, 0.020), (190, 190, 194)))
    garment.front = [*sleeves(draft, t, ribbed=True), body, hem_band(t, 0.056)]
    _stand_collar(garment, t, 0.058)
    return garment


def _quilts(t: Torso, pitch: float, top: float) -> tuple[list[Fold], list[Line], list[float]]:
    """Tubes across the torso: light on their upper middle, dark in the seams."""
    folds: list[Fold] = []
    lines: list[Line] = []
    seams: list[float] = []
    y = top
    while y < t.hem - 0.02:
        seams.append(y)
        folds.append(Fold(lens((0.2, y), (0.8, y), 0.030, 0.006), -0.62))
        lines.append(Line(outline([(0.2, y), bend(0.5, y + 0.012), (0.8, y)], closed=False), 0.008, 0.5))
        y += pitch
    for y in [top - pitch, *seams]:
        folds.append(Fold(lens((0.26, y + pitch * 0.42), (0.74, y + pitch * 0.42), 0.034, 0.006), 0.62))
    return folds, lines, seams


def _puffed_body(t: Torso, seams: list[float]) -> list[Knot]:
    """The torso's left half with a bulge between any two seams."""
    knots = body_knots(t)[:7]
    marks = [y for y in seams if y > t.armpit + 0.02] + [t.hem]
    x = 0.5 - t.chest
    previous = t.armpit
    for y in marks:
        knots += [bend(x - 0.030, (previous + y) / 2), (x, y)]
        previous = y
    return [*knots, (0.5, t.hem + 0.006)]


def puffer(draft: Draft) -> Garment:
    t = measure(draft, wide=0.026)
    t.top += 0.03
    t.armpit += 0.03
    t.hem -= draft.vary(0.0, 0.03)
    t.cuff = (t.cuff[0], t.cuff[1] - 0.02)
    t.cuff_width += 0.035
    pitch = draft.vary(0.094, 0.108)
    garment = base(t)
    folds, lines, seams = _quilts(t, pitch, t.top + 0.095)
    body = Piece(
        path=symmetric(_puffed_body(t, seams)),
        folds=folds,
        lines=lines,
        roundness=0.05,
        depth=0.3,
        shadow=0.32,
    )
    body.lines += zipped_front(t) + pockets(t, rise=0.17, length=0.09)
    garment.front = [*(_puffed_sleeve(t, side) for side in SIDES), body]
    _stand_collar(garment, t, 0.07)
    garment.over[-1].folds = [Fold(lens((0.42, t.top + 0.012), (0.58, t.top + 0.012), 0.02, 0.02), 0.5)]
    return garment


def _puffed_sleeve(t: Torso, side: int) -> Piece:
    """A sleeve of six tubes that bulge on its outer edge."""
    tubes = 6
    knots: list[Knot] = [*t.sleeve()[:2], (0.5 - t.shoulder - 0.02, t.top + 0.10)]
    folds: list[Fold] = []
    lines: list[Line] = []
    for i in range(1, tubes + 1):
        outer, inner = t.along(i / tubes)
        middle = between((knots[-1][0], knots[-1][1]), outer, 0.5)
        knots += [bend(middle[0] - 0.032, middle[1] - 0.005), outer]
        if i < tubes:
            seam = to_side(outer, side), to_side(inner, side)
            folds.append(Fold(lens(*seam, 0.026), -0.62))
            lines.append(Line(outline(seam, closed=False), 0.007, 0.5))
        edges = t.along((i - 0.55) / tubes)
        ridge = to_side(between(*edges, 0.12), side), to_side(between(*edges, 0.8), side)
        folds.append(Fold(lens(*ridge, 0.030), 0.6))
    knots += t.sleeve()[3:]
    path = outline(knots if side < 0 else reflected(knots))
    return Piece(path=path, folds=folds, lines=lines, roundness=0.035, depth=0.3, tone=0.97)


def coat(draft: Draft) -> Garment:
    t = measure(draft, wide=-0.045, neck=0.058)
    t.top -= 0.045
    t.armpit -= 0.055
    t.hem = draft.vary(0.93, 0.95)
    t.hip = t.chest + draft.vary(0.028, 0.045)
    t.cuff = (0.5 - (0.285 if draft.pose == "flat" else 0.255), draft.vary(0.60, 0.62))
    t.cuff_width = 0.082
    garment = base(t)
    body = torso_piece(draft, t, 0.35)
    for x in (-0.13, -0.07, 0.05, 0.12):
        x += draft.vary(-0.015, 0.015)
        body.folds += crease(
            (0.5 + x * 0.7, 0.52), (0.5 + x * 1.25, t.hem - 0.01), 0.018, draft.vary(0.3, 0.6), x * 0.1
        )
    buttoned = draft.rng.random() < 0.7
    reach = t.top + 0.19
    front_edge = outline([(0.522, reach - 0.02), (0.528, t.hem + 0.01)], closed=False)
    body.lines.append(Line(front_edge, 0.006, 0.6))
    for i in range(4):
        y = reach + 0.035 + i * 0.10
        for side in SIDES if not buttoned else (0,):
            body.marks.append(Mark(ellipse(0.5 + side * 0.055, y, 0.0125, 0.0125), (52, 44, 38)))
    for side in SIDES:
        x = 0.5 + side * 0.105
        body.lines.append(
            Line(
                outline([(x - 0.045, 0.60), (x + 0.045, 0.60), (x + 0.045, 0.625), (x - 0.045, 0.625)]),
                0.004,
                0.66,
            )
        )
    garment.front = [*sleeves(draft, t, ribbed=False), body]
    garment.opening = neck_opening(t, 0.06)
    _add_lapels(garment, t, reach)
    garment.anchors["chest"] = (0.5 + 0.078, t.top + 0.255, 0.066)
    outer, inner = t.along(0.58)
    middle = between(outer, inner, 0.46)
    garment.anchors["sleeve"] = (1 - middle[0], middle[1], 0.048)
    return garment


def _add_lapels(garment: Garment, t: Torso, reach: float) -> None:
    """A collar behind the neck and two lapels that meet at y = `reach`."""
    garment.back = [
        Piece(
            path=outline(
                [
                    (0.5 - t.neck, t.top + 0.01),
                    (0.5 - t.neck + 0.005, t.top - 0.028),
                    bend(0.5, t.top - 0.04),
                    (0.5 + t.neck - 0.005, t.top - 0.028),
                    (0.5 + t.neck, t.top + 0.01),
                    bend(0.5, t.top + 0.02),
                ]
            ),
            tone=0.8,
            patterned=False,
            shadow=0,
        )
    ]
    for side in SIDES:
        n = t.neck
        lapel = outline(
            [
                (0.5 + side * (n - 0.006), t.top - 0.028),
                (0.5 + side * (n + 0.034), t.top + 0.025),
                (0.5 + side * 0.112, t.top + 0.085),
                (0.5 + side * 0.088, t.top + 0.098),
                (0.5 + side * 0.100, t.top + 0.120),
                (0.5 + side * 0.004, reach),
                bend(0.5 + side * 0.03, t.top + 0.07),
            ]
        )
        garment.over.append(
            Piece(
                path=lapel, tone=0.98, patterned=False, roundness=0.016, depth=0.16, shadow=0.4, edge=0.0045
            )
        )


def vest(draft: Draft) -> Garment:
    t = measure(draft, wide=0.016)
    t.top += 0.025
    t.shoulder -= 0.045
    t.armpit += 0.04
    garment = base(t)
    garment.cuffs = []
    half: list[Knot] = [
        (0.5 - t.neck, t.top),
        (0.5 - t.shoulder, t.top + 0.045),
        bend(0.5 - t.shoulder + 0.03, t.armpit - 0.04),
        (0.5 - t.chest, t.armpit),
    ]
    if draft.rng.random() < 0.65:
        folds, lines, seams = _quilts(t, draft.vary(0.094, 0.108), t.top + 0.095)
        knots = half + _puffed_body(t, seams)[7:]
        body = Piece(path=symmetric(knots), folds=folds, lines=lines, depth=0.3)
    else:
        body = torso_piece(draft, t, 0.5)
        body.path = symmetric(half + body_knots(t)[7:])
        body.lines = []
    armholes = (half[1:], reflected(half[1:]))
    body.lines += [Line(outline(edge, closed=False), 0.022, 0.78) for edge in armholes]
    body.lines += zipped_front(t) + pockets(t, rise=0.19, length=0.1)
    garment.front = [body]
    _stand_collar(garment, t, 0.06)
    del garment.anchors["sleeve"]
    return garment
