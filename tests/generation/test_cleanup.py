"""The pass after the last step that takes mottle away, seen from what network and decoder are given."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from sdxl_lora import inputs
from sdxl_lora.errors import RequestError
from sdxl_lora.generation import PictureDone, check, generate, resolve
from sdxl_lora.models.loading import LoadedModel
from sdxl_lora.models.registry import ModelDefaults
from sdxl_lora.request import GenerationRequest, ResolvedRequest
from tests import tiny


@dataclass
class Seen:
    """What went into the network and into the decoder while one picture was drawn."""

    latents: list[Tensor] = field(default_factory=list)
    timesteps: list[float] = field(default_factory=list)
    decoded: list[Tensor] = field(default_factory=list)
    picture: bytes = b""


def seen(model: LoadedModel, request: ResolvedRequest, monkeypatch: pytest.MonkeyPatch) -> Seen:
    found = Seen()
    pipeline = model.engine.pipeline
    decode = pipeline.vae.decode

    def network(_: Any, given: tuple[Any, ...]) -> None:
        found.latents.append(given[0].clone())
        found.timesteps.append(float(given[1]))

    def decoding(latents: Tensor, *rest: Any, **named: Any) -> Any:
        found.decoded.append(latents * pipeline.vae.config.scaling_factor)
        return decode(latents, *rest, **named)

    hook = pipeline.unet.register_forward_pre_hook(network)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.vae, "decode", decoding)
        [done] = [event for event in generate(model, request) if isinstance(event, PictureDone)]
    hook.remove()
    found.picture = done.image.tobytes()
    return found


@pytest.mark.parametrize("scheduler", ["own", "ddim", "dpm++ 2m"])
def test_finished_latents_go_through_the_network_once_more_without_noise_and_guidance(
    scheduler: str, model: LoadedModel, request_: ResolvedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = replace(request_, steps=3, count=1, scheduler=scheduler)
    before = seen(model, plain, monkeypatch)
    after = seen(model, replace(plain, cleanup_timestep=99), monkeypatch)
    assert after.timesteps == [*before.timesteps, 99]
    alpha = model.engine.new_scheduler("ddim").alphas_cumprod[99].sqrt()
    torch.testing.assert_close(after.latents[-1], alpha * before.decoded[-1], atol=1e-4, rtol=1e-3)
    assert len(after.latents[-1]) == 1  # no negative side
    assert after.picture != before.picture


def test_what_is_decoded_is_what_the_network_predicts_of_it(
    model: LoadedModel, request_: ResolvedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.engine.pipeline.unet.conv_out, "forward", lambda x: 0 * x[:, :4])
    found = seen(model, replace(request_, steps=2, count=1, cleanup_timestep=500), monkeypatch)
    scheduler = model.engine.new_scheduler("ddim")
    alpha = scheduler.alphas_cumprod[500].sqrt()
    predicted = found.latents[-1] * (  # of a network that always says 0
        alpha if scheduler.config.prediction_type == "v_prediction" else 1 / alpha
    )
    torch.testing.assert_close(found.decoded[-1], predicted, atol=1e-4, rtol=1e-3)


def test_a_sketch_is_finished_first(
    model: LoadedModel, request_: ResolvedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = seen(model, replace(request_, steps=4, sketch_steps=2, count=1, cleanup_timestep=99), monkeypatch)
    assert found.timesteps[-1] == 99
    assert sorted(found.timesteps[:-1], reverse=True) == found.timesteps[:-1]


def test_a_model_says_where_it_is_cleaned_up(tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wish = GenerationRequest(prompt="a cap", model=str(tiny_sdxl))
    assert resolve(wish).cleanup_timestep == ModelDefaults().cleanup_timestep == 0
    assert resolve(GenerationRequest(prompt="a cap", model="mini")).cleanup_timestep > 0
    assert resolve(GenerationRequest(prompt="a cap", model="mini", cleanup_timestep=0)).cleanup_timestep == 0


def test_a_photo_keeps_its_texture_unless_it_is_asked_for(home: Path) -> None:
    photo = inputs.keep(Image.effect_noise((64, 64), 80).convert("RGB")).hash
    wish = GenerationRequest(prompt="a cap", model="mini", start_picture=photo, strength=0.3)
    assert resolve(wish).cleanup_timestep == 0
    assert resolve(replace(wish, cleanup_timestep=50)).cleanup_timestep == 50


def test_a_model_that_always_draws_into_a_mask_cleans_nothing_up(tmp_path: Path) -> None:
    folder = tiny.save_inpainting(tmp_path / "nine", "sdxl")
    with pytest.raises(RequestError, match=r"draws into a mask.*leave the clean-up at 0"):
        check(GenerationRequest(prompt="a cap", model=str(folder), cleanup_timestep=99))


@pytest.mark.parametrize("timestep", [-1, 1000])
def test_a_timestep_that_does_not_exist_is_refused_in_one_line(timestep: int) -> None:
    with pytest.raises(RequestError, match=r"cleanup timestep .* is not between 1 and 999"):
        GenerationRequest(prompt="a cap", cleanup_timestep=timestep)
