"""Encoded picture -> RGB, upright, opaque; and what was unusual about it.

EXIF rotation is applied, alpha is laid on white (catalogue pictures stand on white), 16 bit is scaled to 8.
Knows nothing of sizes or captions.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sdxl_lora.errors import ImageError

_ORIENTATION = 0x0112  # the EXIF tag
_MAX_PIXELS = 200_000_000  # more is a decompression bomb, not a product photo


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What a picture file was before it became RGB."""

    height: int  # px, upright
    width: int  # px, upright
    mode: str  # Pillow's name: RGB, RGBA, L, P, CMYK, I;16 ...
    rotated: bool  # EXIF said: turn it
    transparent: bool  # has an alpha channel or a transparent palette entry
    frames: int  # more than 1: animated, the first frame is used


def decode(data: bytes, name: str) -> tuple[Image.Image, ImageFacts]:
    """The picture as upright opaque RGB, and its facts. Raises `ImageError` naming `name`."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                raise ImageError(f"{name} is {opened.width}x{opened.height} px; make it smaller")
            facts_mode, frames = opened.mode, getattr(opened, "n_frames", 1)
            rotated = opened.getexif().get(_ORIENTATION, 1) != 1
            opened.load()
            upright = ImageOps.exif_transpose(opened)
    except ImageError:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"{name} is not a readable picture: {str(error).splitlines()[0]}") from None
    facts = ImageFacts(
        height=upright.height,
        width=upright.width,
        mode=facts_mode,
        rotated=rotated,
        transparent=upright.has_transparency_data,
        frames=frames,
    )
    return _opaque_rgb(upright), facts


def _opaque_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    if image.mode.startswith("I"):  # 16 bit grey; Pillow would clip instead of scale
        grey = np.asarray(image).astype(np.float32) / 257.0
        return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")
