"""One request to recorded pictures, each the best of several attempts.

What `Studio.run` is for single shots, with the same events plus `Attempt` and `Finished`. Only the best attempt is
kept as a picture; the others are in its record as prompt and seed, from which they can be made again. An attempt that
a person prefers is kept with `keep`.
"""

import functools
import logging
import math
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sdxl_lora import generation
from sdxl_lora.errors import ImageError, ModelUnavailableError
from sdxl_lora.feedback.reviews import Taste
from sdxl_lora.finishing.chain import Piece
from sdxl_lora.generation import PictureDone, StepDone
from sdxl_lora.jobs.events import Recorded, ServingEvent
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.jobs.studio import Drawing
from sdxl_lora.jobs.task import Decided, Task
from sdxl_lora.models import registry
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.records import Record
from sdxl_lora.records.places import Place
from sdxl_lora.request import OWN_SCHEDULER, GenerationRequest, ResolvedRequest
from sdxl_lora.scoring import limits
from sdxl_lora.scoring.base import Scorer
from sdxl_lora.scoring.clip import ClipScorer
from sdxl_lora.scoring.logo_check import LogoJudge
from sdxl_lora.scoring.verifier import Verifier, verifier_for
from sdxl_lora.search import (
    Attempt,
    Begun,
    Finished,
    Generator,
    Judge,
    Policy,
    Sketching,
    best_of_n,
)
from sdxl_lora.search.calibration import Calibration, Calibrations
from sdxl_lora.search.levels import LEVELS, STANDARD, Level, policy_of
from sdxl_lora.search.log import card_of

log = logging.getLogger(__name__)

_ALONE = Task()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the attempts at one request are judged, and when they end."""

    policy: Policy
    verifier: Judge
    calibration: Calibration | None  # None: there is no threshold but the user's own
    judged: bool = True  # False: the scorer's weights are missing, so that pictures are drawn once


def plan(
    studio: Drawing,
    request: GenerationRequest,
    *,
    level: Level = LEVELS["standard"],
    min_score: float | None = None,
    max_attempts: int | None = None,
    verifier: Verifier | None = None,
) -> Plan:
    """Policy and verifier of a request, from its template's and model's calibration where there is one."""
    resolved = generation.resolve(request)
    model = resolved.model
    verifier = verifier or verifier_for(model)
    calibration = _calibration(studio, model, request.template, verifier.primary.name)
    gated = Verifier(
        verifier.primary,
        probes=verifier.probes,
        others=verifier.others,
        gates=level.gates,
        read_brand=level.gates and registry.capabilities_of(model).letters,
        least_sharpness=calibration.least_sharpness if calibration else None,
        capabilities=registry.capabilities_of(model),
    )
    policy = policy_of(
        level,
        calibration,
        sketching=_sketching(studio, resolved, verifier.primary.name),
        min_score=min_score,
        max_attempts=max_attempts,
    )
    if max_attempts is None and not limits.of(model, request.prompt, dict(request.slots)).draws_product:
        policy = replace(policy, max_attempts=1, sketching=None)  # no seed and no emphasis would bring it
    judge = LogoJudge(gated) if resolved.logos else gated
    return Plan(policy=policy, verifier=judge, calibration=calibration, judged=_can_judge(verifier.primary))


def _calibration(studio: Drawing, model: str, template: str | None, scorer: str) -> Calibration | None:
    """The user's own, else the one that came with the model, else those of the model's templates together."""
    kept = _kept(studio, model)
    exact = (calibrations.find(model, template, scorer) for calibrations in kept)
    pooled = (calibrations.pooled(model, scorer) for calibrations in kept)
    return next((found for found in (*exact, *pooled) if found is not None), None)


def _sketching(studio: Drawing, request: ResolvedRequest, scorer: str) -> Sketching | None:
    """What all templates of the model say together: one has too few pictures to choose a number of steps by.

    None with another sampler than the model's own, and for what begins from a picture: neither was measured.
    """
    model, steps = request.model, request.steps
    if request.start_picture:
        return None
    if request.scheduler != (registry.describe(model).defaults.scheduler or OWN_SCHEDULER):
        return None
    pooled = [kept.pooled(model, scorer) for kept in _kept(studio, model)]
    measured = [found for found in pooled if found is not None and found.sketches]
    most = max(measured, key=lambda found: len(found.scores), default=None)
    return None if most is None else most.sketching(steps)


def _kept(studio: Drawing, model: str) -> list[Calibrations]:
    """The user's calibrations, and those that came with the model."""
    folder = registry.describe(model).folder
    return [Calibrations(studio.home), *([Calibrations(folder)] if folder else [])]


