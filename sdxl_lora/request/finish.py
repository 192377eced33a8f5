"""The part of a request that says how the finished picture's product is shown; no model has to do with it.

Declared as every field of a request is, see `wish`, whose table these fields are part of.
"""

from dataclasses import dataclass

from sdxl_lora.request.field import declared
from sdxl_lora.request.kinds import Background, Colour, Picture, Switch, Whole


@dataclass(frozen=True, kw_only=True)
class Finish:
    """What is done with the product after decoding: without arguments, nothing."""

    recolour: str = declared(
        Colour(),
        default="",
        label="Garment's colour",
        help="A colour such as #1F2A44 that the finished picture's garment is given; folds and prints stay.",
        flag="--recolour",
        flag_help="give the finished picture's garment this colour; folds and prints stay",
        metavar="#RRGGBB",
        group="settings",
        latents=False,
    )
    background: str = declared(
        Background(),
        default="",
        label="Background",
        help="What is put behind the product of the finished picture.",
        flag="--background",
        flag_help="cut the product out, and put it on transparent, white or a colour such as #1F2A44",
        metavar="WHAT",
        group="settings",
        latents=False,
    )
    fill: int = declared(
        Whole(low=10, high=100, besides=(0,)),
        default=0,
        otherwise=0,
        label="Product fills",
        unit="%",
        help="How much of the frame the product takes on its new background, in the middle; 0 leaves it where it is.",
        flag="--fill",
        flag_help="centre the product and let it fill so much of the frame",
        metavar="PERCENT",
        group="settings",
        latents=False,
    )
    shadow: bool = declared(
        Switch(),
        default=False,
        otherwise=False,
        label="Shadow on the ground",
        help="A soft shadow below the product on its new background.",
        flag="--shadow",
        flag_help="a soft shadow below the product",
        metavar="on",
        group="settings",
        latents=False,
    )
    product: str = declared(
        Picture(),
        default="",
        label="Product",
        help="A cut-out that is put in front of the finished picture, by the SHA-256 of its file among the inputs.",
        latents=False,
    )
