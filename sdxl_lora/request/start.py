"""The part of a request that says which picture it begins from, and what of it is drawn anew.

Declared as every field of a request is, see `wish`, whose table these fields are part of.
"""

from dataclasses import dataclass

from sdxl_lora.request.field import declared
from sdxl_lora.request.kinds import Name, Number, Picture, Whole

MAX_FEATHER = 512  # px


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a picture begins from: without arguments, noise."""

    start_picture: str = declared(
        Picture(),
        default="",
        label="Start picture",
        help="The picture to begin from, by the SHA-256 of its file among the inputs.",
        of_start=True,
    )
    strength: float | None = declared(
        Number(low=0, high=1, step=0.05, advice="0.3 varies a little, 0.6 a lot"),
        otherwise=1.0,
        label="Strength of the change",
        help="How far the start picture is left behind, from 0 to 1; 1 keeps nothing of it, in the masked part.",
        flag="--strength",
        flag_help="how far the start picture is left behind, 0 to 1",
        metavar="S",
        a1111="Denoising strength",
        of_start=True,
    )
    mask: str = declared(
        Picture(),
        default="",
        label="Mask",
        help="The part of the start picture to draw anew: white in a picture of the same size, by the SHA-256 of its"
        " file among the inputs. All other pixels stay as they are.",
        flag="--mask",
        flag_help="draw only the white part of this picture anew",
        metavar="FILE",
        of_start=True,
    )
    mask_feather: int | None = declared(
        Whole(low=0, high=MAX_FEATHER),
        otherwise=0,
        label="Soft edge of the mask",
        unit="px",
        help="Inside the mask, over so many pixels, the new part fades into the old one.",
        flag="--mask-feather",
        flag_help="fade over so many pixels inside the mask",
        metavar="PX",
        latents=False,
        of_start=True,
    )
    made_from: str = declared(
        Name(),
        default="",
        label="Made from",
        help="The id of the picture of this studio that it was made from.",
        latents=False,
        wished=False,
    )