def run_attempts(
    studio: Drawing,
    request: GenerationRequest,
    how: Plan,
    *,
    cancel: threading.Event | None = None,
    session: str = "",
    reviews: Taste | None = None,
    task: Task = _ALONE,
) -> Iterator[ServingEvent]:
    """For each picture that is not done yet: `Begun`, its attempts with their events, `Finished`, then `Recorded`.

    Where no attempt was good enough and people's votes have taught a preference (`reviews`), it chooses among them.
    Without a scorer's weights pictures are drawn once, kept, and said to be unscored.
    Attempts begin with the seed of the picture that `Studio.run` would make. Raises as `search.best_of_n`;
    pictures recorded before that stay.
    """
    resolved = generation.resolve(request)
    if not how.judged:
        yield from studio.run(resolved, cancel=cancel, session=session, task=task)
        return
    generator = functools.partial(generation.generate, load(ModelConfig.of(resolved)))
    brand = dict(resolved.slots).get("brand", "").strip()
    for index in range(resolved.count):
        if index in task.done:
            continue
        attempts: list[Attempt] = []
        finished: Finished | None = None
        alone = resolved.for_picture(index)
        events = best_of_n(alone, generator, how.verifier, how.policy, cancel=cancel, stride=resolved.count)
        for event in _placed(events, index):
            yield event
            if isinstance(event, Attempt):
                attempts.append(event)
            elif isinstance(event, Finished):
                finished = event
        assert finished is not None  # the loop's last event
        chosen = finished.best
        if not finished.accepted and reviews is not None:
            whole = {attempt.finishes for attempt in attempts}
            liked = reviews.favourite([a for a in attempts if a.number not in whole], brand) or chosen
            if liked.sketch:  # it has to be drawn whole first
                for event in _placed(_whole(liked, attempts, generator, how, cancel), index):
                    yield event
                    if isinstance(event, Attempt):
                        attempts.append(event)
                liked = attempts[-1]
            if liked.image is not None and _failed(liked) <= _failed(chosen):
                chosen = liked
        by_taste = chosen is not finished.best
        record = keep(studio, chosen, attempts, session=session, by_taste=by_taste, place=task.place(index))
        doubts = "; ".join(f"{gate.name}: {gate.reason}" for gate in record.card.failed)
        notice = f"no attempt passed every check; of the best one {doubts}" if doubts else None
        yield Recorded(index=index, record=record, notice=notice)


def _placed(events: Iterator[ServingEvent], index: int) -> Iterator[ServingEvent]:
    """Events of one picture, as those of picture `index`."""
    for event in events:
        if isinstance(event, StepDone):
            yield replace(event, picture=index)
        elif isinstance(event, PictureDone):
            yield replace(event, index=index)
        else:
            yield event


def _whole(
    sketch: Attempt,
    attempts: Sequence[Attempt],
    generator: Generator,
    how: Plan,
    cancel: threading.Event | None,
) -> Iterator[ServingEvent]:
    """The attempt that draws a sketch whole after the loop is over, and its events."""
    single = replace(how.policy, max_attempts=1, sketching=None)
    assert how.policy.sketching is not None  # or there were no sketches
    request = how.policy.sketching.whole(sketch.request)
    for event in best_of_n(request, generator, how.verifier, single, cancel=cancel):
        if isinstance(event, Attempt):
            yield replace(event, number=len(attempts) + 1, best=False, finishes=sketch.number)
        elif not isinstance(event, Begun | Finished):
            yield event


def _failed(attempt: Attempt) -> int:
    """How much the gates that say no weigh; a picture that cannot be judged fails more than any other."""
    judgement = attempt.judgement
    if judgement is None or not math.isfinite(judgement.score):
        return sys.maxsize
    return judgement.faults


def _can_judge(scorer: Scorer) -> bool:
    """Whether the scorer's weights are here; loads them, which scoring would do anyway."""
    if isinstance(scorer, ClipScorer):
        try:
            scorer.logit_scale()
        except ModelUnavailableError as error:
            log.warning("pictures are drawn once: %s", error)
            return False
    return True


class BestOfNRunner:
    """Makes what a job's spec asks for: single shots, or the best of several attempts; what the queue runs."""

    def __init__(self, studio: Drawing, reviews: Taste | None) -> None:
        self._studio = studio
        self._reviews = reviews

    def run(
        self, spec: JobSpec, *, cancel: threading.Event | None = None, task: Task = _ALONE
    ) -> Iterator[ServingEvent]:
        """`Decided`, then `Studio.run`, or `run_attempts` where the effort says so; resolved only here."""
        self._studio.check()
        resolved = generation.resolve(spec.request)
        yield Decided(request=resolved)
        if not spec.effort.searches or not resolved.is_drawn:
            yield from self._studio.run(resolved, cancel=cancel, session=spec.user, task=task)
            return
        how = plan(
            self._studio,
            resolved,
            level=LEVELS[spec.effort.level or STANDARD],
            min_score=spec.effort.min_score,
            max_attempts=spec.effort.max_attempts,
        )
        yield from run_attempts(
            self._studio, resolved, how, cancel=cancel, session=spec.user, reviews=self._reviews, task=task
        )


def keep(
    studio: Drawing,
    attempt: Attempt,
    attempts: Sequence[Attempt],
    *,
    reason: str = "",
    by_taste: bool = False,
    session: str = "",
    place: Place | None = None,
) -> Record:
    """Records one attempt and the log of all of them.

    Args:
        reason: why a person takes it although the loop did not; empty where the loop chose it.
        by_taste: the preference learned from votes chose it.
        place: in a job, where it is the picture of one.

    Raises `ImageError` for an attempt that has no picture or is only a sketch, `StorageError`, `LeaseLostError`.
    """
    if attempt.sketch:
        raise ImageError(f"attempt {attempt.number} is only a sketch; draw it with all its steps")
    if attempt.image is None:
        raise ImageError(f"attempt {attempt.number} has no picture to keep: {attempt.verdict}")
    piece = Piece(
        image=attempt.image,
        request=attempt.request,
        card=card_of(attempt, attempts, reason=reason, by_taste=by_taste),
        seconds=sum(one.seconds for one in attempts),
        session=session,
        place=place,
    )
    return studio.finish(piece).record
