"""What a training run tells its caller, in order: small frozen records, nothing printed."""

from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One line a person should read: a fallback, a warning."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Progress of a cache: `done` of `total` records of this process."""

    what: str  # pictures, captions
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Started:
    """Everything is loaded; updates `start` to `total` follow."""

    start: int
    total: int
    updates_per_epoch: int
    trained_parameters: int


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One optimizer update."""

    step: int  # updates made, this one included
    epoch: int  # from 0
    loss: float  # mean over the update's pictures in all processes
    learning_rate: float
    grad_norm: float  # before clipping
    pictures: int  # in all processes
    seconds: float
    skipped: bool = False  # fp16 overflow: the weights did not change
    losses: tuple[tuple[str, float], ...] = ()  # per picture of this process, with --debug_loss


@dataclass(frozen=True, kw_only=True)
class ValidationLoss:
    """The loss of the pictures that are not trained on, after `step` updates."""

    step: int
    loss: float
    pictures: int


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Validation pictures after `step` updates."""

    step: int
    prompts: tuple[str, ...]  # one per picture
    images: tuple[Image.Image, ...]
    scores: tuple[float, ...] = field(default=())  # one per picture, where a scorer was given


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A complete checkpoint, or the finished LoRA."""

    step: int
    path: Path
    finished: bool = False


Event = Notice | Encoded | Started | StepRecord | ValidationLoss | Validated | Saved
