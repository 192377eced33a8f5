"""The loop: make a picture, judge it, try another seed, change the prompt, stop as soon as one is good enough.

Early-stopped best-of-N. Retrying until a score is reached costs fewer pictures than a fixed N for the same gain,
and choosing among seeds is hard to beat at equal cost (ImageSelect, arXiv:2305.13308), so seeds come first and words
only after `patience` failures. Knows a `Generator` and a `Judge` and nothing of models, files or pages.
"""

import contextlib
import math
import threading
import time
from collections.abc import Generator as Stream
from collections.abc import Iterator
from dataclasses import dataclass, replace

from PIL import Image

from sdxl_lora.config import MAX_SEED, GenerationRequest
from sdxl_lora.errors import Cancelled, InputError, ModelUnavailableError, StorageError, StudioError
from sdxl_lora.feedback.attempts import Attempt, Finished, Generator, Judge, Policy
from sdxl_lora.feedback.refinement import Edit, helped, propose
from sdxl_lora.generation import Event, PictureDone, Started, StepDone
from sdxl_lora.scoring.panel import Judgement, rank

_STARTS_PER_ATTEMPT = 3  # a budget of four pictures begins at most twelve, however early they are given up


def improve(
    request: GenerationRequest,
    generator: Generator,
    judge: Judge,
    policy: Policy,
    *,
    cancel: threading.Event | None = None,
    stride: int = 1,
) -> Iterator[Event | Attempt | Finished]:
    """Attempts at one picture, with the generator's own events between them; ends with `Finished`.

    Args:
        request: resolved, of one picture; the n-th seed is its own plus `n * stride`.
        stride: the number of pictures that take their seeds from the same row.
        cancel: stops within one denoising step; attempts that were yielded stay valid.

    Raises `Cancelled`; `StudioError` naming the cause where no attempt gave a picture; what generator and judge
    raise about the request itself.
    """
    return _Loop(request, generator, judge, policy, cancel or threading.Event(), stride).run()


@dataclass
class _Made:
    """What came of one call of the generator."""

    image: Image.Image | None = None
    steps: int = 0
    seconds: float = 0.0
    trouble: str = ""
    pruned: bool = False
    preview: float = math.nan  # score of the predicted picture part of the way, if it was judged


