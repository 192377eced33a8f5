"""What holds a garment: hanger, mannequin or figure. All are pieces like those of the garment itself."""

import skia

from sdxl_lora.mini.renderer.figure import lower_half, upper_half
from sdxl_lora.mini.renderer.geometry import bend, ellipse, outline, rectangle, symmetric
from sdxl_lora.mini.renderer.parts import RGB, Draft, Garment, Line, Piece, Stand, neckline_path, solid

_LINEN: RGB = (226, 212, 190)


def stand_for(draft: Draft, garment: Garment) -> Stand:
    """Pieces and framing of this scene's presentation."""
    if draft.pose == "hanger":
        return _hanger(garment)
    if draft.pose == "mannequin":
        return _mannequin(garment)
    if draft.pose == "figure":
        return lower_half(draft, garment) if garment.waist is not None else upper_half(draft, garment)
    return Stand()


def _hanger(garment: Garment) -> Stand:
    neck = garment.neck
    assert neck is not None
    y, reach = neck.y, neck.shoulder * 0.92
    hook = outline(
        [
            (0.5, y + 0.02),
            (0.5, y - 0.045),
            bend(0.5, y - 0.062),
            (0.518, y - 0.075),
            bend(0.54, y - 0.10),
            (0.505, y - 0.112),
            bend(0.478, y - 0.112),
            (0.476, y - 0.088),
        ],
        closed=False,
    )
    bar = outline(
        [
            (0.5 - reach, y + 0.055),
            bend(0.5 - 0.05, y + 0.005),
            (0.5, y),
            bend(0.55, y + 0.005),
            (0.5 + reach, y + 0.055),
            (0.5 + reach, y + 0.075),
            bend(0.55, y + 0.035),
            (0.5, y + 0.032),
            bend(0.45, y + 0.035),
            (0.5 - reach, y + 0.075),
        ]
    )
    metal = Piece(
        path=rectangle(0.494, y - 0.02, 0.506, y), colour=(120, 120, 126), patterned=False, edge=0, shadow=0.1
    )
    metal.lines = [
        Line(hook, 0.014, (112, 112, 118), clipped=False),
        Line(hook, 0.005, (190, 190, 196), clipped=False),
    ]
    stand = Stand(behind=[metal, solid(bar, (170, 122, 76), roundness=0.012)], scale=0.99, shift=0.02)
    if garment.opening is not None:  # the bar shows inside the neckline
        seen = skia.Op(bar, garment.opening.path, skia.PathOp.kIntersect_PathOp)
        stand.neckline = [solid(seen, (150, 106, 64), roundness=0.012)]
    return stand


def _mannequin(garment: Garment) -> Stand:
    neck = garment.neck
    assert neck is not None
    hips = garment.hips * 0.62
    pole = solid(rectangle(0.486, garment.hem - 0.1, 0.514, 1.2), (124, 92, 62), roundness=0.008)
    torso = solid(
        symmetric(
            [
                (0.5 - hips, garment.hem - 0.1),
                bend(0.5 - hips * 0.9, garment.hem + 0.06),
                (0.5, garment.hem + 0.045),
            ]
        ),
        _LINEN,
    )
    stub = solid(neckline_path(garment, 0.045, 0.075), _LINEN, roundness=0.03)
    disc = solid(ellipse(0.5, neck.y - 0.077, 0.045, 0.012), (150, 110, 74), roundness=0.01)
    return Stand(behind=[pole, torso, stub, disc], neckline=[stub, disc], scale=0.97, shift=0.0)
