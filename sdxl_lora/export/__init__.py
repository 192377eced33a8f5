"""What shops and networks ask of a picture: checked against the pixels, and mended as far as pixels allow.

read(data, name) -> Picture           a file as it is, its pixels upright and in sRGB, what it carries
preset(name) -> Preset                rules of one shop, each with its source and its day (`presets.toml`)
check(picture, preset) -> findings    ok, warning or fail for every rule, with what was measured and what is wanted
mend(picture, preset) -> Mended       background, framing, size, format and bytes put right; what was done, and the file
sealed(mended, picture, home)         the mended file signed, with the credentials of the one it was made from

Knows nothing of how pictures are made, of the database or of pages.
"""

from typing import TYPE_CHECKING

from sdxl_lora import later
from sdxl_lora.export.presets import Preset, Rule, preset, presets

if TYPE_CHECKING:
    from sdxl_lora.export.checking import Finding, check, wanted, worst
    from sdxl_lora.export.mending import Mended, mend
    from sdxl_lora.export.picture import Picture, read
    from sdxl_lora.export.sealing import sealed
else:  # these look at pixels: the door behind which scipy and the networks of `editing` are imported
    __getattr__ = later.names(
        __name__,
        {
            "Finding": "checking",
            "Mended": "mending",
            "Picture": "picture",
            "check": "checking",
            "mend": "mending",
            "read": "picture",
            "sealed": "sealing",
            "wanted": "checking",
            "worst": "checking",
        },
    )

__all__ = [
    "Finding",
    "Mended",
    "Picture",
    "Preset",
    "Rule",
    "check",
    "mend",
    "preset",
    "presets",
    "read",
    "sealed",
    "wanted",
    "worst",
]
