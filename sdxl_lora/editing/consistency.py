"""Pictures of one product that are to stand beside each other: which of them falls out of the set, and why.

Each picture is measured alone: the garment's colour, its place and size in the frame, the background, the sharpness of
the product. What most of the set has is the measure of the rest; where a picture's colour was asked for, its colour is
held against that and not against the set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from skimage.measure import blur_effect

from sdxl_lora.editing import colour, framing
from sdxl_lora.editing.colour import RGB, GarmentColour, Lab
from sdxl_lora.editing.cutout import CutOut
from sdxl_lora.errors import InputError

LEAST = 2  # pictures of a set
_SIDE = 512  # px: blur is measured at this size, whatever a picture has
_COLOUR = 6.0  # CIEDE2000 between pictures of one colour
_BACKGROUND = 4.0  # CIEDE2000 between the middle colours of two backgrounds
_SPREAD = 6.0  # CIELAB units: how much more or less even a background may be
_PLACE = 0.04  # of the frame: how far the product's middle may be off
_FILL = 0.06  # of the frame: how much larger or smaller it may be
_SHAPE = 1.03  # ratio of two frames' aspects
_BLUR = 0.1  # how much more blurred it may be than the set


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is measured of one picture."""

    size: tuple[int, int]  # px
    garment: GarmentColour
    middle: tuple[float, float]  # of the product's box, 0..1 of the frame from left and top
    fill: float  # the larger of the box's shares of width and height, 0..1
    background: Lab | None  # middle colour; None: the product fills everything, or there is none
    spread: float  # of the background: median distance from its middle, CIELAB units
    blur: float  # of the product: 0 = sharp .. 1 = nothing but blur (Crete et al., "The Blur Effect", 2007)


@dataclass(frozen=True)
class Verdict:
    """Of one picture."""

    name: str
    look: Look
    reasons: tuple[str, ...]  # why it falls out of the set; empty: it does not

    @property
    def fits(self) -> bool:
        """Whether it belongs to the set."""
        return not self.reasons


def look_at(photo: Image.Image, cut: CutOut) -> Look:
    """Measures a picture (RGB, or RGBA: a transparent background is no background) with its cut-out."""
    product = cut.image
    left, upper, right, lower = framing.box_of(product) or (0, 0, *product.size)
    width, height = product.size
    background, spread = _background(photo, product)
    return Look(
        size=product.size,
        garment=colour.garment_colour(product),
        middle=((left + right) / 2 / width, (upper + lower) / 2 / height),
        fill=max((right - left) / width, (lower - upper) / height),
        background=background,
        spread=spread,
        blur=_blur(product),
    )


def check(
    looks: Sequence[Look],
    names: Sequence[str],
    wanted: Sequence[RGB | None] | None = None,
    scenes: Sequence[str] | None = None,
) -> list[Verdict]:
    """Which pictures of a set fall out of it.

    Args:
        looks: of at least `LEAST` pictures.
        names: what each is called.
        wanted: the colour each was to have; None: that of the others.
        scenes: which background each was to have; those of one name are held against each other. None: all one.

    Raises `InputError` for fewer pictures.
    """
    if len(looks) < LEAST:
        raise InputError(f"a set has at least {LEAST} pictures, and {len(looks)} was given; add the others")
    asked = list(wanted) if wanted is not None else [None] * len(looks)
    uncoloured = [look.garment.lab for look, swatch in zip(looks, asked, strict=True) if swatch is None]
    usual_colour = _middle(uncoloured) if len(uncoloured) >= LEAST else None
    places = list(scenes) if scenes is not None else [""] * len(looks)
    alike = {
        place: [look for look, own in zip(looks, places, strict=True) if own == place]
        for place in set(places)
    }
    return [
        Verdict(
            name,
            look,
            (
                *_of_colour(look, swatch, usual_colour),
                *_of_crop(look, looks),
                *_of_background(look, alike[place]),
                *_of_sharpness(look, looks),
            ),
        )
        for look, name, swatch, place in zip(looks, names, asked, places, strict=True)
    ]


def _of_colour(look: Look, swatch: RGB | None, usual: Lab | None) -> list[str]:
    wanted = colour.to_lab(swatch) if swatch is not None else usual
    if wanted is None:
        return []
    off = colour.difference(look.garment.lab, wanted)
    if off <= (colour.CLOSE if swatch is not None else _COLOUR):
        return []
    whose = "the swatch" if swatch is not None else "the others"
    shown = colour.to_hex(swatch) if swatch is not None else colour.to_hex(colour.to_rgb(wanted))
    return [f"garment colour {look.garment.hex}: off by {off:.0f} from {whose}, {shown}"]


