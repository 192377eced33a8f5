"""Sneakers, cap and tote bag."""

from sdxl_lora.mini.renderer.geometry import bend, ellipse, lens, outline, rectangle
from sdxl_lora.mini.renderer.parts import Draft, Fold, Garment, Line, Mark, Piece, crease


def sneakers(draft: Draft) -> Garment:
    """A low shoe from the side, toe to the right."""
    y, h = draft.vary(0.655, 0.675), draft.vary(0.295, 0.33)
    inside = outline(
        [
            (0.115, y - h * 1.04),
            bend(0.25, y - h * 0.78),
            (0.385, y - h * 1.07),
            bend(0.27, y - h * 0.98),
        ]
    )
    tongue = outline(
        [
            (0.375, y - h * 1.06),
            (0.40, y - h * 1.26),
            bend(0.45, y - h * 1.32),
            (0.485, y - h * 1.20),
            (0.50, y - h * 0.95),
        ]
    )
    pieces = [
        Piece(path=tongue, tone=0.9, patterned=False, shadow=0.1, roundness=0.02),
        _upper(y, h),
        Piece(path=inside, tone=0.5, patterned=False, shadow=0),
        *_panels(y, h),
        _laces(y, h, dark=draft.scene.colour in ("white", "beige")),
        _sole(y, cream=draft.scene.colour == "white"),
    ]
    return Garment(front=pieces, anchors={"side": (0.355, y - h * 0.40, 0.076)})


def _upper(y: float, h: float) -> Piece:
    """The cloth of a shoe whose sole begins at `y` and which is about `h` high."""
    path = outline(
        [
            (0.085, y),
            bend(0.075, y - h * 0.55),
            (0.10, y - h * 0.98),
            bend(0.11, y - h * 1.12),
            (0.17, y - h * 1.05),
            bend(0.26, y - h * 0.80),
            (0.36, y - h * 1.02),
            bend(0.41, y - h * 1.20),
            (0.46, y - h * 1.10),
            bend(0.60, y - h * 0.60),
            (0.76, y - h * 0.50),
            bend(0.94, y - h * 0.42),
            (0.935, y),
        ]
    )
    folds = [
        *crease((0.62, y - h * 0.55), (0.70, y - h * 0.14), 0.014, 0.4, 0.01),
        *crease((0.20, y - h * 0.75), (0.33, y - h * 0.45), 0.016, 0.3, 0.02),
        Fold(lens((0.14, y - h * 0.8), (0.85, y - h * 0.30), 0.05, -0.06), 0.35),
    ]
    seams = (
        [(0.445, y - h), bend(0.40, y - h * 0.5), (0.455, y)],
        [(0.43, y - h * 0.98), bend(0.56, y - h * 0.5), (0.735, y - h * 0.34)],
    )
    lines = [Line(outline(seam, closed=False), 0.004, 0.68) for seam in seams]
    return Piece(path=path, folds=folds, lines=lines, roundness=0.05, depth=0.30)


def _panels(y: float, h: float) -> list[Piece]:
    """Darker toe cap and heel."""
    toe = outline(
        [
            (0.735, y + 0.01),
            bend(0.735, y - h * 0.36),
            (0.80, y - h * 0.49),
            bend(0.945, y - h * 0.42),
            (0.94, y + 0.01),
        ]
    )
    heel = outline(
        [
            (0.07, y + 0.01),
            (0.082, y - h * 0.72),
            bend(0.15, y - h * 0.74),
            (0.185, y - h * 0.5),
            bend(0.21, y - h * 0.2),
            (0.23, y + 0.01),
        ]
    )
    return [
        Piece(path=path, tone=0.82, patterned=False, roundness=0.025, shadow=0.15, depth=0.2)
        for path in (toe, heel)
    ]


