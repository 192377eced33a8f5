"""A product and words -> the request for a scene behind it: a model draws the scene, the product stays as it is.

Where the picture is of a size that the model can draw a scene for, enlarged if need be, the product stands where it
stood, and its whole pixels are those of the photo. A larger or smaller picture is scaled as a whole to the nearest such
size.
"""

import math
from typing import Final

from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.errors import PromptError
from sdxl_lora.jobs.edits import Source
from sdxl_lora.models import registry
from sdxl_lora.request import GenerationRequest

_FACTORS: Final = (4, 2, 1)  # of enlarging a scene, largest first
_MULTIPLE: Final = 8  # px, of what a model draws
_WIDEST: Final = 2  # longer side by shorter side of what a model is asked for


def before(
    source: Source, product: Image.Image, scene: str, *, shadow: bool = False, model: str = "auto"
) -> GenerationRequest:
    """The product (RGBA, at the picture's size) before what the words describe.

    Raises `PromptError` without words, `StorageError`, `InputError` for an unknown model.
    """
    if not scene.strip():
        raise PromptError("say what should be behind the product, for example: a beach at sunset")
    own = registry.describe(model).defaults.width
    side = max(product.size)
    wanted = min(max(side, own), own * _FACTORS[0])
    if wanted != side:
        scale = wanted / side
        size = (max(1, round(product.width * scale)), max(1, round(product.height * scale)))
        product = product.resize(size, Image.Resampling.LANCZOS)  # Pillow weighs colours by alpha
    factor = next((factor for factor in _FACTORS if own * factor <= wanted), 1)
    drawn = [_drawn(length, wanted, factor) for length in product.size]
    canvas = Image.new("RGBA", (drawn[0] * factor, drawn[1] * factor), (255, 255, 255, 0))
    canvas.paste(product, ((canvas.width - product.width) // 2, (canvas.height - product.height) // 2))
    kept = inputs.keep(canvas, alpha=True, name="the product").hash
    inputs.inherit(kept, source.picture)
    return GenerationRequest(
        prompt=scene.strip(),
        model=model,
        product=kept,
        shadow=shadow,
        width=drawn[0],
        height=drawn[1],
        upscale=factor,
        made_from=source.made_from,
    )


def _drawn(length: int, longest: int, factor: int) -> int:
    """px of a side that the model draws, so that enlarged it holds `length`."""
    least = max(length, longest // _WIDEST)
    return max(inputs.SMALLEST_SIDE, math.ceil(least / factor / _MULTIPLE) * _MULTIPLE)
