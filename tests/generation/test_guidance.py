"""Guidance on the first part of the way only: `models.guidance`, seen from the pictures it makes."""

import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sdxl_lora.errors import RequestError
from sdxl_lora.generation import PictureDone, generate
from sdxl_lora.models import guidance
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load
from sdxl_lora.request import GenerationRequest, ResolvedRequest


def picture(model: LoadedModel, request: ResolvedRequest) -> bytes:
    return next(e.image.tobytes() for e in generate(model, request) if isinstance(e, PictureDone))


@contextmanager
def batches(model: LoadedModel) -> Iterator[list[int]]:
    """How many latents the UNet saw at each step: 2 where guided, 1 where not."""
    seen: list[int] = []
    hook = model.engine.pipeline.unet.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    yield seen
    hook.remove()


@pytest.mark.parametrize(("end", "guided"), [(1.0, 10), (0.6, 6), (0.1, 1), (0.0, 0)])
def test_so_much_of_the_way_is_guided(
    end: float, guided: int, model: LoadedModel, request_: ResolvedRequest
) -> None:
    with batches(model) as seen:
        picture(model, replace(request_, steps=10, guidance_end=end))
    assert seen == [2] * guided + [1] * (10 - guided)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++ 2m", "heun"])
def test_other_samplers_lose_guidance_at_the_same_noise(
    scheduler: str, model: LoadedModel, request_: ResolvedRequest
) -> None:
    with batches(model) as seen:
        picture(model, replace(request_, steps=10, guidance_end=0.5, scheduler=scheduler))
    assert seen == sorted(seen, reverse=True)
    assert seen.count(2) == pytest.approx(len(seen) / 2, abs=1)


def test_sd_1_models_can_do_it_too(tiny_sd: Path, request_: ResolvedRequest) -> None:
    model = load(ModelConfig(model=str(tiny_sd), precision="fp32"))
    with batches(model) as seen:
        digest = model.config.model_sha256
        picture(model, replace(request_, model=str(tiny_sd), model_sha256=digest, steps=4, guidance_end=0.5))
    assert seen == [2, 2, 1, 1]


def test_an_end_at_the_start_is_a_picture_without_guidance(
    model: LoadedModel, request_: ResolvedRequest
) -> None:
    without = picture(model, replace(request_, guidance=1.0))
    assert picture(model, replace(request_, guidance_end=0.0)) == without
    assert picture(model, replace(request_, guidance_end=0.5)) != without


def test_a_model_says_where_its_guidance_ends(model: LoadedModel, request_: ResolvedRequest) -> None:
    assert picture(model, request_) == picture(model, replace(request_, guidance_end=1.0))


@pytest.mark.parametrize("end", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_end_outside_the_way_is_refused_in_one_line(end: float) -> None:
    with pytest.raises(RequestError, match=r"guidance end .* is not a number between 0 and 1"):
        GenerationRequest(prompt="a jacket", guidance_end=end)


@pytest.mark.parametrize(("end", "scale"), [(1.0, 3.0), (0.6, 3.0), (0.0, 1.0)])
def test_a_call_of_the_pipeline_alone_starts_as_the_studio_does(
    end: float, scale: float, model: LoadedModel
) -> None:
    assert guidance.arguments(model.engine.pipeline, 3.0, end)["guidance_scale"] == scale


class _Counted:
    """Timesteps that count how often they are brought to the processor."""

    def __init__(self) -> None:
        self.read = 0

    def tolist(self) -> list[float]:
        self.read += 1
        return [900.0, 600.0, 300.0]


@pytest.mark.parametrize(("end", "reads"), [(1.0, 0), (0.5, 1)])
def test_a_way_waits_for_the_gpu_once_at_most(end: float, reads: int) -> None:
    timesteps = _Counted()
    config = types.SimpleNamespace(num_train_timesteps=1000)
    running = types.SimpleNamespace(
        scheduler=types.SimpleNamespace(timesteps=timesteps, config=config),
        do_classifier_free_guidance=True,
        guidance_scale=5.0,
        _guidance_scale=5.0,
    )
    switch = guidance.Switch(end)
    for step in range(3):
        switch(running, step, {})
    assert timesteps.read == reads
    assert running._guidance_scale == (5.0 if end == 1 else 1.0)
