"""What a request leaves open is decided once, from the model's own defaults."""

from dataclasses import replace
from pathlib import Path

import pytest

from sdxl_lora.errors import RequestError, UnknownNameError
from sdxl_lora.generation import resolve
from sdxl_lora.request import GenerationRequest
from tests import tiny


@pytest.fixture
def open_request(tiny_sdxl: Path) -> GenerationRequest:
    return GenerationRequest(prompt="a jacket", model=str(tiny_sdxl))


def test_nothing_that_decides_the_picture_stays_open(open_request: GenerationRequest) -> None:
    decided = resolve(open_request)
    assert (decided.steps, decided.guidance) == (30, 5.0)
    assert (decided.width, decided.height) == (tiny.SIDE, tiny.SIDE)
    assert decided.seed is not None
    assert decided.precision in ("fp32", "fp16", "bf16")


def test_deciding_twice_changes_nothing(open_request: GenerationRequest) -> None:
    decided = resolve(open_request)
    assert resolve(decided) == decided


def test_what_the_user_said_is_kept(open_request: GenerationRequest) -> None:
    said = replace(
        open_request,
        steps=1,
        guidance=0.0,
        guidance_end=0.5,
        seed=0,
        width=64,
        height=128,
        precision="fp32",
        engine="torch",
        scheduler="ddim",
    )
    decided = resolve(said)
    left_open = ("sketch_steps", "cleanup_timestep", "strength", "mask_feather", "model_sha256")
    kept = {name: value for name, value in vars(said).items() if name not in left_open}
    assert {name: getattr(decided, name) for name in kept} == kept


def test_seeds_are_drawn_anew_each_time(open_request: GenerationRequest) -> None:
    assert len({resolve(open_request).seed for _ in range(20)}) == 20


def test_auto_becomes_the_name_of_a_model(
    open_request: GenerationRequest, tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_MINI", str(tiny_sdxl))
    assert resolve(replace(open_request, model="auto")).model == "mini"


@pytest.mark.parametrize(("width", "height"), [(136, 136), (64, 264), (4096, 4096)])
def test_a_size_far_beyond_the_models_own_is_refused(
    width: int, height: int, open_request: GenerationRequest
) -> None:
    with pytest.raises(RequestError, match=f"{width} x {height} is too large for .* 64 x 64"):
        resolve(replace(open_request, width=width, height=height))


def test_four_times_the_area_is_allowed(open_request: GenerationRequest) -> None:
    assert resolve(replace(open_request, width=128, height=128)).width == 128


@pytest.mark.parametrize("field", ["model", "scheduler"])
def test_unknown_names_are_told_before_anything_is_loaded(
    field: str, open_request: GenerationRequest
) -> None:
    with pytest.raises(UnknownNameError, match=f"no {field} named 'nonsense'"):
        resolve(replace(open_request, **{field: "nonsense"}))  # type: ignore[arg-type]
