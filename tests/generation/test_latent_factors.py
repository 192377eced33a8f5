"""A model draws, previews and finishes sketches whatever its VAE's factor is: SDXL has 8, the bundled model 4."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from sdxl_lora.errors import RequestError
from sdxl_lora.generation import PictureDone, StepDone, generate, resolve
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest
from tests import tiny


@pytest.fixture(scope="module", params=[2, 4, 8, 16])
def factor(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def folder(factor: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_sdxl(tmp_path_factory.mktemp("factors") / f"factor-{factor}", factor)


def test_pictures_and_previews_have_the_size_asked_for(folder: Path, factor: int) -> None:
    request = resolve(
        GenerationRequest(
            prompt="a skirt", model=str(folder), steps=4, seed=3, width=96, height=64, precision="fp32"
        )
    )
    model = load(ModelConfig.of(request))
    events = list(generate(model, request))
    previews = [event.preview.size for event in events if isinstance(event, StepDone) and event.preview]
    assert previews == [(96, 64)] * 2
    assert [event.image.size for event in events if isinstance(event, PictureDone)] == [(96, 64)]
    assert model.engine.pipeline.vae_scale_factor == factor


def test_a_picture_is_bit_for_bit_the_stock_pipelines(folder: Path) -> None:
    stock = StableDiffusionXLPipeline.from_pretrained(folder)
    stock.set_progress_bar_config(disable=True)
    expected = stock("a skirt", num_inference_steps=2, generator=torch.Generator().manual_seed(7)).images[0]
    request = resolve(
        GenerationRequest(prompt="a skirt", model=str(folder), steps=2, seed=7, precision="fp32")
    )
    drawn = [e for e in generate(load(ModelConfig.of(request)), request) if isinstance(e, PictureDone)]
    assert drawn[0].image.tobytes() == expected.tobytes()
    assert expected.size == (tiny.SIDE, tiny.SIDE)


def test_a_sketch_is_finished_at_its_own_size(folder: Path) -> None:
    request = resolve(
        GenerationRequest(
            prompt="a skirt", model=str(folder), steps=6, sketch_steps=4, seed=3, precision="fp32"
        )
    )
    drawn = [e for e in generate(load(ModelConfig.of(request)), request) if isinstance(e, PictureDone)]
    assert drawn[0].image.size == (tiny.SIDE, tiny.SIDE)


def test_a_side_that_the_vae_cannot_divide_is_refused_before_drawing(folder: Path, factor: int) -> None:
    request = GenerationRequest(prompt="a skirt", model=str(folder), width=72)
    if factor <= 8:
        assert resolve(request).width == 72
        return
    with pytest.raises(RequestError, match=r"width 72 is not a multiple of 16, as .* needs; use 64"):
        resolve(request)
