"""What wears or holds a garment: hanger, mannequin, figure. All of them are pieces like those of the garment itself."""

from dataclasses import dataclass, field

import skia

from sdxl_lora.mini.renderer.geometry import bend, ellipse, outline, rectangle, symmetric
from sdxl_lora.mini.renderer.parts import RGB, Draft, Garment, Line, Piece

SIDES = (-1, 1)
_SKIN: tuple[RGB, ...] = ((240, 204, 176), (224, 178, 142), (196, 142, 104), (150, 100, 70), (104, 68, 48))
_HAIR: tuple[RGB, ...] = ((36, 28, 26), (78, 52, 36), (132, 92, 54), (196, 158, 98), (58, 40, 34))
_LINEN: RGB = (226, 212, 190)


@dataclass(kw_only=True)
class Stand:
    """Pieces behind the garment, in its neckline, and how it must be moved to make room."""

    behind: list[Piece] = field(default_factory=list)
    neckline: list[Piece] = field(default_factory=list)
    scale: float = 1.0
    shift: float = 0.0  # downwards, after scaling about the centre


def stand_for(draft: Draft, garment: Garment) -> Stand:
    """Pieces and framing of this scene's presentation."""
    if draft.pose == "hanger":
        return _hanger(garment)
    if draft.pose == "mannequin":
        return _mannequin(garment)
    if draft.pose == "figure":
        return _legs(draft, garment) if garment.waist is not None else _figure(draft, garment)
    return Stand()


def _body(path, colour: RGB, **style: float) -> Piece:  # type: ignore[no-untyped-def]
    return Piece(path=path, colour=colour, patterned=False, edge=0, **{"shadow": 0.12, "depth": 0.24, **style})  # type: ignore[arg-type]


def _hanger(garment: Garment) -> Stand:
    neck = garment.neck
    assert neck is not None
    y, reach = neck.y, neck.shoulder * 0.92
    hook = outline([(0.5, y + 0.02), (0.5, y - 0.045), bend(0.5, y - 0.062), (0.518, y - 0.075), bend(0.54, y - 0.10),
                    (0.505, y - 0.112), bend(0.478, y - 0.112), (0.476, y - 0.088)], closed=False)  # fmt: skip
    bar = outline([(0.5 - reach, y + 0.055), bend(0.5 - 0.05, y + 0.005), (0.5, y), bend(0.55, y + 0.005), (0.5 + reach, y + 0.055),
                   (0.5 + reach, y + 0.075), bend(0.55, y + 0.035), (0.5, y + 0.032), bend(0.45, y + 0.035), (0.5 - reach, y + 0.075)])
    metal = Piece(path=rectangle(0.494, y - 0.02, 0.506, y), colour=(120, 120, 126), patterned=False, edge=0, shadow=0.1)
    metal.lines = [Line(hook, 0.014, (112, 112, 118), clipped=False), Line(hook, 0.005, (190, 190, 196), clipped=False)]
    stand = Stand(behind=[metal, _body(bar, (170, 122, 76), roundness=0.012)], scale=0.99, shift=0.02)
    if garment.opening is not None:  # the bar shows inside the neckline
        seen = skia.Op(bar, garment.opening.path, skia.PathOp.kIntersect_PathOp)
        stand.neckline = [_body(seen, (150, 106, 64), roundness=0.012)]
    return stand


def _neck_path(garment: Garment, width: float, rise: float):  # type: ignore[no-untyped-def]
    neck = garment.neck
    assert neck is not None
    return symmetric([
        (0.5 - width, neck.y - rise), bend(0.5 - width, neck.y - 0.02), (0.5 - neck.half_width * 0.99, neck.y + 0.004),
        bend(0.5 - neck.half_width * 0.45, neck.y + neck.drop), (0.5, neck.y + neck.drop),
    ])  # fmt: skip


def _mannequin(garment: Garment) -> Stand:
    neck = garment.neck
    assert neck is not None
    hips = garment.hips * 0.62
    pole = _body(rectangle(0.486, garment.hem - 0.1, 0.514, 1.2), (124, 92, 62), roundness=0.008)
    torso = _body(symmetric([(0.5 - hips, garment.hem - 0.1), bend(0.5 - hips * 0.9, garment.hem + 0.06), (0.5, garment.hem + 0.045)]), _LINEN)
    stub = _body(_neck_path(garment, 0.045, 0.075), _LINEN, roundness=0.03)
    disc = _body(ellipse(0.5, neck.y - 0.077, 0.045, 0.012), (150, 110, 74), roundness=0.01)
    return Stand(behind=[pole, torso, stub, disc], neckline=[stub, disc], scale=0.97, shift=0.0)


