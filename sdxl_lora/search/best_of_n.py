"""The loop: draw the plain picture, judge it, try other seeds, change the prompt, stop as soon as one is good enough.

Early-stopped best-of-N. Retrying until a score is reached costs fewer pictures than a fixed N for the same gain,
and choosing among seeds is hard to beat at equal cost (ImageSelect, arXiv:2305.13308), so seeds come first and words
only after `patience` failures. The first candidate is the picture that one shot would give, whole and unchanged: what
is delivered is never worse by the judge than that. Where a calibration allows it, the others are sketches: few steps
lead to nearly the picture that all steps lead to, so many can be looked at for the price of one, and the best are
finished, from their handoff step where the sampler allows that, until one is good enough or the budget is spent. What
is delivered has all the detail of a whole picture, and its request alone makes it again.

Knows a `Generator` and a `Judge` and nothing of models, files or pages.
"""

import contextlib
import math
import statistics
import sys
import threading
import time
from collections.abc import Generator as Stream
from collections.abc import Iterator
from dataclasses import dataclass, replace

from PIL import Image

from sdxl_lora.config import EngineName
from sdxl_lora.errors import Cancelled, InputError, ModelUnavailableError, StorageError, StudioError
from sdxl_lora.generation import Event, PictureDone, Started, StepDone
from sdxl_lora.request import MAX_SEED, ResolvedRequest
from sdxl_lora.scoring.card import rank
from sdxl_lora.search import verdicts
from sdxl_lora.search.attempts import Attempt, Begun, Finished, Generator, Judge, Policy, sketch_of
from sdxl_lora.search.refinement import Edit, helped, propose

SKETCHES_PER_ATTEMPT = 2  # of the budget, at most: decoding and judging a sketch takes time, too
SKETCHES_TO_CHOOSE_FROM = 3  # at least: a few more cost little beside the picture that one of them becomes


