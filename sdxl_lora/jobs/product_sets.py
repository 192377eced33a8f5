"""One product photo -> the requests of a set: every colour before every background, in one framing, from one seed.

The product is cut out once, so that it is the same in all of them. White, transparent and plain backgrounds need no
model; a scene is drawn by one, and the product is put in front of it. Which pictures fall out of a set is said by
`editing.consistency`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.data import images
from sdxl_lora.editing import backgrounds, colour, consistency, framing
from sdxl_lora.editing.backgrounds import Background
from sdxl_lora.editing.colour import RGB
from sdxl_lora.editing.consistency import Look, Verdict
from sdxl_lora.editing.cutout import CutOut, cut_out
from sdxl_lora.errors import RequestError
from sdxl_lora.models import registry
from sdxl_lora.request import GenerationRequest

SIDE = 1_024  # px
MOST = 64  # pictures of a set
_FACTORS = (4, 2, 1)  # of enlarging, largest first


@dataclass(frozen=True)
class Member:
    """One picture of a set."""

    name: str  # without suffix
    colour: RGB | None  # None: the product's own
    scene: str  # which background
    request: GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a set is to have; without arguments: the product as it is, on pure white."""

    colours: tuple[str, ...] = ()  # #RRGGBB
    scenes: tuple[str, ...] = ("white",)  # white, transparent, #RRGGBB, or words
    fill: int = round(framing.FILL * 100)  # % of the frame
    shadow: bool = False
    side: int = SIDE  # px of the square frame; scenes come as near to it as the model's size allows
    seed: int = 0
    model: str = "auto"


def product_of(photo: Path | bytes, name: str = "the photo") -> tuple[str, CutOut]:
    """(hash among the inputs, cut-out) of the product on a photo. Raises `ImageError`, `StorageError`."""
    found = cut_out(_read(photo) if isinstance(photo, Path) else _decoded(photo, name))
    return inputs.keep(found.image, alpha=True, name=name).hash, found


def members(product: str, name: str, wish: Wish) -> list[Member]:
    """The pictures of a set of a kept cut-out. Raises `InputError`."""
    if not 64 <= wish.side <= 4_096 or wish.side % 8:
        raise RequestError(f"a frame of {wish.side} px cannot be made; use a multiple of 8 from 64 to 4096")
    swatches: list[tuple[str, RGB | None]] = [("", None)]
    if wish.colours:
        swatches = [(colour.to_hex(rgb), rgb) for rgb in map(colour.parse, wish.colours)]
    behind = [(text, backgrounds.parse(text)) for text in wish.scenes]
    if len(swatches) * len(behind) > MOST:
        raise RequestError(f"that is {len(swatches) * len(behind)} pictures; a set has at most {MOST}")
    side, factor = wish.side, 1
    if any(kind.scene for _, kind in behind):
        own = registry.describe(wish.model).defaults.width
        factor = next((f for f in _FACTORS if f * own <= wish.side), 1)
        side = own * factor
    found = []
    for text, kind in behind:
        for code, swatch in swatches:
            request = _request(product, code, kind, text, wish, side=side, factor=factor)
            found.append(Member("-".join(filter(None, (name, code[1:], _slug(text)))), swatch, text, request))
    return found


def look_at(path: Path) -> Look:
    """Measures a picture of a set. Raises `ImageError`."""
    picture = _read(path)
    return consistency.look_at(picture, cut_out(picture))


def check(made: Sequence[tuple[Member, Path]]) -> list[Verdict]:
    """Which pictures of a set that was made fall out of it. Raises `ImageError`, `InputError`."""
    return consistency.check(
        [look_at(path) for _, path in made],
        [member.name for member, _ in made],
        [member.colour for member, _ in made],
        [member.scene for member, _ in made],
    )


def _request(
    product: str, code: str, kind: Background, text: str, wish: Wish, *, side: int, factor: int
) -> GenerationRequest:
    shown = GenerationRequest(
        prompt=kind.scene or f"the product{code and f' in {code}'} on {text}",
        product=product,
        recolour=code,
        fill=wish.fill,
        shadow=wish.shadow,
        seed=wish.seed,
        model=wish.model,
    )
    if kind.scene:
        drawn = side // factor
        return replace(shown, width=drawn, height=drawn, upscale=factor)
    canvas = inputs.keep(Image.new("RGB", (side, side), backgrounds.WHITE)).hash
    plain = colour.to_hex(kind.colour) if kind.colour else "transparent"
    return replace(shown, start_picture=canvas, strength=0.0, background=plain)


def _read(path: Path) -> Image.Image:
    """Upright, RGB, or RGBA where it has transparency. Raises `ImageError`."""
    return _decoded(images.content(path), path.name)


def _decoded(data: bytes, name: str) -> Image.Image:
    images.check_bytes(data, name)
    return images.decode(data, name, most=inputs.MAX_PIXELS, alpha=True)[0]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
