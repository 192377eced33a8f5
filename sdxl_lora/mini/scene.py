"""What one rendered catalogue picture shows, as words from a closed vocabulary, and how scenes are drawn.

A scene knows nothing of pixels (`mini.renderer`) or sentences (`mini.captions`). Some combinations are never
trained on (`is_held_out`), so that prompt following can be measured on combinations the model has not seen.
"""

import hashlib
import random
from dataclasses import asdict, dataclass
from typing import Any, Self

# Colour name -> sRGB of the cloth in neutral light.
COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (30, 30, 33),
    "white": (240, 240, 238),
    "grey": (138, 140, 143),
    "navy": (28, 40, 86),
    "blue": (36, 92, 196),
    "light blue": (144, 194, 232),
    "red": (204, 32, 40),
    "burgundy": (108, 22, 42),
    "green": (34, 128, 66),
    "olive": (100, 102, 50),
    "beige": (216, 196, 160),
    "brown": (112, 70, 42),
    "yellow": (244, 204, 48),
    "orange": (238, 120, 32),
    "pink": (240, 150, 182),
    "purple": (112, 62, 164),
    "teal": (18, 134, 138),
}

# Garment -> KREAM category (first word of a caption).
GARMENTS: dict[str, str] = {
    "jacket": "outer",
    "puffer jacket": "outer",
    "coat": "outer",
    "vest": "outer",
    "hoodie": "top",
    "sweatshirt": "top",
    "t-shirt": "top",
    "shirt": "top",
    "trousers": "bottom",
    "jeans": "bottom",
    "shorts": "bottom",
    "skirt": "bottom",
    "dress": "dress",
    "sneakers": "shoes",
    "cap": "accessory",
    "tote bag": "accessory",
}

PATTERNS = ("plain", "striped", "checked", "camouflage", "colour-block")
EMBLEMS = ("triangle", "circle", "star", "bar", "stripes", "diamond", "cross", "ring")
SETTINGS = ("studio", "white", "wall", "street", "forest", "golden hour", "fog", "wood", "beach", "night")
PRESENTATIONS = ("flat", "hanger", "mannequin", "figure")

# Where an emblem may sit on each garment; the first is the most common.
POSITIONS: dict[str, tuple[str, ...]] = {
    "jacket": ("chest", "sleeve"),
    "puffer jacket": ("chest", "sleeve"),
    "coat": ("chest", "sleeve"),
    "vest": ("chest",),
    "hoodie": ("centre", "chest", "sleeve"),
    "sweatshirt": ("centre", "chest", "sleeve"),
    "t-shirt": ("centre", "chest"),
    "shirt": ("chest", "sleeve"),
    "trousers": ("thigh",),
    "jeans": ("thigh",),
    "shorts": ("thigh",),
    "skirt": ("hem",),
    "dress": ("centre", "hem"),
    "sneakers": ("side",),
    "cap": ("front",),
    "tote bag": ("front",),
}
ALL_POSITIONS = ("centre", "chest", "sleeve", "thigh", "hem", "side", "front")

# Only upper garments and dresses hang, or stand on a mannequin; shoes, caps and bags lie.
_WEARABLE = {g for g, category in GARMENTS.items() if category in ("outer", "top", "dress")}
_JEANS_COLOURS = ("blue", "light blue", "navy", "black", "grey", "white")
_MIN_CONTRAST = 190  # sum of absolute sRGB differences between an emblem and its cloth


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture in words. `None` emblem: no emblem; `None` second colour: plain or camouflage."""

    garment: str
    colour: str
    pattern: str = "plain"
    second_colour: str | None = None  # of stripes, checks and blocks
    emblem: str | None = None
    emblem_colour: str | None = None
    emblem_position: str | None = None
    setting: str = "studio"
    presentation: str = "flat"
    seed: int = 0  # decides everything the words leave open: proportions, folds, light

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        return cls(**values)


def contrast(first: str, second: str) -> int:
    """Sum of absolute sRGB differences between two named colours, 0..765."""
    return sum(abs(a - b) for a, b in zip(COLOURS[first], COLOURS[second], strict=True))


def presentations(garment: str) -> tuple[str, ...]:
    """How a garment can be shown."""
    if garment in _WEARABLE:
        return PRESENTATIONS
    if GARMENTS[garment] == "bottom":
        return ("flat", "figure")
    return ("flat",)


def is_held_out(scene: Scene) -> bool:
    """Whether the scene has a combination that training never shows.

    About 8 % of the (garment, colour) pairs and 15 % of the (garment, emblem, emblem colour) triples; chosen by a
    hash, so that the choice needs no file and never changes.
    """
    if _fraction("pair", scene.garment, scene.colour) < 0.08:
        return True
    if scene.emblem is None or scene.emblem_colour is None:
        return False
    return _fraction("triple", scene.garment, scene.emblem, scene.emblem_colour) < 0.15


def sample_scene(rng: random.Random, *, held_out: bool | None = False) -> Scene:
    """Draw a scene for training, one with a held-out combination, or (None) any. Same state of `rng`, same scene."""
    while True:
        scene = _draw(rng)
        if held_out is None or is_held_out(scene) == held_out:
            return scene


def _fraction(*words: str) -> float:
    """A fixed number in 0..1 for these words."""
    digest = hashlib.sha256("|".join(words).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def _draw(rng: random.Random) -> Scene:
    garment = rng.choice(list(GARMENTS))
    colour = rng.choice(_JEANS_COLOURS if garment == "jeans" else list(COLOURS))
    pattern = "plain"
    if garment not in ("jeans", "sneakers"):
        pattern = rng.choices(PATTERNS, (0.60, 0.12, 0.10, 0.08, 0.10))[0]
    second_colour = None
    if pattern in ("striped", "checked", "colour-block"):
        usual = "white" if contrast(colour, "white") > _MIN_CONTRAST else "navy"
        second_colour = rng.choice(_contrasting(colour)) if rng.random() < 0.45 else usual
    emblem = emblem_colour = position = None
    if rng.random() < (0.72 if pattern == "plain" else 0.30):
        emblem = rng.choice(EMBLEMS)
        usual = "white" if contrast(colour, "white") > _MIN_CONTRAST else "black"
        emblem_colour = usual if rng.random() < 0.45 else rng.choice(_contrasting(colour))
        places = POSITIONS[garment]
        position = places[0] if rng.random() < 0.6 else rng.choice(places)
    weights = (0.24, 0.14, 0.08, 0.11, 0.08, 0.08, 0.07, 0.08, 0.06, 0.06)
    shown = presentations(garment)
    presentation = "flat" if len(shown) == 1 or rng.random() < 0.6 else rng.choice(shown[1:])
    return Scene(
        garment=garment,
        colour=colour,
        pattern=pattern,
        second_colour=second_colour,
        emblem=emblem,
        emblem_colour=emblem_colour,
        emblem_position=position,
        setting=rng.choices(SETTINGS, weights)[0],
        presentation=presentation,
        seed=rng.getrandbits(31),
    )


def _contrasting(colour: str) -> list[str]:
    return [other for other in COLOURS if contrast(colour, other) > _MIN_CONTRAST]