def best_of_n(
    request: ResolvedRequest,
    generator: Generator,
    judge: Judge,
    policy: Policy,
    *,
    cancel: threading.Event | None = None,
    stride: int = 1,
) -> Iterator[Begun | Event | Attempt | Finished]:
    """Attempts at one picture, with the generator's own events between them; from `Begun` to `Finished`.

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
    engine: EngineName | None = None  # that drew it; None = the one that was asked for


class _Loop:
    def __init__(
        self,
        request: ResolvedRequest,
        generator: Generator,
        judge: Judge,
        policy: Policy,
        cancel: threading.Event,
        stride: int,
    ) -> None:
        if request.count != 1:
            raise InputError("the loop makes one picture; see for_picture of its request")
        self._request = request
        self._generator = generator
        self._judge = judge
        self._policy = policy
        self._cancel = cancel
        self._stride = stride
        self._whole = request.steps  # of a whole picture
        self._left = policy.max_attempts * request.steps  # of the budget, in steps
        self._sketching = policy.sketching
        self._finishing = self._whole  # steps from a sketch to its whole picture
        if self._sketching and self._sketching.finishing is not None:
            self._finishing = self._sketching.finishing
        if self._sketching and self._whole + self._sketching.steps + self._finishing > self._left:
            self._sketching = None  # the budget holds no sketch beside the plain picture
        self._candidates = policy.max_attempts - 1  # still to come after the plain picture
        if self._sketching:
            self._candidates *= SKETCHES_PER_ATTEMPT
        self._best: Attempt | None = None  # of the whole pictures
        self._leader: Attempt | None = None  # of the candidates, sketches or not: its words are changed
        self._sketches: list[Attempt] = []  # that are not finished
        self._sketched = 0  # sketches drawn
        self._gains = [self._sketching.gain] if self._sketching else []  # usual, then seen of this picture
        self._number = 0
        self._steps = 0  # that all attempts took
        self._seeds = 0  # that were begun
        self._failures = 0  # candidates since the last change of the prompt
        self._tried = [request.prompt]
        self._troubles: list[str] = []

    def run(self) -> Iterator[Begun | Event | Attempt | Finished]:
        yield Begun(steps=self._left, attempts=self._most_attempts())
        attempt = yield from self._one_shot()
        prompt = self._request.prompt
        while not attempt.accepted and self._may_go_on():
            edit = self._edit()
            if edit is None:
                attempt = yield from self._try(self._next_seed(prompt), None)
            else:
                assert self._leader is not None  # what the edit was made from
                self._tried.append(edit.prompt)
                attempt = yield from self._try(edit.apply(self._leader.request), edit)
                if attempt.kept:
                    prompt = edit.prompt
                self._failures = self._policy.patience - 1  # one more seed before the next change
            if (sketch := self._promising()) is not None:
                attempt = yield from self._finish(sketch)
        while not attempt.accepted and (sketch := self._affordable()) is not None:
            attempt = yield from self._finish(sketch)
        yield self._finished()

    # ------------------------------------------------------------------ what comes next

    def _most_attempts(self) -> int:
        """How many attempts the budget holds at most."""
        left = self._left - self._whole
        if self._sketching is None:
            return 1 + self._candidates
        sketches = min(self._candidates, (left - self._finishing) // self._sketching.steps)
        return 1 + sketches + (left - sketches * self._sketching.steps) // self._finishing

    def _may_go_on(self) -> bool:
        """Whether the budget holds another candidate, and if that is a sketch, the whole picture of one."""
        needed = self._finishing + (self._sketching.steps if self._sketching else 0)
        return self._candidates > 0 and self._left >= needed

    def _edit(self) -> Edit | None:
        """The change of the leader's prompt that is due now, if any."""
        judgement = self._leader.judgement if self._leader else None
        if not self._policy.refine or self._failures < self._policy.patience or judgement is None:
            return None
        assert self._leader is not None
        return propose(self._leader.request.prompt, judgement.findings, self._tried)

    def _next_seed(self, prompt: str) -> ResolvedRequest:
        seed = (self._request.seed + self._seeds * self._stride) % (MAX_SEED + 1)
        self._seeds += 1
        return replace(self._request, seed=seed, prompt=prompt)

    def _promise(self, sketch: Attempt) -> tuple[int, float]:
        """The rank that the whole picture of a sketch would have."""
        failed, score = _rank(sketch)
        return failed, score + self._gain

    @property
    def _gain(self) -> float:
        """What a whole picture scores more than its sketch; of these words it may be less than it usually is."""
        return statistics.fmean(self._gains)

    def _promises_enough(self, sketch: Attempt) -> bool:
        """Whether the whole picture would be accepted."""
        threshold = self._policy.threshold
        return threshold is not None and self._promise(sketch) >= (0, threshold)

    def _promising(self) -> Attempt | None:
        """The best sketch, if there was a choice and its whole picture would be accepted."""
        sketch = self._best_sketch()
        if sketch is None or self._sketched < SKETCHES_TO_CHOOSE_FROM:
            return None
        return sketch if self._promises_enough(sketch) else None

    def _best_sketch(self) -> Attempt | None:
        return max(self._sketches, key=_rank, default=None)

    def _affordable(self) -> Attempt | None:
        """The best sketch that is left, if its whole picture is in the budget."""
        return self._best_sketch() if self._left >= self._finishing else None

    # ------------------------------------------------------------------ one attempt

    def _one_shot(self) -> Stream[Event | Attempt, None, Attempt]:
        """The picture that the request makes without a loop; no other is delivered unless it is better."""
        attempt = yield from self._draw(self._next_seed(self._request.prompt), leader=None)
        self._failures += 1
        if attempt.best and self._sketching is None:  # a sketch's words are compared with a sketch's
            self._leader = attempt
        return attempt

    def _try(self, request: ResolvedRequest, edit: Edit | None) -> Stream[Event | Attempt, None, Attempt]:
        """A candidate: a sketch where they are drawn, else a whole picture."""
        self._candidates -= 1
        sketch = self._sketching is not None
        attempt = yield from self._draw(request, edit, leader=self._leader, sketch=sketch)
        if not (sketch and self._promises_enough(attempt)):
            self._failures += 1
        if attempt.best:
            self._leader = attempt
        if sketch:
            self._sketches.append(attempt)
            self._sketched += 1
        return attempt

    def _finish(self, sketch: Attempt) -> Stream[Event | Attempt, None, Attempt]:
        """The whole picture of a sketch: from its handoff step on, or drawn anew."""
        self._sketches.remove(sketch)
        assert self._sketching is not None  # or there were no sketches
        request = self._sketching.whole(sketch.request)
        whole = yield from self._draw(request, leader=self._best, finishes=sketch.number)
        gain = _rank(whole)[1] - _rank(sketch)[1]
        if math.isfinite(gain):
            self._gains.append(gain)
        return whole

    def _draw(
        self,
        request: ResolvedRequest,
        edit: Edit | None = None,
        *,
        leader: Attempt | None,
        sketch: bool = False,
        finishes: int = 0,
    ) -> Stream[Event | Attempt, None, Attempt]:
        """One call of the generator: its events, and what came of it compared with the `leader` of its kind."""
        self._number += 1
        if sketch and self._sketching:
            made = yield from self._make(sketch_of(request, self._sketching.steps))
            self._left -= self._sketching.steps
        else:
            made = yield from self._make(replace(request, steps=self._whole))
            self._left -= self._finishing if finishes else self._whole
        self._steps += made.steps
        if made.engine:  # what the record says, and what finishes a sketch
            request = replace(request, engine=made.engine)
        judgement = None
        if made.image is not None:
            [judgement] = self._judge.judge([made.image], request, sketch=sketch)
        gain = self._gain if sketch else None
        accepted, verdict = verdicts.of(judgement, self._policy.threshold, gain=gain)
        attempt = Attempt(
            number=self._number,
            request=request,
            image=made.image,
            judgement=judgement,
            accepted=accepted,
            best=False,
            change="" if edit is None else edit.words,
            kept=False,
            verdict=made.trouble or verdict,
            steps=made.steps,
            seconds=made.seconds,
            sketch=sketch,
            finishes=finishes,
        )
        attempt = self._compared(attempt, leader, edit)
        if attempt.best and not sketch:
            self._best = attempt
        yield attempt
        return attempt

    def _compared(self, attempt: Attempt, leader: Attempt | None, edit: Edit | None) -> Attempt:
        """The attempt beside the best one before it: whether it is better, and whether other words helped."""
        judgement, held = attempt.judgement, leader.judgement if leader else None
        if judgement is None or not math.isfinite(judgement.score):
            self._troubles.append(attempt.verdict)
        compared = replace(attempt, best=_rank(attempt) > _rank(leader))
        if edit is None:
            return compared
        kept = judgement is not None and held is not None and helped(edit.attribute, held, judgement)
        return replace(
            compared, kept=kept, verdict=f"{attempt.verdict}; {'kept' if kept else 'undid'} the change"
        )

    def _make(self, request: ResolvedRequest) -> Stream[Event, None, _Made]:
        made, began = _Made(), time.perf_counter()
        try:
            with contextlib.closing(_stream(self._generator(request, cancel=self._cancel))) as events:
                for event in events:
                    yield event
                    if isinstance(event, StepDone):
                        made.steps = event.step
                    elif isinstance(event, PictureDone):
                        made.image, made.engine = event.image, event.engine
                    elif not isinstance(event, Started):
                        raise TypeError(f"a generator has no event {event!r}")
        except (Cancelled, InputError, ModelUnavailableError, StorageError):
            raise
        except StudioError as error:  # no picture from this seed; the next one may give one
            made.trouble = str(error)
        made.seconds = time.perf_counter() - began
        return made

    def _finished(self) -> Finished:
        if self._best is None:
            cause = self._troubles[-1] if self._troubles else "the model gave none"
            raise StudioError(f"none of {self._number} attempts gave a picture: {cause}")
        return Finished(
            best=self._best,
            attempts=self._number,
            steps=self._steps,
            accepted=self._best.accepted,
            summary=verdicts.summary(self._best, self._number, self._policy.threshold),
            notices=self._judge.notices,
        )


def _rank(attempt: Attempt | None) -> tuple[int, float]:
    """Larger is better; below everything where there is nothing to compare."""
    judgement = attempt.judgement if attempt else None
    if judgement is None or not math.isfinite(judgement.score):
        return -sys.maxsize, -math.inf
    return rank(judgement)


def _stream(events: Iterator[Event]) -> Stream[Event, None, None]:
    """`events` as a generator, which can be closed whatever they are; closing it closes them."""
    try:
        yield from events
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()
