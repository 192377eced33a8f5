"""What the loop is told, what it needs, and what it tells: policy, two protocols, attempts.

The loop knows a generator and a judge by these protocols only, so that its logic can be tested without a model.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from sdxl_lora.config import GenerationRequest
from sdxl_lora.errors import RequestError
from sdxl_lora.generation import Event
from sdxl_lora.scoring.panel import Judgement

MAX_ATTEMPTS = 64


class Generator(Protocol):
    """Makes pictures, as `generation.generate` does for one model."""

    def __call__(
        self, request: GenerationRequest, *, cancel: threading.Event | None = None
    ) -> Iterator[Event]: ...


class Judge(Protocol):
    """Judges pictures, as `scoring.panel.Panel` does."""

    @property
    def notices(self) -> tuple[str, ...]: ...

    def judge(self, images: Sequence[Image.Image], request: GenerationRequest) -> list[Judgement]: ...

    def score(self, images: Sequence[Image.Image], request: GenerationRequest) -> list[float]: ...


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """When to give up on a picture half-way. Only a calibration whose rank correlation allows it makes one.

    Given up is a picture whose prediction scores less than the prediction of the best one did, of the same words.
    """

    fraction: float  # of the steps, after which the predicted picture is judged


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How long the loop tries. Raises `RequestError` on numbers that make no sense."""

    threshold: float | None = None  # score from which a picture is good enough; None = take the best of all
    max_attempts: int = 4  # the budget, in whole pictures
    patience: int = 2  # failed pictures of one prompt before the prompt is changed
    refine: bool = True  # False = other seeds only
    pruning: Pruning | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            raise RequestError(
                f"a budget of {self.max_attempts} attempts makes no picture; choose 1 to {MAX_ATTEMPTS}"
                if self.max_attempts < 1
                else f"a budget of {self.max_attempts} attempts is too many; choose 1 to {MAX_ATTEMPTS}"
            )
        if self.threshold is not None and not -100 <= self.threshold <= 100:  # also refuses NaN
            raise RequestError(f"a least score of {self.threshold} is no number between -100 and 100")
        if self.patience < 1:
            raise RequestError("the prompt can be changed after one failed picture at the earliest")
        if self.pruning is not None and not 0 < self.pruning.fraction < 1:
            raise RequestError(
                f"pictures can be given up between steps 0 and 1, not at {self.pruning.fraction}"
            )


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at the picture that was asked for."""

    number: int  # from 1
    request: GenerationRequest  # decided; makes this very picture again
    image: Image.Image | None  # None where the model gave none, or it was given up half-way
    judgement: Judgement | None
    accepted: bool  # gates passed and, if there is a threshold, reached
    best: bool  # the best so far
    change: str  # what was changed before it, in words; empty for a plain new seed
    kept: bool  # whether that change helped; later attempts are made with it
    verdict: str  # why it was accepted or not, in words
    steps: int  # denoising steps it took
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The end of the loop; always the last event."""

    best: Attempt
    attempts: int
    steps: int  # denoising steps of all attempts
    accepted: bool
    summary: str  # one line for the user
    notices: tuple[str, ...]  # what could not be judged
