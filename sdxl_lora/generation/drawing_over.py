"""A part of a finished picture drawn again by the loaded model, from itself and only a little."""

import threading
from dataclasses import replace

from PIL import Image

from sdxl_lora.generation.engine import generate
from sdxl_lora.generation.events import PictureDone
from sdxl_lora.generation.starting import Start
from sdxl_lora.models.loading import LoadedModel
from sdxl_lora.request import ResolvedRequest
from sdxl_lora.request.cue import NO_CUE


def drawn_over(
    model: LoadedModel,
    request: ResolvedRequest,
    part: Image.Image,
    strength: float,
    *,
    seed: int,
    cancel: threading.Event | None = None,
) -> Image.Image:
    """What the model makes of `part` (RGB, of the size that `request` draws), in the picture's words.

    What belongs to a whole picture is left out: sketches, logos shown while drawing, and the cleanup step, which would
    take away the detail that this is for. Raises as `generate`.
    """
    alone = replace(
        request,
        seed=seed,
        count=1,
        strength=strength,
        sketch_steps=0,
        cleanup_timestep=0,
        logo_cue=NO_CUE,
    )
    start = Start(picture=part, mask=None, whole=part, box=(0, 0, *part.size), opacity=None)
    [drawn] = [
        event.image
        for event in generate(model, alone, cancel=cancel, start=start)
        if isinstance(event, PictureDone)
    ]
    return drawn