class _Loop:
    def __init__(
        self,
        request: GenerationRequest,
        generator: Generator,
        judge: Judge,
        policy: Policy,
        cancel: threading.Event,
        stride: int,
    ) -> None:
        if request.seed is None or request.count != 1:
            raise InputError("the loop makes one picture from a seed that is decided; see generation.resolve")
        self._request = request
        self._generator = generator
        self._judge = judge
        self._policy = policy
        self._cancel = cancel
        self._stride = stride
        self._best: Attempt | None = None
        self._number = 0
        self._steps = 0  # of all attempts
        self._whole = 0  # steps of a whole attempt, once known
        self._seeds = 0  # seeds begun
        self._failures = 0  # whole pictures since the last change of the prompt
        self._tried = [request.prompt]
        self._troubles: list[str] = []
        self._best_preview: tuple[str, float] | None = None  # words and preview's score of the best picture

    def run(self) -> Iterator[Event | Attempt | Finished]:
        prompt = self._request.prompt
        while self._may_go_on():
            edit = self._edit()
            if edit is None:
                attempt = yield from self._try(self._next_seed(prompt), None)
            else:
                assert self._best is not None  # what the edit was made from
                self._tried.append(edit.prompt)
                attempt = yield from self._try(edit.apply(self._best.request), edit)
                if attempt.kept:
                    prompt = edit.prompt
                self._failures = self._policy.patience - 1  # one more seed before the next change
            if attempt.accepted:
                break
        yield self._finished()

    def _edit(self) -> Edit | None:
        """The change of the best picture's prompt that is due now, if any."""
        if not self._policy.refine or self._failures < self._policy.patience or self._best is None:
            return None
        judgement = self._best.judgement
        if judgement is None:
            return None
        return propose(self._best.request.prompt, judgement.findings, self._tried)

    def _next_seed(self, prompt: str) -> GenerationRequest:
        assert self._request.seed is not None  # checked at the start
        seed = (self._request.seed + self._seeds * self._stride) % (MAX_SEED + 1)
        self._seeds += 1
        return replace(self._request, seed=seed, prompt=prompt)

    def _may_go_on(self) -> bool:
        """Whether the budget holds another whole picture. Given-up ones cost what they took."""
        if self._number >= self._policy.max_attempts * _STARTS_PER_ATTEMPT:
            return False
        if self._number < self._policy.max_attempts:
            return True
        return self._steps + self._whole <= self._policy.max_attempts * self._whole

    def _try(self, request: GenerationRequest, edit: Edit | None) -> Stream[Event | Attempt, None, Attempt]:
        """One attempt, its events and itself."""
        self._number += 1
        made = yield from self._make(request)
        self._steps += made.steps
        judgement = None
        if made.image is not None:
            [judgement] = self._judge.judge([made.image], request)
        attempt = self._judged(request, made, judgement, edit)
        if attempt.best:
            self._best = attempt
            self._best_preview = (request.prompt, made.preview)
        if not made.pruned:
            self._failures += 1
        if attempt.judgement is None or not math.isfinite(attempt.judgement.score):
            self._troubles += [] if made.pruned else [attempt.verdict]
        yield attempt
        return attempt

    def _make(self, request: GenerationRequest) -> Stream[Event, None, _Made]:
        made, began = _Made(), time.perf_counter()
        pruning = self._policy.pruning
        try:
            with contextlib.closing(_stream(self._generator(request, cancel=self._cancel))) as events:
                for event in events:
                    yield event
                    if isinstance(event, StepDone):
                        made.steps = event.step
                        self._whole = max(self._whole, event.steps)
                        shown = event.preview
                        if pruning and shown is not None and event.step >= pruning.fraction * event.steps:
                            made.preview = self._judge.score([shown], request)[0]
                            made.pruned = self._is_hopeless(request, made.preview)
                            pruning = None  # looked at once
                            if made.pruned:
                                break
                    elif isinstance(event, PictureDone):
                        made.image = event.image
                    elif not isinstance(event, Started):
                        raise TypeError(f"a generator has no event {event!r}")
        except (Cancelled, InputError, ModelUnavailableError, StorageError):
            raise
        except StudioError as error:  # no picture from this seed; the next one may give one
            made.trouble = str(error)
        made.seconds = time.perf_counter() - began
        return made

    def _is_hopeless(self, request: GenerationRequest, preview: float) -> bool:
        """Whether the picture is becoming worse than the best one of the same words was at that point."""
        if self._best_preview is None or self._best_preview[0] != request.prompt:
            return False
        return preview < self._best_preview[1]  # False for NaN

    def _judged(
        self, request: GenerationRequest, made: _Made, judgement: Judgement | None, edit: Edit | None
    ) -> Attempt:
        usable = judgement is not None and math.isfinite(judgement.score)
        accepted = best = kept = False
        if judgement is None:
            verdict = made.trouble or "given up half-way: the picture was becoming worse than the best one"
        elif not usable:
            verdict = next((gate.reason for gate in judgement.failed), f"{judgement.scorer} gave no number")
        else:
            held = self._best.judgement if self._best else None
            best = held is None or rank(judgement) > rank(held)
            kept = edit is not None and held is not None and helped(edit.attribute, held, judgement)
            accepted, verdict = self._verdict(judgement)
        return Attempt(
            number=self._number,
            request=request,
            image=made.image,
            judgement=judgement,
            accepted=accepted,
            best=best,
            change="" if edit is None else edit.words,
            kept=kept,
            verdict=verdict if edit is None else f"{verdict}; {'kept' if kept else 'undid'} the change",
            steps=made.steps,
            seconds=made.seconds,
        )

    def _verdict(self, judgement: Judgement) -> tuple[bool, str]:
        threshold = self._policy.threshold
        if judgement.failed:
            return False, "; ".join(f"{gate.name}: {gate.reason}" for gate in judgement.failed)
        if threshold is None:
            return False, f"{judgement.scorer} {judgement.score:.3f}; no threshold, the best of all is taken"
        sign = "reaches" if judgement.score >= threshold else "is below"
        return (
            judgement.score >= threshold,
            f"{judgement.scorer} {judgement.score:.3f} {sign} {threshold:.3f}",
        )

    def _finished(self) -> Finished:
        if self._best is None:
            cause = self._troubles[-1] if self._troubles else "every picture was given up half-way"
            raise StudioError(f"none of {self._number} attempts gave a picture: {cause}")
        best, threshold = self._best, self._policy.threshold
        if best.accepted:
            summary = f"accepted attempt {best.number} of {self._number}"
        elif best.judgement is not None and best.judgement.failed:
            summary = f"none of {self._number} attempts passed every check; attempt {best.number} is the best"
        elif threshold is None:
            summary = f"attempt {best.number} is the best of {self._number}"
        else:
            summary = (
                f"none of {self._number} attempts reached {threshold:.3f}; attempt {best.number} is the best"
            )
        return Finished(
            best=best,
            attempts=self._number,
            steps=self._steps,
            accepted=best.accepted,
            summary=summary,
            notices=self._judge.notices,
        )


def _stream(events: Iterator[Event]) -> Stream[Event, None, None]:
    """`events` as a generator, which can be closed whatever they are; closing it closes them."""
    try:
        yield from events
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()
