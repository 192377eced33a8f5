"""A sketch can be finished from its middle, and the request of what came of it makes the same picture again."""

import threading
from dataclasses import replace

import pytest
from diffusers import EulerDiscreteScheduler

from sdxl_lora.errors import Cancelled, RequestError
from sdxl_lora.generation import PictureDone, StepDone, finishing_steps, generate, handoff, resolve
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load
from sdxl_lora.request import ResolvedRequest


def drawn(model: LoadedModel, request: ResolvedRequest) -> tuple[list[bytes], list[StepDone]]:
    events = list(generate(model, request))
    pictures = [event.image.tobytes() for event in events if isinstance(event, PictureDone)]
    return pictures, [event for event in events if isinstance(event, StepDone)]


@pytest.fixture
def finished(request_: ResolvedRequest) -> ResolvedRequest:
    """A picture of 10 steps, finished from a sketch of 4: two large steps, then four small ones."""
    return replace(request_, steps=10, sketch_steps=4)


def forget(model: LoadedModel) -> None:
    model.base.cache.pop("prefix_latents", None)


@pytest.mark.parametrize(("precision", "end"), [("fp32", 1.0), ("bf16", 1.0), ("fp32", 0.6), ("fp32", 0.2)])
def test_a_sketch_is_finished_to_the_very_picture_that_its_request_makes_from_the_start(
    precision: str, end: float, finished: ResolvedRequest
) -> None:
    request = replace(finished, precision=precision, guidance_end=end)  # type: ignore[arg-type]  # one of them
    model = load(ModelConfig.of(request))
    forget(model)
    from_start, steps = drawn(model, request)
    assert [(step.step, step.steps) for step in steps] == [(n, 6) for n in range(1, 7)]
    forget(model)
    drawn(model, replace(request, steps=4, sketch_steps=0))
    from_middle, steps = drawn(model, request)
    assert [(step.step, step.steps) for step in steps] == [(n, 4) for n in range(1, 5)]
    assert from_middle == from_start


def test_a_sketch_guided_to_its_end_is_finished_with_the_guidance_of_the_picture(
    finished: ResolvedRequest,
) -> None:
    request = replace(finished, guidance_end=0.6)
    model = load(ModelConfig.of(request))
    forget(model)
    from_start, _ = drawn(model, request)
    forget(model)
    drawn(model, replace(request, steps=4, sketch_steps=0, guidance_end=1.0))
    from_middle, steps = drawn(model, request)
    assert len(steps) == 4  # the first half was there
    assert from_middle == from_start


def test_a_sketch_with_another_setting_is_not_taken_for_this_one(
    model: LoadedModel, finished: ResolvedRequest
) -> None:
    sketch = replace(finished, steps=4, sketch_steps=0)
    for other in (
        replace(sketch, prompt="a red jacket"),
        replace(sketch, negative_prompt="blurry"),
        replace(sketch, seed=6),
        replace(sketch, guidance=3.0),
        replace(sketch, guidance_end=0.2),
        replace(sketch, width=64, height=72),
        replace(sketch, steps=6),
    ):
        forget(model)
        drawn(model, other)
        assert len(drawn(model, finished)[1]) == 6


def test_pictures_of_a_batch_are_finished_from_their_own_sketches(
    model: LoadedModel, finished: ResolvedRequest
) -> None:
    forget(model)
    drawn(model, replace(finished, steps=4, sketch_steps=0, count=3))
    pictures, steps = drawn(model, replace(finished, count=3))
    assert len(steps) == 3 * 4
    forget(model)
    assert drawn(model, replace(finished, seed=7))[0] == pictures[2:]


def test_the_middles_of_the_latest_ways_only_are_remembered(
    model: LoadedModel, finished: ResolvedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(model)
    drawn(model, replace(finished, steps=4, sketch_steps=0))
    one = handoff.prefix_latents(model).find(handoff.key_of(finished, 4))
    assert one is not None
    monkeypatch.setattr(handoff, "_REMEMBERED", 3 * one.nbytes)
    forget(model)
    drawn(model, replace(finished, steps=4, sketch_steps=0))
    drawn(model, replace(finished, steps=2, sketch_steps=0, seed=100, count=2))
    assert len(drawn(model, finished)[1]) == 4
    forget(model)
    drawn(model, replace(finished, steps=4, sketch_steps=0))
    drawn(model, replace(finished, steps=2, sketch_steps=0, seed=100, count=3))
    assert len(drawn(model, finished)[1]) == 6


def test_cancel_stops_in_both_halves(model: LoadedModel, finished: ResolvedRequest) -> None:
    for last in (1, 4):
        forget(model)
        cancel = threading.Event()
        with pytest.raises(Cancelled):
            for event in generate(model, finished, cancel=cancel):
                if isinstance(event, StepDone) and event.step == last:
                    cancel.set()


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize(("steps", "sketch"), [(20, 6), (20, 5), (20, 4), (30, 9), (50, 3)])
def test_the_second_half_goes_on_where_the_first_ends(spacing: str, steps: int, sketch: int) -> None:
    scheduler = EulerDiscreteScheduler(timestep_spacing=spacing)
    rest = handoff.remaining_timesteps(scheduler, steps, sketch)
    scheduler.set_timesteps(sketch)
    assert rest[0] == scheduler.timesteps[sketch // 2]
    assert rest == sorted(set(rest), reverse=True)
    assert len(rest) <= finishing_steps(steps, sketch)
    assert len(rest) == finishing_steps(steps, sketch) or spacing != "trailing"


def test_only_a_sampler_that_remembers_nothing_can_change_its_step_size(
    model: LoadedModel, finished: ResolvedRequest
) -> None:
    assert not handoff.possible(EulerDiscreteScheduler(use_karras_sigmas=True))
    for request in (replace(finished, scheduler="unipc"), replace(finished, scheduler="dpm++ 2m")):
        with pytest.raises(RequestError, match="cannot finish a sketch; choose euler"):
            resolve(request)
    own = model.engine.pipeline.scheduler
    model.engine.pipeline.scheduler = EulerDiscreteScheduler.from_config(own.config, use_karras_sigmas=True)
    try:
        with pytest.raises(RequestError, match="EulerDiscreteScheduler cannot finish a sketch"):
            drawn(model, finished)
    finally:
        model.engine.pipeline.scheduler = own


@pytest.mark.parametrize(("sketch", "reason"), [(10, "no fewer"), (1, "not between"), (-2, "not between")])
def test_a_sketch_has_fewer_steps_than_its_picture(
    sketch: int, reason: str, request_: ResolvedRequest
) -> None:
    with pytest.raises(RequestError, match=reason):
        resolve(replace(request_, steps=10, sketch_steps=sketch))
