"""What a generation reports while it runs."""

from dataclasses import dataclass, replace

from PIL import Image

from sdxl_lora.config import EngineName
from sdxl_lora.request import ResolvedRequest


@dataclass(frozen=True, kw_only=True)
class Started:
    """The model is ready and the first picture begins."""

    request: ResolvedRequest
    count: int  # pictures to come
    note: str = ""  # one line worth knowing: why another engine draws than was asked for


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """One denoising step of one picture."""

    picture: int  # from 0
    step: int  # from 1
    steps: int  # of this picture
    eta: float  # seconds until the last picture of the request is done, as estimated now
    preview: Image.Image | None  # what the picture is becoming, small; not at every step


@dataclass(frozen=True, kw_only=True)
class PictureDone:
    """One picture."""

    index: int  # from 0
    seed: int
    image: Image.Image
    seconds: float  # from its first step to the decoded picture
    engine: EngineName | None = None  # that drew it, see `models.engines`; None = the one asked for

    def drawn(self, request: ResolvedRequest) -> ResolvedRequest:
        """`request` of this picture with the engine that drew it, as its record says."""
        return replace(request, engine=self.engine) if self.engine else request


Event = Started | StepDone | PictureDone