def _laces(y: float, h: float, *, dark: bool) -> Piece:
    ink = (84.0, 84.0, 90.0) if dark else (246.0, 246.0, 243.0)
    laces = Piece(path=ellipse(0.47, y - h, 0.001, 0.001), colour=ink, shadow=0, edge=0)
    for k in range(5):
        x, top = 0.475 + 0.055 * k, y - h * (1.09 - 0.125 * k)
        strip = outline([(x, top), bend(x - 0.012, top + 0.03), (x - 0.050, top + 0.072)], closed=False)
        laces.lines += [Line(strip, 0.019, 0.62, clipped=False), Line(strip, 0.0145, ink, clipped=False)]
        laces.marks.append(Mark(ellipse(x - 0.052, top + 0.076, 0.009, 0.009), (70, 70, 74)))
    return laces


def _sole(y: float, *, cream: bool) -> Piece:
    path = outline(
        [
            (0.062, y - 0.018),
            bend(0.5, y + 0.016),
            (0.945, y - 0.030),
            bend(0.965, y + 0.02),
            (0.935, y + 0.062),
            bend(0.90, y + 0.078),
            (0.84, y + 0.078),
            (0.12, y + 0.078),
            bend(0.055, y + 0.07),
            (0.062, y - 0.018),
        ]
    )
    groove = Line(outline([(0.05, y + 0.046), (0.96, y + 0.040)], closed=False), 0.006, (150, 146, 140))
    colour = (206.0, 198.0, 184.0) if cream else (240.0, 238.0, 232.0)
    return Piece(path=path, colour=colour, lines=[groove], roundness=0.02, depth=0.2, shadow=0.2)


def cap(draft: Draft) -> Garment:
    """A baseball cap, three quarters from the front, peak to the right."""
    y = draft.vary(0.60, 0.63)
    h = draft.vary(0.37, 0.41)
    crown = outline(
        [
            (0.13, y),
            bend(0.10, y - h * 0.98),
            (0.43, y - h),
            bend(0.74, y - h * 0.98),
            (0.755, y - 0.035),
            bend(0.46, y + 0.005),
            (0.13, y),
        ]
    )
    body = Piece(path=crown, roundness=0.075, depth=0.30)
    body.folds = [
        Fold(lens((0.25, y - h * 0.75), (0.36, y - 0.06), 0.05, 0.03), 0.25),
        *crease((0.20, y - 0.03), (0.30, y - 0.14), 0.014, 0.3),
    ]
    # Two seams from the button down, each with a stitch beside it.
    for control, end in (
        ((0.26, y - h * 0.7), (0.255, y)),
        ((0.70, y - h * 0.80), (0.70, y - 0.02)),
    ):
        for aside, width, ink in ((0.0, 0.006, 0.72), (0.012, 0.003, 0.82)):
            knots = [(0.43 + aside, y - h), bend(control[0] + aside, control[1]), (end[0] + aside, end[1])]
            body.lines.append(Line(outline(knots, closed=False), width, ink))
    body.marks = [
        Mark(ellipse(0.225, y - h * 0.62, 0.009, 0.009), 0.5),
        Mark(ellipse(0.645, y - h * 0.76, 0.008, 0.008), 0.5),
    ]
    button = Piece(
        path=ellipse(0.43, y - h + 0.004, 0.026, 0.014), tone=0.94, patterned=False, roundness=0.01
    )
    garment = Garment(
        front=[button, body, _under_peak(y), _peak(y, patterned=draft.scene.pattern == "colour-block")]
    )
    garment.anchors = {"front": (0.475, y - h * 0.50, 0.098)}
    garment.block = rectangle(-0.2, y - h * 0.17, 1.2, 1.2)
    return garment


def _peak(y: float, *, patterned: bool) -> Piece:
    peak_path = outline(
        [
            (0.24, y - 0.006),
            bend(0.50, y - 0.055),
            (0.755, y - 0.055),
            bend(0.93, y - 0.01),
            (0.955, y + 0.085),
            bend(0.95, y + 0.13),
            (0.89, y + 0.112),
            bend(0.62, y + 0.005),
            (0.24, y - 0.006),
        ]
    )
    peak = Piece(path=peak_path, tone=0.93, patterned=patterned, roundness=0.03, depth=0.28, shadow=0.35)
    for i in (0.25, 0.45, 0.65):
        stitch = outline(
            [
                (0.30 + 0.2 * i, y - 0.012),
                bend(0.62 + 0.1 * i, y - 0.03 + 0.06 * i),
                (0.955, y + 0.03 + 0.09 * i),
            ],
            closed=False,
        )
        peak.lines.append(Line(stitch, 0.003, 0.80))
    return peak


