"""What the loop is told, what it needs, and what it tells: policy, two protocols, attempts.

The loop knows a generator and a judge by these protocols only, so that its logic can be tested without a model.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from PIL import Image

from sdxl_lora.errors import RequestError
from sdxl_lora.generation import Event
from sdxl_lora.request import ResolvedRequest
from sdxl_lora.scoring.card import ScoreCard

MAX_ATTEMPTS = 64


class Generator(Protocol):
    """Makes pictures, as `generation.generate` does for one model."""

    def __call__(
        self, request: ResolvedRequest, *, cancel: threading.Event | None = None
    ) -> Iterator[Event]: ...


class Judge(Protocol):
    """Judges pictures, as `scoring.verifier.Verifier` does."""

    @property
    def notices(self) -> tuple[str, ...]: ...

    def judge(
        self, images: Sequence[Image.Image], request: ResolvedRequest, *, sketch: bool = False
    ) -> list[ScoreCard]: ...


def sketch_of(request: ResolvedRequest, steps: int) -> ResolvedRequest:
    """The request of a sketch of that many steps, guided to its end: large steps need it (docs/log.md).

    It is cleaned up as its picture is, though it is not shown: mottled, it foretells less (docs/log.md).
    """
    return replace(request, steps=steps, sketch_steps=0, guidance_end=1.0)


def finished_from(request: ResolvedRequest, steps: int) -> ResolvedRequest:
    """The request of the whole picture that is finished from the handoff step of such a sketch, guided as it asks.

    Guided to its end it would score more and look worse: flat cloth and backgrounds get mottled (docs/log.md).
    """
    return replace(request, sketch_steps=steps)


@dataclass(frozen=True, kw_only=True)
class Sketching:
    """Candidates are drawn with few steps and judged; only what promises most is finished.

    The same seed leads to nearly the same picture with fewer steps. How nearly differs between models: only a
    calibration whose rank correlation allows it makes one of these.
    """

    steps: int  # of a sketch
    gain: float = 0.0  # what the whole picture scores more than its sketch, on average
    finishing: int | None = None  # steps from a sketch's handoff step; None = the whole picture is drawn anew

    def whole(self, request: ResolvedRequest) -> ResolvedRequest:
        """The request of the whole picture, whose sketch has the same words and seed."""
        return request if self.finishing is None else finished_from(request, self.steps)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How long the loop tries. Raises `RequestError` on numbers that make no sense."""

    threshold: float | None = None  # score from which a picture is good enough; None = take the best of all
    max_attempts: int = 4  # the budget, in whole pictures
    patience: int = 2  # failed candidates of one prompt before the prompt is changed
    refine: bool = True  # False = other seeds only
    sketching: Sketching | None = None  # None = every candidate is drawn whole

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
        if self.sketching is not None and self.sketching.steps < 1:
            raise RequestError(f"a sketch of {self.sketching.steps} steps is no picture")


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The start of the loop; always the first event."""

    steps: int  # denoising steps of all attempts together, at most
    attempts: int  # how many attempts, at most


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at the picture that was asked for."""

    number: int  # from 1
    request: ResolvedRequest  # decided; makes this very picture again, or the whole picture of a sketch
    image: Image.Image | None  # None where the model gave none
    judgement: ScoreCard | None
    accepted: bool  # whole, gates passed and, if there is a threshold, reached
    best: bool  # the best of its kind so far: of the sketches, or of the whole pictures
    change: str  # what was changed before it, in words; empty for a plain new seed
    kept: bool  # whether that change helped; later attempts are made with it
    verdict: str  # why it was accepted or not, in words
    steps: int  # denoising steps it took
    seconds: float
    sketch: bool = False  # drawn with few steps, to see what it would become
    finishes: int = 0  # number of the sketch that became this picture; 0 = it had none


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The end of the loop; always the last event."""

    best: Attempt  # never a sketch
    attempts: int  # sketches among them
    steps: int  # denoising steps of all attempts
    accepted: bool
    summary: str  # one line for the user
    notices: tuple[str, ...]  # what could not be judged
