"""Step caching: which blocks are computed when, and what the pictures keep."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sdxl_lora.errors import RequestError
from sdxl_lora.generation import PictureDone, generate, resolve
from sdxl_lora.models import conversions, engines
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.models.step_cache import CachingNetwork
from sdxl_lora.request import GenerationRequest, ResolvedRequest
from tests import tiny


@pytest.fixture(scope="module")
def unet() -> Any:
    return tiny.sdxl_pipeline().unet.eval()


def _called(unet: Any) -> tuple[Counter[str], list[Any]]:
    calls: Counter[str] = Counter()
    named = [(f"down {i}", block) for i, block in enumerate(unet.down_blocks)]
    named += [("middle", unet.mid_block)] if unet.mid_block is not None else []
    named += [(f"up {i}", block) for i, block in enumerate(unet.up_blocks)]
    hooks = [
        block.register_forward_pre_hook(lambda *_, name=name: calls.update([name])) for name, block in named
    ]
    return calls, hooks


def _inputs(batch: int = 2, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "timestep": torch.tensor(500),
        "encoder_hidden_states": torch.randn(batch, 8, 64, generator=generator),
        "added_cond_kwargs": {
            "text_embeds": torch.randn(batch, 32, generator=generator),
            "time_ids": torch.ones(batch, 6),
        },
    }


@torch.no_grad()
def test_of_so_many_steps_one_computes_the_deep_blocks(unet: Any) -> None:
    calls, hooks = _called(unet)
    network = CachingNetwork(unet, 3)
    for step in range(7):
        network(torch.randn(2, 4, 16, 16) + step, **_inputs())
    for hook in hooks:
        hook.remove()
    assert calls == {"down 0": 7, "up 1": 7, "down 1": 3, "middle": 3, "up 0": 3}


@torch.no_grad()
def test_whole_steps_and_equal_latents_give_the_networks_own_answer_to_the_bit(unet: Any) -> None:
    network, latents = CachingNetwork(unet, 2), torch.randn(2, 4, 16, 16)
    expected = unet(latents, **_inputs(), return_dict=False)[0]
    for _ in range(4):
        assert torch.equal(network(latents, **_inputs(), return_dict=False)[0], expected)


@torch.no_grad()
def test_where_guidance_ends_the_smaller_batch_is_computed_whole(unet: Any) -> None:
    network, latents = CachingNetwork(unet, 2), torch.randn(2, 4, 16, 16)
    network(latents, **_inputs())
    other = torch.randn(1, 4, 16, 16)
    expected = unet(other, **_inputs(1), return_dict=False)[0]
    assert torch.equal(network(other, **_inputs(1), return_dict=False)[0], expected)


@torch.no_grad()
def test_two_pictures_at_once_do_not_mix(unet: Any) -> None:
    one, other = CachingNetwork(unet, 2), CachingNetwork(unet, 2)
    alone = CachingNetwork(unet, 2)
    latents = [torch.randn(1, 4, 16, 16) for _ in range(4)]
    expected = [alone(value, **_inputs(1), return_dict=False)[0] for value in latents]
    for value, answer in zip(latents, expected, strict=True):
        found = one(value, **_inputs(1), return_dict=False)[0]
        other(value * 3, **_inputs(1, seed=1))
        assert torch.equal(found, answer)


@torch.no_grad()
def test_a_network_without_a_middle_can_do_it_too(unet: Any) -> None:
    middle = unet.mid_block
    try:
        unet.mid_block = None
        network, latents = CachingNetwork(unet, 2), torch.randn(1, 4, 16, 16)
        first = network(latents, **_inputs(1), return_dict=False)[0]
        assert torch.equal(network(latents, **_inputs(1), return_dict=False)[0], first)
    finally:
        unet.mid_block = middle


def _request(folder: Path, **fields: Any) -> ResolvedRequest:
    wish = GenerationRequest(prompt="a navy jacket", model=str(folder), steps=6, seed=3, **fields)
    return replace(resolve(wish), engine="torch")


def _pixels(request: ResolvedRequest) -> list[bytes]:
    model = load(ModelConfig.of(request, device="cpu"))
    return [event.image.tobytes() for event in generate(model, request) if isinstance(event, PictureDone)]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_pictures_are_others_the_same_each_time_and_alone_or_in_a_batch(
    tiny_sdxl: Path, precision: Any
) -> None:
    plain = _request(tiny_sdxl, precision=precision, count=2)
    cached = replace(plain, cache_interval=2)
    found = _pixels(cached)
    assert found != _pixels(plain)
    assert found == _pixels(cached)
    assert found[1:] == _pixels(cached.for_picture(1))


def test_a_picture_before_is_drawn_as_if_nothing_were_cached_after(tiny_sd: Path) -> None:
    plain = _request(tiny_sd, precision="bf16")
    before = _pixels(plain)
    _pixels(replace(plain, cache_interval=3))
    assert _pixels(plain) == before


def test_every_block_of_the_shared_network_stays_in_its_place(tiny_sdxl: Path) -> None:
    request = _request(tiny_sdxl, cache_interval=2)
    network: nn.Module = load(ModelConfig.of(request, device="cpu")).engine.pipeline.unet
    before = [id(module) for module in network.modules()]
    _pixels(request)
    assert [id(module) for module in network.modules()] == before


def test_a_converted_or_compiled_network_and_offloading_are_refused_in_one_line(
    tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversions, "version", lambda: "2026.4.1")
    monkeypatch.delenv("SDXL_LORA_ENGINE")
    assert engines.choose("auto", "cpu", "bf16", 1, cached=True) == "torch"
    for engine in ("openvino", "compiled"):
        with pytest.raises(RequestError, match=f"engine {engine} .*; use cache interval 1 or engine torch"):
            engines.choose(engine, "cpu", "bf16", 1, cached=True)
    monkeypatch.setattr(resolve.__globals__["offloading"], "check", lambda *_: None)
    with pytest.raises(RequestError, match="leave out one of it and offload"):
        resolve(GenerationRequest(prompt="p", model=str(tiny_sdxl), cache_interval=2, offload="model"))


def test_an_interval_that_is_none_is_refused() -> None:
    for interval in (0, 6, -1):
        with pytest.raises(RequestError, match="is not between 1 and 5"):
            GenerationRequest(prompt="p", cache_interval=interval)
