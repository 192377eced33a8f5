"""A request -> pictures, as a stream of events. Knows nothing of scores and files.

resolve(request)                     every open choice decided
generate(model, request, cancel=..)  Started, StepDone ..., PictureDone, ...
count_tokens(model, text)            how much of a prompt the model reads
"""

from sdxl_lora.generation.embeddings import TokenCount, count_tokens
from sdxl_lora.generation.engine import generate
from sdxl_lora.generation.events import Event, PictureDone, Started, StepDone
from sdxl_lora.generation.resolve import resolve

__all__ = [
    "Event",
    "PictureDone",
    "Started",
    "StepDone",
    "TokenCount",
    "count_tokens",
    "generate",
    "resolve",
]
