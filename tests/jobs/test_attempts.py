"""Pictures that are the best of several attempts, on a tiny model: what is made, kept and told."""

import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora.errors import Cancelled, DataError, ImageError, StudioError
from sdxl_lora.feedback.reviews import Reviews
from sdxl_lora.generation import PictureDone, StepDone
from sdxl_lora.jobs.attempts import keep, plan, run_attempts
from sdxl_lora.jobs.events import Recorded
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.base import default_scorer
from sdxl_lora.search import Attempt, Finished, Sketching
from sdxl_lora.search.calibrating import calibrate, varied_requests
from sdxl_lora.search.calibration import Calibration, Calibrations, SketchSample

REQUEST = GenerationRequest(
    prompt="a navy cap", model="mini", steps=2, width=64, height=64, seed=5, precision="fp32"
)

_SCORES = tuple(i / 100 for i in range(20))
CALIBRATED = Calibration(
    model="mini",
    template="",
    scorer="mini-CLIP cosine",
    scores=_SCORES,
    prompts=("a",) * 20,
    sketches=(SketchSample(steps=4, scores=_SCORES),),
)


@pytest.fixture
def studio(home: Path) -> Studio:
    return Studio(home)


def test_the_best_attempt_is_recorded_with_the_log_of_all(studio: Studio) -> None:
    how = plan(studio, REQUEST, min_score=0.99, max_attempts=3)
    events = list(run_attempts(studio, REQUEST, how))
    attempts = [event for event in events if isinstance(event, Attempt)]
    [finished] = [event for event in events if isinstance(event, Finished)]
    [recorded] = [event for event in events if isinstance(event, Recorded)]
    assert len(attempts) == 3
    assert not finished.accepted
    card = recorded.record.card
    assert card.search
    assert card.score == finished.best.judgement.score  # type: ignore[union-attr]  # a picture was made
    assert recorded.record.request == finished.best.request.wish()
    assert [entry.seed for entry in card.search.attempts] == [a.request.seed for a in attempts]
    assert [found.wanted for found in card.findings] == ["navy", "cap"]
    assert studio.store.count() == 1


