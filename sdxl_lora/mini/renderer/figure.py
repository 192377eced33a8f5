"""A simple person without a face: upper half for tops and dresses, lower half for trousers and skirts."""

import skia

from sdxl_lora.mini.renderer.geometry import bend, ellipse, outline, rectangle, symmetric
from sdxl_lora.mini.renderer.parts import RGB, Draft, Garment, Neck, Piece, Stand, neckline_path, solid

SIDES = (-1, 1)
_SKIN: tuple[RGB, ...] = ((240, 204, 176), (224, 178, 142), (196, 142, 104), (150, 100, 70), (104, 68, 48))
_HAIR: tuple[RGB, ...] = ((36, 28, 26), (78, 52, 36), (132, 92, 54), (196, 158, 98), (58, 40, 34))
_LEGWEAR: tuple[RGB, ...] = ((52, 54, 62), (70, 78, 98), (96, 90, 82))
_UNDERSHIRT: tuple[RGB, ...] = ((236, 236, 234), (60, 62, 68), (150, 152, 156))
_SHIRT: tuple[RGB, ...] = ((232, 232, 230), (74, 78, 86), (176, 178, 182))
_SHOE: tuple[RGB, ...] = ((236, 236, 234), (48, 48, 52))


def upper_half(draft: Draft, garment: Garment) -> Stand:
    """Head, arms and thighs of somebody who wears an upper garment or a dress."""
    neck = garment.neck
    assert neck is not None
    word = draft.scene.garment
    skin, hair = draft.rng.choice(_SKIN), draft.rng.choice(_HAIR)
    long_hair = draft.rng.random() < 0.5
    legwear = draft.rng.choice(_LEGWEAR)
    legs = _thighs(garment, skin, legwear)
    if word == "vest":
        arms = _whole_arms(neck, skin, draft.rng.choice(_UNDERSHIRT))
    elif word == "dress" and not garment.cuffs:
        arms = _whole_arms(neck, skin, skin)
    else:
        arms = [piece for cuff in garment.cuffs for piece in _arm_below(cuff, skin)]
    if word == "hoodie":  # the hood is up: it frames a face and hides the hair
        face = solid(ellipse(0.5, neck.y, 0.066, 0.088), skin, roundness=0.04, shadow=0.2)
        return Stand(behind=legs + arms, neckline=[face], scale=0.97)
    throat = solid(neckline_path(garment, 0.040, 0.075), skin, roundness=0.035, depth=0.2)
    behind = [*legs, _long_hair(neck.y, hair), *arms] if long_hair else legs + arms
    tall = word in ("dress", "coat")
    return Stand(
        behind=behind,
        neckline=[throat, *_head(neck.y, skin, hair)],
        scale=0.80 if tall else 0.88,
        shift=0.09 if tall else 0.085,
    )


def lower_half(draft: Draft, garment: Garment) -> Stand:
    """A shirt above the waist, legs and shoes below."""
    assert garment.waist is not None
    skin = draft.rng.choice(_SKIN)
    top, half = garment.waist
    shirt = draft.rng.choice(_SHIRT)
    torso = outline(
        [
            (0.5 - half - 0.02, -0.4),
            (0.5 + half + 0.02, -0.4),
            (0.5 + half + 0.004, top + 0.03),
            (0.5 - half - 0.004, top + 0.03),
        ]
    )
    behind = [solid(torso, shirt, roundness=0.04)]
    shoe = draft.rng.choice(_SHOE)
    for (x, end), width in garment.legs:
        if end < 0.88:
            bare = _bare_leg(x, end, 0.056 if draft.scene.garment == "shorts" else 0.052)
            behind.append(solid(bare, skin, roundness=0.03))
        else:
            behind.append(solid(_shoe(x, end, width), shoe, roundness=0.02))
    return Stand(behind=behind, scale=0.98)


def _thighs(garment: Garment, skin: RGB, legwear: RGB) -> list[Piece]:
    """Bare legs below a dress, trousers below everything else."""
    if garment.legs:
        return [
            solid(rectangle(x - half, end - 0.1, x + half, 1.4, 0.02), skin, roundness=0.025)
            for (x, end), half in garment.legs
        ]
    half = garment.hips * 0.47
    middles = [0.5 + side * garment.hips * 0.46 for side in SIDES]
    return [
        solid(rectangle(x - half, garment.hem - 0.12, x + half, 1.4), legwear, roundness=0.03)
        for x in middles
    ]


