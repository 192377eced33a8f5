"""A request -> pictures, as a stream of events. Knows nothing of scores and files.

resolve(request)                     every open choice decided; check(request) only says what is wrong
generate(model, request, cancel=..)  Started, StepDone ..., PictureDone, ...
as_it_is(request, cancel=..)         the same of a start picture that is only finished
count_tokens(model, text)            how much of a prompt the model reads
finishing_steps(steps, sketch_steps) what is left from the handoff step of a sketch; can_finish_sketches(model)
has_cue_networks(request)            whether the networks that show it a logo are on this machine
"""

from typing import TYPE_CHECKING

from sdxl_lora import later
from sdxl_lora.generation.events import Event, PictureDone, Started, StepDone
from sdxl_lora.generation.handoff import finishing_steps
from sdxl_lora.generation.tokens import TokenCount

if TYPE_CHECKING:
    from sdxl_lora.generation.cueing import has_cue_networks
    from sdxl_lora.generation.embeddings import count_tokens
    from sdxl_lora.generation.engine import generate
    from sdxl_lora.generation.handoff import can_finish_sketches
    from sdxl_lora.generation.resolving import check, resolve
    from sdxl_lora.generation.starting import as_it_is
else:  # these draw, or ask what draws: the door behind which torch and diffusers are imported
    __getattr__ = later.names(
        __name__,
        {
            "as_it_is": "starting",
            "can_finish_sketches": "handoff",
            "check": "resolving",
            "count_tokens": "embeddings",
            "generate": "engine",
            "has_cue_networks": "cueing",
            "resolve": "resolving",
        },
    )

__all__ = [
    "Event",
    "PictureDone",
    "Started",
    "StepDone",
    "TokenCount",
    "as_it_is",
    "can_finish_sketches",
    "check",
    "count_tokens",
    "finishing_steps",
    "generate",
    "has_cue_networks",
    "resolve",
]