def test_what_the_model_cannot_draw_is_tried_once(
    studio: Studio, bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(bundled, tmp_path / "closed")
    (folder / "studio.json").write_text('{"capabilities": {"products": {"cap": []}}}')
    monkeypatch.setenv("SDXL_LORA_MINI", str(folder))
    car = replace(REQUEST, prompt="a red sports car")
    assert plan(studio, car, min_score=0.99).policy.max_attempts == 1
    assert plan(studio, car, min_score=0.99, max_attempts=3).policy.max_attempts == 3
    assert plan(studio, REQUEST, min_score=0.99).policy.max_attempts == 4


def test_the_first_attempt_is_the_picture_a_single_shot_makes(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_WATERMARK", "off")  # what is kept is marked, attempts are not
    *_, single = studio.run(REQUEST)
    how = plan(studio, REQUEST, min_score=-1.0)
    events = list(run_attempts(studio, REQUEST, how))
    [attempt] = [event for event in events if isinstance(event, Attempt)]
    assert isinstance(single, Recorded)
    assert attempt.image is not None
    from PIL import Image

    with Image.open(single.record.path) as image:
        assert image.tobytes() == attempt.image.tobytes()


def test_several_pictures_have_seeds_and_places_of_their_own(studio: Studio) -> None:
    request = replace(REQUEST, count=2)
    how = plan(studio, request, min_score=0.99, max_attempts=2)
    events = list(run_attempts(studio, request, how))
    seeds = [event.request.seed for event in events if isinstance(event, Attempt)]
    assert seeds == [5, 7, 6, 8]
    assert {event.picture for event in events if isinstance(event, StepDone)} == {0, 1}
    assert [event.index for event in events if isinstance(event, Recorded)] == [0, 1]


def test_cancel_ends_it_and_keeps_nothing_unfinished(studio: Studio) -> None:
    cancel = threading.Event()
    how = plan(studio, REQUEST, min_score=0.99, max_attempts=4)
    with pytest.raises(Cancelled):
        for event in run_attempts(studio, REQUEST, how, cancel=cancel):
            if isinstance(event, Attempt):
                cancel.set()
    assert studio.store.count() == 0


def test_a_person_may_keep_another_attempt_and_say_why(studio: Studio) -> None:
    how = plan(studio, REQUEST, min_score=0.99, max_attempts=2)
    attempts = [event for event in run_attempts(studio, REQUEST, how) if isinstance(event, Attempt)]
    record = keep(studio, attempts[0], attempts, reason="I like the light")
    assert record.card.search
    assert record.card.search.reason == "I like the light"
    assert studio.store.count() == 2
    with pytest.raises(ImageError, match="has no picture to keep"):
        keep(studio, replace(attempts[0], image=None), attempts)


def test_a_learned_taste_chooses_among_attempts_none_of_which_was_good_enough(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    reviews = Reviews(home)
    seen: list[Sequence[Attempt]] = []

    def last(attempts: Sequence[Attempt], brand: str = "") -> Attempt:
        seen.append(attempts)
        return next(a for a in reversed(attempts) if not a.best or a is attempts[0])

    monkeypatch.setattr(reviews, "favourite", last)
    how = plan(studio, REQUEST, min_score=0.99, max_attempts=3)
    events = list(run_attempts(studio, REQUEST, how, reviews=reviews))
    [recorded] = [event for event in events if isinstance(event, Recorded)]
    [finished] = [event for event in events if isinstance(event, Finished)]
    chosen = last(seen[0])
    assert recorded.record.request == chosen.request.wish()
    tried = recorded.record.card.search
    assert tried
    assert (tried.by_taste, tried.kept) == (chosen is not finished.best, chosen.number)
    list(run_attempts(studio, REQUEST, plan(studio, REQUEST, min_score=-1.0), reviews=reviews))
    assert len(seen) == 2  # the second was our own look: what is good enough is not chosen among


def test_what_is_delivered_after_sketches_is_the_picture_of_its_own_request(studio: Studio) -> None:
    how = plan(studio, REQUEST, min_score=0.99, max_attempts=3)
    how = replace(how, policy=replace(how.policy, sketching=Sketching(steps=1)))
    events = list(run_attempts(studio, REQUEST, how))
    attempts = [event for event in events if isinstance(event, Attempt)]
    [recorded] = [event for event in events if isinstance(event, Recorded)]
    assert [a.sketch for a in attempts] == [False, True, True, False]
    assert recorded.record.request.steps == REQUEST.steps
    log = recorded.record.card.search
    assert log
    assert [entry.steps for entry in log.attempts] == [2, 1, 1, 2]
    *_, alone = studio.run(recorded.record.request)
    assert isinstance(alone, Recorded)
    with Image.open(recorded.record.path) as one, Image.open(alone.record.path) as other:
        assert one.tobytes() == other.tobytes()
    with pytest.raises(ImageError, match="attempt 2 is only a sketch"):
        keep(studio, attempts[1], attempts)


def test_a_sketch_that_a_learned_taste_chooses_is_drawn_whole(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    reviews = Reviews(home)
    how = plan(studio, REQUEST, min_score=0.99, max_attempts=3)
    how = replace(how, policy=replace(how.policy, sketching=Sketching(steps=1), refine=False))
    monkeypatch.setattr(reviews, "favourite", lambda attempts, _: next(a for a in attempts if a.sketch))
    events = list(run_attempts(studio, REQUEST, how, reviews=reviews))
    *_, best, liked = [event for event in events if isinstance(event, Attempt)]
    [recorded] = [event for event in events if isinstance(event, Recorded)]
    assert (liked.sketch, liked.number, liked.finishes != best.finishes) == (False, best.number + 1, True)
    assert recorded.record.request == liked.request.wish()
    tried = recorded.record.card.search
    assert tried
    assert (tried.by_taste, tried.kept) == (True, liked.number)


def test_there_are_sketches_with_the_models_own_sampler_only(studio: Studio, home: Path) -> None:
    Calibrations(home).keep(CALIBRATED)
    sketching = [
        plan(studio, replace(REQUEST, steps=20, scheduler=name)).policy.sketching
        for name in (None, "euler-a")
    ]
    assert sketching == [Sketching(steps=4, gain=0.0), None]


def test_calibrations_without_sketches_do_not_hide_those_that_have_some(
    studio: Studio, home: Path, tiny_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(tiny_mini, tmp_path / "mini")
    monkeypatch.setenv("SDXL_LORA_MINI", str(folder))
    Calibrations(folder).keep(replace(CALIBRATED, scores=_SCORES * 2, prompts=("a",) * 40, sketches=()))
    Calibrations(home).keep(CALIBRATED)
    assert plan(studio, replace(REQUEST, steps=20)).policy.sketching == Sketching(steps=4)


def test_sketches_are_chosen_by_all_templates_together(studio: Studio, home: Path) -> None:
    least = replace(CALIBRATED, template="jacket", sketches=(SketchSample(steps=2, scores=_SCORES),))
    kept = Calibrations(home)
    kept.keep(least)
    request = replace(REQUEST, steps=20, template="jacket")
    assert plan(studio, request).policy.sketching == Sketching(steps=2)
    for template in ("dress", "footwear"):  # where two steps foretell nothing, and three do
        samples = (SketchSample(steps=2, scores=_SCORES[::-1]), SketchSample(steps=3, scores=_SCORES))
        kept.keep(replace(least, template=template, prompts=(template,) * 20, sketches=samples))
    kept.keep(replace(least, sketches=(*least.sketches, SketchSample(steps=3, scores=_SCORES))))
    assert plan(studio, request).policy.sketching == Sketching(steps=3)


def test_a_calibration_gives_its_template_and_model_a_threshold(studio: Studio, home: Path) -> None:
    requests = varied_requests("jacket", replace(REQUEST, steps=10), 8)
    found = calibrate(requests, default_scorer())
    assert (found.model, found.template, found.scorer) == ("mini", "jacket", "mini-CLIP cosine")
    assert len(found.scores) == len(found.sharpness) == 8
    assert [sample.steps for sample in found.sketches] == [2, 3]
    assert {len(sample.scores) for sample in found.sketches} == {8}
    assert {len(sample.finished) for sample in found.sketches} == {8}  # Euler's method can do that
    Calibrations(home).keep(found)
    request = next(varied_requests("jacket", REQUEST, 1))
    assert plan(studio, request).policy.threshold == pytest.approx(found.threshold())
    # what has none of its own is measured by the model's templates together
    assert plan(studio, REQUEST).policy.threshold == pytest.approx(found.threshold())


def test_a_model_may_come_with_its_calibration_and_the_users_own_wins(
    studio: Studio, home: Path, tiny_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan(studio, REQUEST).policy.threshold is None
    folder = shutil.copytree(tiny_mini, tmp_path / "mini")
    monkeypatch.setenv("SDXL_LORA_MINI", str(folder))
    shipped = Calibration(
        model="mini", template="", scorer="mini-CLIP cosine", scores=(0.5,) * 8, prompts=("a",) * 8
    )
    Calibrations(folder).keep(shipped)
    assert plan(studio, REQUEST).policy.threshold == pytest.approx(0.5)
    Calibrations(home).keep(replace(shipped, scores=(0.7,) * 8))
    assert plan(studio, REQUEST).policy.threshold == pytest.approx(0.7)


def test_without_a_scorer_the_pictures_are_drawn_once_and_said_to_be_unscored(
    studio: Studio, tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_MINI", str(tiny_sdxl))  # a model without clip/
    how = plan(studio, REQUEST, min_score=0.9)
    assert not how.judged
    events = list(run_attempts(studio, REQUEST, how))
    [recorded] = [event for event in events if isinstance(event, Recorded)]
    assert recorded.unscored is not None
    assert "clip is not here or not whole" in recorded.unscored
    assert not [event for event in events if isinstance(event, Attempt)]


def test_a_black_picture_is_never_kept_where_another_one_is_there(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdxl_lora import generation

    real = generation.generate

    def first_one_black(*args: object, **options: object) -> Iterator[generation.Event]:
        for event in real(*args, **options):  # type: ignore[arg-type]  # passed on
            if isinstance(event, PictureDone) and event.seed == REQUEST.seed:
                event = replace(event, image=Image.new("RGB", event.image.size))
            yield event

    monkeypatch.setattr(generation, "generate", first_one_black)
    events = list(run_attempts(studio, REQUEST, plan(studio, REQUEST, max_attempts=2)))
    first, second = [event for event in events if isinstance(event, Attempt)]
    assert first.verdict.startswith("the picture is black: the model made no finite numbers")
    assert (first.best, second.best) == (False, True)
    [recorded] = [event for event in events if isinstance(event, Recorded)]
    assert recorded.record.request.seed == second.request.seed
    with pytest.raises(StudioError, match="none of 1 attempts gave a picture: the picture is black"):
        list(run_attempts(studio, REQUEST, plan(studio, REQUEST, max_attempts=1)))


def test_calibrating_with_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="no prompts"):
        calibrate(iter(()), default_scorer())
