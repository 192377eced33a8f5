"""What a tool of the Edit page is: its name, what it does in one sentence, and its widgets."""

from collections.abc import Callable
from dataclasses import dataclass

from sdxl_lora.jobs.edits import Source
from sdxl_lora.request import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the widgets of a tool say."""

    request: Callable[[], GenerationRequest]  # called when the button is pressed; raises `StudioError`
    drawn: bool = True  # by a model: other seeds give other pictures


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One thing that can be done to a picture."""

    name: str  # on its button
    help: str  # one sentence
    show: Callable[[Source], Wanted | None]  # draws its widgets; None = something is still missing