def _under_peak(y: float) -> Piece:
    """The underside of the peak, seen at its tip."""
    return Piece(
        path=outline(
            [
                (0.60, y + 0.012),
                bend(0.80, y + 0.05),
                (0.89, y + 0.11),
                bend(0.94, y + 0.135),
                (0.952, y + 0.09),
                bend(0.96, y + 0.16),
                (0.88, y + 0.128),
                bend(0.74, y + 0.05),
            ]
        ),
        tone=0.5,
        patterned=False,
        shadow=0,
        edge=0,
    )


def tote(draft: Draft) -> Garment:
    """A canvas bag with two handles, from the front."""
    top, bottom = draft.vary(0.355, 0.38), draft.vary(0.90, 0.925)
    w, b = draft.vary(0.295, 0.32), draft.vary(0.275, 0.30)
    rise = draft.vary(0.26, 0.28)
    path = outline(
        [
            (0.5 - w, top),
            bend(0.5, top + 0.012),
            (0.5 + w, top),
            bend(0.5 + w + 0.004, (top + bottom) / 2),
            (0.5 + b, bottom - 0.015),
            bend(0.5 + b, bottom),
            (0.5 + b - 0.02, bottom),
            bend(0.5, bottom + 0.012),
            (0.5 - b + 0.02, bottom),
            bend(0.5 - b, bottom),
            (0.5 - b, bottom - 0.015),
            bend(0.5 - w - 0.004, (top + bottom) / 2),
            (0.5 - w, top),
        ]
    )
    bag = Piece(path=path, roundness=0.05, depth=0.22)
    v = draft.vary
    for s in (-1, 1):
        bag.folds += crease(
            (0.5 + s * 0.15, top + 0.05),
            (0.5 + s * v(0.16, 0.24), bottom - v(0.1, 0.2)),
            0.018,
            v(0.3, 0.5),
            v(-0.02, 0.02),
        )
        bag.folds += crease(
            (0.5 + s * b, bottom - 0.02),
            (0.5 + s * v(0.08, 0.16), bottom - v(0.08, 0.15)),
            0.014,
            v(0.3, 0.5),
            0.012,
        )
        x = 0.5 + s * 0.145
        patch = rectangle(x - 0.022, top + 0.012, x + 0.022, top + 0.065)
        bag.lines += [
            Line(patch, 0.004, 0.7),
            Line(outline([(x - 0.02, top + 0.014), (x + 0.02, top + 0.062)], closed=False), 0.003, 0.75),
        ]
    bag.lines.append(Line(outline([(0.1, top + 0.042), (0.9, top + 0.042)], closed=False), 0.004, 0.76))
    mouth = ellipse(0.5, top + 0.002, w - 0.01, 0.012)
    inside = Piece(path=mouth, tone=0.5, patterned=False, shadow=0, edge=0)
    garment = Garment(
        back=[_handle(top, rise, back=True)], front=[inside, bag, _handle(top, rise, back=False)]
    )
    garment.anchors = {"front": (0.5, top + 0.26, 0.112)}
    garment.block = rectangle(-0.2, bottom - 0.155, 1.2, 1.2)
    return garment


def _handle(top: float, rise: float, *, back: bool) -> Piece:
    """A strap that stands `rise` above the bag's mouth; the one at the back is darker and a little higher."""
    y, apex = top - 0.01, top - rise - (0.016 if back else 0.0)
    path = outline(
        [
            (0.5 - 0.165, y + 0.03),
            bend(0.5 - 0.15, apex),
            (0.5, apex),
            bend(0.5 + 0.15, apex),
            (0.5 + 0.165, y + 0.03),
            (0.5 + 0.125, y + 0.03),
            bend(0.5 + 0.115, apex + 0.038),
            (0.5, apex + 0.038),
            bend(0.5 - 0.115, apex + 0.038),
            (0.5 - 0.125, y + 0.03),
        ]
    )
    tone = 0.72 if back else 0.97
    return Piece(path=path, tone=tone, patterned=False, roundness=0.012, depth=0.2, shadow=0.15)