def _of_crop(look: Look, looks: Sequence[Look]) -> list[str]:
    found = []
    aspects = [one.size[0] / one.size[1] for one in looks]
    aspect, usual_aspect = look.size[0] / look.size[1], float(np.median(aspects))
    if max(aspect / usual_aspect, usual_aspect / aspect) > _SHAPE:
        found.append(f"crop: {look.size[0]}x{look.size[1]} px has another shape than the others")
    usual = np.median([one.middle for one in looks], axis=0)
    across, down = look.middle[0] - usual[0], look.middle[1] - usual[1]
    if max(abs(across), abs(down)) > _PLACE:
        way = (
            ("right" if across > 0 else "left")
            if abs(across) >= abs(down)
            else ("low" if down > 0 else "high")
        )
        found.append(f"crop: the product is {max(abs(across), abs(down)):.0%} of the frame too far {way}")
    fill = float(np.median([one.fill for one in looks]))
    if abs(look.fill - fill) > _FILL:
        how = "larger" if look.fill > fill else "smaller"
        found.append(f"crop: the product is {how}, {look.fill:.0%} of the frame instead of {fill:.0%}")
    return found


def _of_background(look: Look, looks: Sequence[Look]) -> list[str]:
    bare = sum(one.background is None for one in looks) > len(looks) / 2
    usual = None if bare else _middle([one.background for one in looks if one.background is not None])
    if look.background is None or usual is None:
        if (look.background is None) == (usual is None):
            return []
        return ["background: " + ("there is none" if look.background is None else "the others have none")]
    off = colour.difference(look.background, usual)
    shown = colour.to_hex(colour.to_rgb(look.background))
    if off > _BACKGROUND:
        others = colour.to_hex(colour.to_rgb(usual))
        return [f"background {shown}: off by {off:.0f} from the others, {others}"]
    spread = float(np.median([one.spread for one in looks if one.background is not None]))
    if abs(look.spread - spread) > _SPREAD:
        return ["background: " + ("less even" if look.spread > spread else "plainer") + " than the others"]
    return []


def _of_sharpness(look: Look, looks: Sequence[Look]) -> list[str]:
    usual = float(np.median([one.blur for one in looks]))
    if look.blur - usual <= _BLUR:
        return []
    return [f"sharpness: blurred, {look.blur:.2f} on a scale to 1 where the others have {usual:.2f}"]


def _middle(labs: Sequence[Lab]) -> Lab | None:
    """The one that is nearest to the others; a mean of different colours would be nobody's."""
    return min(labs, key=lambda one: sum(colour.difference(one, other) for other in labs), default=None)


def _background(photo: Image.Image, product: Image.Image) -> tuple[Lab | None, float]:
    """Middle colour of what is not the product, and how far its pixels are from it."""
    behind = np.asarray(product.getchannel("A").resize((128, 128), Image.Resampling.BOX)) < 3
    small = photo.resize((128, 128), Image.Resampling.BOX)
    if photo.mode == "RGBA":
        behind &= np.asarray(small.getchannel("A")) > 250
    if behind.mean() < 0.01:
        return None, 0.0
    values = colour.labs(np.asarray(small.convert("RGB"))[behind])
    middle = np.median(values, axis=0)
    spread = float(np.median(np.linalg.norm(values - middle, axis=1)))
    return (float(middle[0]), float(middle[1]), float(middle[2])), spread


def _blur(product: Image.Image) -> float:
    """The blur effect of the product's box at `_SIDE` px; what is not the product has its middle colour."""
    cropped = product.crop(framing.box_of(product) or (0, 0, *product.size))
    scale = _SIDE / max(cropped.size)
    size = (max(16, round(cropped.width * scale)), max(16, round(cropped.height * scale)))
    pixels = np.asarray(cropped.resize(size, Image.Resampling.BICUBIC), np.float64) / 255
    alpha = pixels[..., 3:]
    middle = np.median(pixels[alpha[..., 0] > 0.5][:, :3], axis=0)
    return float(blur_effect((pixels[..., :3] * alpha + middle * (1 - alpha)).mean(axis=2)))