def _arm_below(cuff: tuple[tuple[float, float], float], skin: RGB) -> list[Piece]:
    """What comes out of a sleeve: a hand, or forearm and hand if the sleeve is short."""
    (x, end), half = cuff
    if end >= 0.6:
        hand = outline(
            [
                (x - half * 0.7, end - 0.03),
                (x + half * 0.7, end - 0.03),
                bend(x + half * 1.15, end + 0.05),
                (x + half * 0.35, end + 0.088),
                bend(x - half * 0.6, end + 0.09),
                (x - half * 0.95, end + 0.035),
            ]
        )
        return [solid(hand, skin, roundness=0.02)]
    side = 1 if x > 0.5 else -1
    hand_x, hand_y = x + side * 0.025, end + 0.36
    arm = outline(
        [
            (x - half, end - 0.06),
            (x + half, end - 0.06),
            bend(x + half + side * 0.02, end + 0.15),
            (hand_x + half * 0.62, hand_y),
            (hand_x - half * 0.62, hand_y),
            bend(x - half + side * 0.01, end + 0.15),
        ]
    )
    hand = ellipse(hand_x, hand_y + 0.028, half * 0.72, 0.046)
    return [solid(arm, skin, roundness=0.02), solid(hand, skin, roundness=0.02, shadow=0)]


def _whole_arms(neck: Neck, skin: RGB, sleeve: RGB) -> list[Piece]:
    """Arms from the shoulder, for garments without sleeves."""
    pieces = []
    y = neck.y
    for side in SIDES:
        x = 0.5 + side * (neck.shoulder - 0.005)
        arm = outline(
            [
                (x - side * 0.05, y + 0.05),
                bend(x + side * 0.045, y + 0.045),
                (x + side * 0.062, y + 0.15),
                (x + side * 0.085, y + 0.60),
                (x + side * 0.010, y + 0.60),
                (x - side * 0.03, y + 0.2),
            ]
        )
        hand = ellipse(x + side * 0.048, y + 0.635, 0.028, 0.046)
        pieces += [solid(hand, skin, roundness=0.02), solid(arm, sleeve, roundness=0.03)]
    return pieces


def _head(neck_y: float, skin: RGB, hair: RGB) -> list[Piece]:
    y = neck_y - 0.118
    face = symmetric(
        [
            (0.5, y - 0.092),
            bend(0.5 - 0.072, y - 0.092),
            (0.5 - 0.068, y - 0.005),
            bend(0.5 - 0.062, y + 0.085),
            (0.5, y + 0.088),
        ]
    )
    fringe = symmetric(
        [
            (0.5, y - 0.110),
            bend(0.5 - 0.092, y - 0.108),
            (0.5 - 0.080, y + 0.02),
            (0.5 - 0.064, y + 0.01),
            bend(0.5 - 0.062, y - 0.045),
            (0.5, y - 0.056),
        ]
    )
    return [solid(face, skin, roundness=0.04, shadow=0.3), solid(fringe, hair, roundness=0.03)]


def _long_hair(neck_y: float, hair: RGB) -> Piece:
    y = neck_y - 0.118
    path = symmetric(
        [
            (0.5, y - 0.10),
            bend(0.5 - 0.11, y - 0.10),
            (0.5 - 0.092, y + 0.03),
            bend(0.5 - 0.10, neck_y + 0.02),
            (0.5 - 0.085, neck_y + 0.07),
            (0.5, neck_y + 0.07),
        ]
    )
    return solid(path, hair)


def _bare_leg(x: float, end: float, half: float) -> skia.Path:
    return outline(
        [
            (x - half, end - 0.2),
            (x + half, end - 0.2),
            bend(x + half * 1.05, end + 0.12),
            (x + half * 0.75, 1.4),
            (x - half * 0.75, 1.4),
            bend(x - half * 1.05, end + 0.12),
        ]
    )


def _shoe(x: float, end: float, width: float) -> skia.Path:
    outward = 0.02 if x > 0.5 else -0.02
    return outline(
        [
            (x - width * 0.75, end - 0.03),
            (x + width * 0.75, end - 0.03),
            bend(x + outward + width * 0.9, end + 0.07),
            (x + outward, end + 0.066),
            bend(x + outward - width * 0.9, end + 0.07),
        ]
    )
