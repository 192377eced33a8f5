"""T-shirt, sweatshirt, hoodie and shirt."""

from sdxl_lora.mini.renderer.garments.upper import (
    SIDES,
    Torso,
    base,
    body_knots,
    crew_collar,
    hem_band,
    measure,
    neck_opening,
    sleeves,
    to_side,
    torso_piece,
)
from sdxl_lora.mini.renderer.geometry import Knot, bend, ellipse, outline, symmetric
from sdxl_lora.mini.renderer.parts import Draft, Garment, Line, Mark, Piece, crease


def t_shirt(draft: Draft) -> Garment:
    t = measure(draft, short=True, neck=0.085)
    drop = draft.vary(0.04, 0.055)
    garment = base(t, drop=drop)
    body = torso_piece(draft, t, 0.42)
    body.lines.append(Line(outline([(0.2, t.hem - 0.024), (0.8, t.hem - 0.024)], closed=False), 0.0035, 0.8))
    garment.front = [*sleeves(draft, t, ribbed=False), body]
    garment.opening = neck_opening(t, drop)
    garment.over = [crew_collar(t, drop, 0.019)]
    return garment


def sweatshirt(draft: Draft) -> Garment:
    t = measure(draft, wide=0.008, neck=0.082)
    drop = draft.vary(0.042, 0.052)
    garment = base(t, drop=drop)
    garment.front = [*sleeves(draft, t, ribbed=True), torso_piece(draft, t, 0.55), hem_band(t)]
    garment.opening = neck_opening(t, drop)
    garment.over = [crew_collar(t, drop, 0.036)]
    return garment


def hoodie(draft: Draft) -> Garment:
    t = measure(draft, wide=0.010)
    t.top += 0.055
    t.armpit += 0.04
    garment = base(t, drop=0.07)
    x, y = garment.anchors["centre"][:2]
    garment.anchors["centre"] = (x, y - 0.012, 0.100)
    garment.front = [*sleeves(draft, t, ribbed=True), torso_piece(draft, t, 0.5), hem_band(t)]
    low, high = t.hem - 0.055, t.hem - 0.225
    pocket = Piece(
        path=outline(
            [
                (0.375, low),
                (0.365, low - 0.06),
                (0.415, high),
                (0.585, high),
                (0.635, low - 0.06),
                (0.625, low),
            ]
        ),
        roundness=0.02,
        depth=0.14,
        shadow=0.3,
    )
    for side in SIDES:
        edge = outline([(0.5 + side * 0.135, low - 0.06), (0.5 + side * 0.085, high)], closed=False)
        pocket.lines.append(Line(edge, 0.012, 0.7))
    garment.front.append(pocket)
    _add_hood(draft, t, garment)
    return garment


def _add_hood(draft: Draft, t: Torso, garment: Garment) -> None:
    """A raised hood with its opening and two cords."""
    w, y = 0.128, t.top
    hood = symmetric(
        [
            (0.5, y - 0.118),
            bend(0.5 - w * 0.95, y - 0.122),
            (0.5 - w, y - 0.02),
            bend(0.5 - w - 0.012, y + 0.06),
            (0.5 - w * 0.72, y + 0.082),
            bend(0.5 - w * 0.25, y + 0.13),
            (0.5, y + 0.135),
        ]
    )
    hood_piece = Piece(path=hood, patterned=False, roundness=0.03, depth=0.3, shadow=0.4)
    for side in SIDES:
        hood_piece.folds += crease(
            (0.5 + side * 0.115, y + 0.05), (0.5 + side * 0.03, y + 0.12), 0.012, 0.5, side * 0.01
        )
        hood_piece.folds += crease((0.5 + side * 0.10, y - 0.07), (0.5 + side * 0.118, y + 0.04), 0.010, 0.35)
    garment.front.append(hood_piece)
    inner = w * 0.66
    garment.opening = Piece(
        path=symmetric(
            [
                (0.5, y - 0.088),
                bend(0.5 - inner * 0.98, y - 0.088),
                (0.5 - inner, y),
                bend(0.5 - inner * 0.9, y + 0.06),
                (0.5, y + 0.103),
            ]
        ),
        tone=0.52,
        patterned=False,
        depth=0.25,
        shadow=0,
        roundness=0.04,
    )
    light = draft.scene.colour in ("white", "beige", "yellow", "light blue", "pink")
    ink = (96.0, 96.0, 100.0) if light else (238.0, 238.0, 234.0)
    for side in SIDES:
        length = draft.vary(0.09, 0.13)
        x = 0.5 + side * 0.032
        path = outline(
            [(x, y + 0.10), bend(x + side * 0.012, y + 0.13), (x + side * 0.004, y + 0.10 + length)],
            closed=False,
        )
        hood_cord = Piece(path=ellipse(x, y + 0.10, 0.007, 0.007), colour=(150, 150, 150), shadow=0.1, edge=0)
        hood_cord.lines = [Line(path, 0.0095, ink, clipped=False)]
        garment.over.append(hood_cord)


