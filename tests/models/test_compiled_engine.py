"""Compiled blocks and recorded passes draw the same pictures, beside a plain network that stays as it is."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sdxl_lora.errors import RequestError
from sdxl_lora.generation import PictureDone, Started, generate, resolve
from sdxl_lora.models import compiling, pipeline_internals
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load, unload
from sdxl_lora.models.recorded_network import RecordedNetwork
from sdxl_lora.request import GenerationRequest, ResolvedRequest
from tests import tiny


@pytest.fixture(autouse=True)
def _traced_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks are traced and run as they are: to translate them to C++ takes minutes."""
    monkeypatch.setattr(compiling, "compile_blocks", partial(compiling.compile_blocks, backend="eager"))
    unload()
    yield
    torch._dynamo.reset()


def _request(folder: Path, **fields: Any) -> ResolvedRequest:
    wish = {"prompt": "a navy jacket", "model": str(folder), "steps": 3, "seed": 3, "precision": "bf16"}
    return resolve(GenerationRequest(**{**wish, "engine": "compiled", **fields}))


def _drawn(request: ResolvedRequest) -> tuple[list[Any], str, LoadedModel]:
    model = load(ModelConfig.of(request, device="cpu"))
    events = list(generate(model, request))
    note = next(event.note for event in events if isinstance(event, Started))
    pictures = [(event.image, event.engine) for event in events if isinstance(event, PictureDone)]
    return pictures, note, model


def _error(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def test_compiled_blocks_draw_the_same_to_the_eye_and_the_plain_network_stays_as_it_is(
    tiny_sdxl: Path,
) -> None:
    request = _request(tiny_sdxl, count=2)
    plain, _, _ = _drawn(replace(request, engine="torch"))
    found, note, model = _drawn(request)
    assert ([engine for _, engine in found], note) == (["compiled", "compiled"], "")
    assert max(_error(one, other) for (one, _), (other, _) in zip(found, plain, strict=True)) < 2
    assert all(module._compiled_call_impl is None for module in model.engine.pipeline.unet.modules())
    again, _, _ = _drawn(replace(request, engine="torch"))
    assert [image.tobytes() for image, _ in again] == [image.tobytes() for image, _ in plain]


def test_a_block_is_compiled_for_more_widths_than_torch_allows_a_new_thread(
    tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    def noted(graph: Any, _: Any) -> Any:
        limits.append((threading.current_thread(), torch.compiler.config.recompile_limit))
        return graph

    monkeypatch.setattr(compiling, "compile_blocks", partial(compiling.compile_blocks, backend=noted))
    _drawn(_request(tiny_sdxl))
    assert {thread for thread, _ in limits} != {threading.current_thread()}
    assert min(limit for _, limit in limits) >= 64


def test_a_compiler_that_fails_leaves_the_picture_to_torch_and_says_so_once(
    tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no C++ compiler\nfound")

    monkeypatch.setattr(compiling, "compile_blocks", partial(compiling.compile_blocks, backend=broken))
    request = _request(tiny_sdxl)
    plain, _, _ = _drawn(replace(request, engine="torch"))
    found, _, _ = _drawn(request)
    assert [(image.tobytes(), engine) for image, engine in found] == [(plain[0][0].tobytes(), "torch")]
    notes = [_drawn(request)[1] for _ in range(2)]
    assert "drawn with torch, as compiling failed" in notes[0]
    assert "no C++ compiler" in notes[0]
    assert "\n" not in notes[0]
    assert notes[1] == ""


def test_what_is_merged_into_the_weights_is_in_the_mirrored_network() -> None:
    unet = tiny.sdxl_pipeline().unet
    other = pipeline_internals.mirror(unet)
    assert {id(p) for p in other.parameters()} == {id(p) for p in unet.parameters()}
    assert not {id(m) for m in other.modules()} & {id(m) for m in unet.modules()}


def test_the_compilers_cache_lies_in_the_data_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/somewhere")
    compiling.compile_blocks(torch.nn.Identity(), one_size=True)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/somewhere"
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    compiling.compile_blocks(torch.nn.Identity(), one_size=True)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(home / "cache" / "compiled")


def test_offloading_and_compiled_blocks_are_refused_together(
    tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve.__globals__["offloading"], "check", lambda *_: None)
    with pytest.raises(RequestError, match="engine compiled needs the whole network on the GPU"):
        _request(tiny_sdxl, offload="model")


class _Tape:
    """Records on a processor: what is played again writes into the first answer's memory."""

    def __init__(self) -> None:
        self.recorded = self.played = 0

    def __call__(self, run: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        self.recorded += 1
        answer = run()

        def replay() -> None:
            self.played += 1
            for mine, new in zip(answer, run(), strict=True):
                mine.copy_(new)

        return answer, replay


def _inputs(seed: int, batch: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    generator = torch.Generator().manual_seed(seed)
    added = {
        "text_embeds": torch.randn(batch, 32, generator=generator),
        "time_ids": torch.ones(batch, 6),
    }
    sample = torch.randn(batch, 4, 16, 16, generator=generator)
    named = {"encoder_hidden_states": torch.randn(batch, 8, 64, generator=generator)}
    return (sample, torch.tensor(100 * seed)), {**named, "added_cond_kwargs": added}


@torch.no_grad()
def test_a_recording_is_made_for_every_shape_once_and_answers_as_the_network_does() -> None:
    unet, tape = tiny.sdxl_pipeline().unet.eval(), _Tape()
    network = RecordedNetwork(unet, tape)
    answers, expected = [], []
    for seed, batch in enumerate((2, 2, 1, 2, 1)):
        arguments, named = _inputs(seed, batch)
        answers.append(network(*arguments, **named, cross_attention_kwargs=None)[0])
        expected.append(unet(*arguments, **named, return_dict=False)[0])
    assert all(
        torch.equal(one, other) for one, other in zip(answers, expected, strict=True)
    )  # also the first
    assert (tape.recorded, tape.played) == (2, 5)
    assert network.config is unet.config


@torch.no_grad()
def test_a_changed_weight_is_in_the_recording() -> None:
    unet = tiny.sdxl_pipeline().unet.eval()
    network = RecordedNetwork(unet, _Tape())
    arguments, named = _inputs(1, 1)
    before = network(*arguments, **named)[0]
    unet.conv_out.weight.mul_(2)
    unet.conv_out.bias.mul_(2)
    assert torch.allclose(network(*arguments, **named)[0], before * 2, atol=1e-6)
