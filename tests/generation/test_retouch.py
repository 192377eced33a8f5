"""A part of a finished picture drawn over by its model: that part alone, in the colours it had."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.generation import resolve, retouch
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest, ResolvedRequest


@pytest.fixture
def request_(tiny_sdxl: Path) -> ResolvedRequest:
    wish = GenerationRequest(
        prompt="a navy jacket", model=str(tiny_sdxl), steps=4, seed=3, width=64, height=64
    )
    return resolve(wish)


@pytest.mark.parametrize("size", [(64, 64), (200, 120)])
def test_only_the_part_changes_and_its_coarse_colours_stay(
    request_: ResolvedRequest, size: tuple[int, int]
) -> None:
    picture = Image.radial_gradient("L").resize(size).convert("RGB")
    opacity = np.zeros((size[1], size[0]), np.float32)
    opacity[20:50, 10:60] = 1
    drawn = retouch.part(load(ModelConfig.of(request_)), request_, picture, opacity, 0.3)
    before, after = np.asarray(picture).astype(int), np.asarray(drawn).astype(int)
    assert (before[opacity == 0] == after[opacity == 0]).all()
    assert (before[opacity > 0] != after[opacity > 0]).any()
    assert np.abs((before - after)[20:50, 10:60].mean(axis=(0, 1))).max() < 12


def test_without_a_part_nothing_is_drawn(request_: ResolvedRequest) -> None:
    picture = Image.new("RGB", (64, 64), "navy")
    model = load(ModelConfig.of(request_))
    assert retouch.part(model, request_, picture, np.zeros((64, 64), np.float32), 0.3) is picture