def _figure(draft: Draft, garment: Garment) -> Stand:
    neck = garment.neck
    assert neck is not None
    skin, hair = draft.rng.choice(_SKIN), draft.rng.choice(_HAIR)
    long_hair = draft.rng.random() < 0.5
    y = neck.y
    head_y = y - 0.118
    behind: list[Piece] = []
    bare = draft.scene.garment in ("vest", "dress") and not garment.cuffs
    legs_colour: RGB = draft.rng.choice(((52, 54, 62), (70, 78, 98), (96, 90, 82)))
    if garment.legs:  # below a dress
        for (x, end), half in garment.legs:
            behind.append(_body(rectangle(x - half, end - 0.1, x + half, 1.4, 0.02), skin, roundness=0.025))
    else:
        for s in SIDES:
            x = 0.5 + s * garment.hips * 0.46
            half = garment.hips * 0.47
            behind.append(_body(rectangle(x - half, garment.hem - 0.12, x + half, 1.4), legs_colour, roundness=0.03))
    arms: list[Piece] = []
    for (x, end), half in garment.cuffs:
        s = 1 if x > 0.5 else -1
        if end < 0.6:  # bare forearm below a short sleeve
            hand_x, hand_y = x + s * 0.025, end + 0.36
            arm = outline([(x - half, end - 0.06), (x + half, end - 0.06), bend(x + half + s * 0.02, end + 0.15),
                           (hand_x + half * 0.62, hand_y), (hand_x - half * 0.62, hand_y), bend(x - half + s * 0.01, end + 0.15)])
            arms.append(_body(arm, skin, roundness=0.02))
            arms.append(_body(ellipse(hand_x, hand_y + 0.028, half * 0.72, 0.046), skin, roundness=0.02, shadow=0))
        else:
            hand = outline([(x - half * 0.7, end - 0.03), (x + half * 0.7, end - 0.03), bend(x + half * 1.15, end + 0.05),
                            (x + half * 0.35, end + 0.088), bend(x - half * 0.6, end + 0.09), (x - half * 0.95, end + 0.035)])
            arms.append(_body(hand, skin, roundness=0.02))
    if bare or draft.scene.garment == "vest":
        inner_colour: RGB = skin if draft.scene.garment == "dress" else draft.rng.choice(((236, 236, 234), (60, 62, 68), (150, 152, 156)))
        for s in SIDES:
            x = 0.5 + s * (neck.shoulder - 0.005)
            arm = outline([(x - s * 0.05, y + 0.05), bend(x + s * 0.045, y + 0.045), (x + s * 0.062, y + 0.15), (x + s * 0.085, y + 0.60),
                           (x + s * 0.010, y + 0.60), (x - s * 0.03, y + 0.2)])
            hand = ellipse(x + s * 0.048, y + 0.635, 0.028, 0.046)
            arms += [_body(hand, skin, roundness=0.02), _body(arm, inner_colour, roundness=0.03)]
    throat = _body(_neck_path(garment, 0.040, 0.075), skin, roundness=0.035, depth=0.2)
    head = _body(symmetric([
        (0.5, head_y - 0.092), bend(0.5 - 0.072, head_y - 0.092), (0.5 - 0.068, head_y - 0.005), bend(0.5 - 0.062, head_y + 0.085),
        (0.5, head_y + 0.088),
    ]), skin, roundness=0.04, shadow=0.3)  # fmt: skip
    fringe = _body(symmetric([
        (0.5, head_y - 0.110), bend(0.5 - 0.092, head_y - 0.108), (0.5 - 0.080, head_y + 0.02), (0.5 - 0.064, head_y + 0.01),
        bend(0.5 - 0.062, head_y - 0.045), (0.5, head_y - 0.056),
    ]), hair, roundness=0.03)  # fmt: skip
    if long_hair:
        behind.append(_body(symmetric([
            (0.5, head_y - 0.10), bend(0.5 - 0.11, head_y - 0.10), (0.5 - 0.092, head_y + 0.03), bend(0.5 - 0.10, y + 0.02),
            (0.5 - 0.085, y + 0.07), (0.5, y + 0.07),
        ]), hair))  # fmt: skip
    behind += arms
    hooded = draft.scene.garment == "hoodie"
    if hooded:
        face = _body(ellipse(0.5, y + 0.0, 0.066, 0.088), skin, roundness=0.04, shadow=0.2)
        return Stand(behind=behind[: len(behind) - len(arms)][:2] + arms, neckline=[face], scale=0.97, shift=0.0)
    tall = draft.scene.garment in ("dress", "coat")
    return Stand(behind=behind, neckline=[throat, head, fringe], scale=0.80 if tall else 0.88, shift=0.09 if tall else 0.085)


def _legs(draft: Draft, garment: Garment) -> Stand:
    """The lower half of a person: shirt above the waist, legs and shoes below."""
    assert garment.waist is not None
    skin = draft.rng.choice(_SKIN)
    top, half = garment.waist
    shirt: RGB = draft.rng.choice(((232, 232, 230), (74, 78, 86), (176, 178, 182)))
    behind = []
    torso = outline([(0.5 - half - 0.02, -0.4), (0.5 + half + 0.02, -0.4), (0.5 + half + 0.004, top + 0.03), (0.5 - half - 0.004, top + 0.03)])
    behind.append(_body(torso, shirt, roundness=0.04))
    shoe: RGB = draft.rng.choice(((236, 236, 234), (48, 48, 52)))
    for (x, end), width in garment.legs:
        s = 1 if x > 0.5 else -1
        if end < 0.88:
            w = 0.056 if draft.scene.garment == "shorts" else 0.052
            leg = outline([(x - w, end - 0.2), (x + w, end - 0.2), bend(x + w * 1.05, end + 0.12), (x + w * 0.75, 1.4), (x - w * 0.75, 1.4),
                           bend(x - w * 1.05, end + 0.12)])
            behind.append(_body(leg, skin, roundness=0.03))
        else:
            foot = outline([(x - width * 0.75, end - 0.03), (x + width * 0.75, end - 0.03), bend(x + s * 0.02 + width * 0.9, end + 0.07),
                            (x + s * 0.02, end + 0.066), bend(x + s * 0.02 - width * 0.9, end + 0.07)])
            behind.append(_body(foot, shoe, roundness=0.02))
    return Stand(behind=behind, scale=0.98, shift=0.0)