def _shirt_tails(t: Torso) -> list[Knot]:
    """The torso's left half with a hem that is short at the sides and long before and behind."""
    return [
        *body_knots(t)[:-3],
        (0.5 - t.hip, t.hem - 0.075),
        bend(0.5 - t.hip * 0.96, t.hem + 0.012),
        (0.5 - t.hip * 0.55, t.hem + 0.022),
        (0.5, t.hem + 0.026),
    ]


def shirt(draft: Draft) -> Garment:
    t = measure(draft, wide=-0.008, long=0.02, neck=0.068)
    garment = base(t, drop=0.045)
    body = torso_piece(draft, t, 0.5)
    body.path = symmetric(_shirt_tails(t))
    front = outline([(0.5, t.top), (0.5, t.hem + 0.05)], closed=False)
    body.lines += [Line(front, 0.070, 0.62), Line(front, 0.058, 0.9)]
    button = (120.0, 120.0, 122.0) if draft.scene.colour in ("white", "beige") else (244.0, 240.0, 230.0)
    for i in range(6):
        y = t.top + 0.125 + i * 0.108
        body.marks.append(Mark(ellipse(0.5, y, 0.0165, 0.0165), button))
        body.marks.append(Mark(ellipse(0.5, y, 0.0045, 0.0045), (90, 90, 90)))
    garment.front = [*sleeves(draft, t, ribbed=False), body]
    for i, piece in enumerate(garment.front[:2]):  # cuffs: a band with its own seam
        side = SIDES[i]
        outer, inner = t.along(0.88)
        shape = [to_side(outer, side), to_side(inner, side)]
        piece.lines.append(Line(outline(shape, closed=False), 0.009, 0.62))
    garment.opening = neck_opening(t, 0.04)
    for side in SIDES:
        n = t.neck
        leaf = outline(
            [
                (0.5 + side * (n - 0.004), t.top - 0.030),
                bend(0.5 + side * 0.03, t.top + 0.012),
                (0.5 + side * 0.004, t.top + 0.050),
                (0.5 + side * 0.086, t.top + 0.132),
                bend(0.5 + side * (n + 0.028), t.top + 0.075),
                (0.5 + side * (n + 0.024), t.top + 0.010),
            ]
        )
        garment.over.append(Piece(path=leaf, tone=1.04, roundness=0.014, depth=0.16, shadow=0.55, edge=0.008))
    band = outline(
        [
            (0.5 - t.neck + 0.002, t.top - 0.03),
            bend(0.5, t.top - 0.052),
            (0.5 + t.neck - 0.002, t.top - 0.03),
            (0.5 + t.neck, t.top + 0.015),
            bend(0.5, t.top - 0.012),
            (0.5 - t.neck, t.top + 0.015),
        ]
    )
    garment.back = [Piece(path=band, tone=0.82, patterned=False, shadow=0)]
    return garment
