"""Pictures come step by step, the same as from the stock pipeline, and stop when they are told to."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image

from sdxl_lora.errors import Cancelled, RequestError, StudioError
from sdxl_lora.generation import PictureDone, Started, StepDone, generate, resolve
from sdxl_lora.generation.engine import noise_seed
from sdxl_lora.models import identity, loading, registry, schedulers
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load
from sdxl_lora.request import GenerationRequest, LoraSpec, ResolvedRequest
from tests import tiny


def _pictures(model: LoadedModel, request: ResolvedRequest) -> list[PictureDone]:
    return [event for event in generate(model, request) if isinstance(event, PictureDone)]


def _same(one: Image.Image, other: Image.Image) -> bool:
    return one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("kind", "negative", "guidance"),
    [("sdxl", "", 5.0), ("sdxl", "blurry", 5.0), ("sdxl", "", 1.0), ("sd", "", 7.5), ("sd", "blurry", 3.0)],
)
def test_a_picture_is_bit_for_bit_the_stock_pipelines(
    kind: str, negative: str, guidance: float, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(f"tiny_{kind}")
    stock = (StableDiffusionXLPipeline if kind == "sdxl" else StableDiffusionPipeline).from_pretrained(folder)
    stock.set_progress_bar_config(disable=True)
    expected = stock(
        "a navy jacket",
        negative_prompt=negative or None,
        num_inference_steps=4,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(11),
    ).images[0]
    wish = GenerationRequest(
        prompt="a navy jacket",
        negative_prompt=negative,
        model=str(folder),
        steps=4,
        guidance=guidance,
        seed=11,
        precision="fp32",
    )
    ours = resolve(wish)
    assert _same(_pictures(load(ModelConfig.of(ours)), ours)[0].image, expected)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_third_of_four_made_alone_is_the_same_picture(precision: Any, tiny_sdxl: Path) -> None:
    request = resolve(
        GenerationRequest(
            prompt="a skirt", model=str(tiny_sdxl), steps=2, seed=40, count=4, precision=precision
        )
    )
    model = load(ModelConfig.of(request))
    batch = _pictures(model, request)
    alone = _pictures(model, request.for_picture(2))
    assert [picture.seed for picture in batch] == [40, 41, 42, 43]
    assert alone[0].seed == 42
    assert _same(alone[0].image, batch[2].image)
    assert len({picture.image.tobytes() for picture in batch}) == 4


@pytest.mark.parametrize("scheduler", schedulers.NAMES)
def test_a_seed_gives_the_same_picture_again_with_every_sampler(
    scheduler: str, model: LoadedModel, request_: ResolvedRequest
) -> None:
    request = replace(request_, scheduler=scheduler)
    first, second = (_pictures(model, request)[0].image for _ in range(2))
    assert _same(first, second)


def test_events_tell_the_whole_story_in_order(model: LoadedModel, request_: ResolvedRequest) -> None:
    events = list(generate(model, replace(request_, count=2)))
    assert isinstance(events[0], Started)
    assert events[0].request.guidance == 5.0
    for index in range(2):  # several pictures may be drawn at once
        story = [
            event for event in events[1:] if index == getattr(event, "picture", getattr(event, "index", None))
        ]
        assert [type(event).__name__ for event in story] == [*["StepDone"] * 3, "PictureDone"]
        assert [(event.step, event.steps) for event in story[:-1] if isinstance(event, StepDone)] == [
            (1, 3), (2, 3), (3, 3)
        ]  # fmt: skip
    etas = [event.eta for event in events if isinstance(event, StepDone)]
    assert all(eta > 0 for eta in etas[:-1])
    assert etas[-1] == 0


def test_pictures_come_in_their_order_whichever_is_ready_first(
    model: LoadedModel, request_: ResolvedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(3))

    decode = model.engine.decode

    def slow_at_first(latents: torch.Tensor) -> Image.Image:
        if next(calls) == 0:
            time.sleep(0.3)
        return decode(latents)

    monkeypatch.setattr(model.engine, "decode", slow_at_first)
    assert [picture.index for picture in _pictures(model, replace(request_, count=3))] == [0, 1, 2]


def test_the_number_of_torchs_threads_is_left_as_it_was(
    model: LoadedModel, request_: ResolvedRequest
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        list(generate(model, replace(request_, count=2)))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_size_asked_for_is_the_size_made(model: LoadedModel, request_: ResolvedRequest) -> None:
    assert _pictures(model, replace(request_, width=64, height=80))[0].image.size == (64, 80)


def test_previews_come_at_some_steps_but_not_at_the_last(
    model: LoadedModel, request_: ResolvedRequest
) -> None:
    events = [event for event in generate(model, replace(request_, steps=8)) if isinstance(event, StepDone)]
    shown = [event.step for event in events if event.preview]
    assert shown == [1, 2, 4, 6]
    assert all(event.preview.size == (64, 64) for event in events if event.preview)


def test_cancelling_stops_within_one_step_and_skips_the_decoder(
    model: LoadedModel, request_: ResolvedRequest
) -> None:
    cancel = threading.Event()
    steps, decoded = 0, []
    hook = model.engine.pipeline.vae.decoder.register_forward_hook(lambda *_: decoded.append(True))

    def run() -> None:
        nonlocal steps
        for event in generate(model, replace(request_, steps=150), cancel=cancel):
            if isinstance(event, StepDone):
                steps += 1
                cancel.set()

    with pytest.raises(Cancelled):
        run()
    hook.remove()
    assert not decoded
    assert steps < 150  # the thread may have been some steps ahead of this loop, never at the end


def test_no_step_follows_a_cancel(model: LoadedModel, request_: ResolvedRequest) -> None:
    cancel = threading.Event()
    done: list[int] = []

    def count(*_: Any) -> None:
        done.append(1)
        if len(done) == 4:
            cancel.set()

    hook = model.engine.pipeline.unet.register_forward_hook(count)
    with pytest.raises(Cancelled):
        list(generate(model, replace(request_, steps=50), cancel=cancel))
    hook.remove()
    assert len(done) == 4


def test_a_request_cancelled_beforehand_makes_at_most_one_step(
    model: LoadedModel, request_: ResolvedRequest
) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        list(generate(model, request_, cancel=cancel))


def test_closing_the_generator_ends_its_thread_and_frees_the_model(
    model: LoadedModel, request_: ResolvedRequest
) -> None:
    events = generate(model, replace(request_, steps=150, count=64))
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("generate", "picture"))]
    assert not model.base.lock.locked()


def test_after_a_cancel_the_next_picture_is_right(model: LoadedModel, request_: ResolvedRequest) -> None:
    before = _pictures(model, request_)[0].image
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        list(generate(model, request_, cancel=cancel))
    assert _same(_pictures(model, request_)[0].image, before)


def test_two_sessions_at_once_get_their_own_pictures(model: LoadedModel, request_: ResolvedRequest) -> None:
    requests = [replace(request_, seed=seed, scheduler=name) for seed, name in ((1, "euler-a"), (2, "ddim"))]
    alone = [_pictures(model, request)[0].image for request in requests]
    together = [generate(model, request) for request in requests]
    found = [next(event for event in events if isinstance(event, PictureDone)) for events in together]
    assert all(_same(picture.image, expected) for picture, expected in zip(found, alone, strict=True))


def test_a_broken_model_is_told_and_no_picture_made(tiny_sdxl: Path, request_: ResolvedRequest) -> None:
    pipeline = tiny.sdxl_pipeline()
    with torch.no_grad():
        pipeline.unet.conv_out.bias.fill_(float("nan"))
    model = loading.wrap(pipeline, registry.describe(str(tiny_sdxl)))
    with pytest.raises(StudioError, match=r"no valid numbers \(NaN\)"):
        list(generate(model, request_))


def test_an_entirely_black_picture_is_told(tiny_sdxl: Path, request_: ResolvedRequest) -> None:
    pipeline = tiny.sdxl_pipeline()
    with torch.no_grad():
        pipeline.vae.decoder.conv_out.bias.fill_(-1000.0)
    model = loading.wrap(pipeline, registry.describe(str(tiny_sdxl)))
    with pytest.raises(StudioError, match="an entirely black picture"):
        list(generate(model, request_))


def test_a_request_with_other_loras_than_the_model_is_refused(
    model: LoadedModel, request_: ResolvedRequest
) -> None:
    with pytest.raises(RequestError, match="other LoRAs"):
        list(generate(model, replace(request_, loras=(LoraSpec(path="x.safetensors"),))))


def test_a_lora_reaches_the_picture(tiny_sdxl: Path, request_: ResolvedRequest, tmp_path: Path) -> None:
    file = tiny.save_lora(tmp_path / "brand.safetensors")
    plain = _pictures(load(ModelConfig.of(request_)), request_)[0].image
    branded = replace(request_, loras=identity.pinned([LoraSpec(path=str(file))]))
    assert not _same(_pictures(load(ModelConfig.of(branded)), branded)[0].image, plain)
    assert _same(_pictures(load(ModelConfig.of(request_)), request_)[0].image, plain)


def test_seeds_beyond_32_bits_do_not_repeat(model: LoadedModel, request_: ResolvedRequest) -> None:
    pictures = [_pictures(model, replace(request_, seed=seed))[0].image for seed in (5, 2**32 + 5, 2**40 + 5)]
    assert len({picture.tobytes() for picture in pictures}) == 3
    assert noise_seed(2**32 - 1) == 2**32 - 1  # as other programs have it
