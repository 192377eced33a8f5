"""An enlarged picture is drawn into tile by tile: all of it, without seams, by the words of its request."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.errors import Cancelled
from sdxl_lora.generation import detail, resolve
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load
from sdxl_lora.request import GenerationRequest, ResolvedRequest


@pytest.fixture
def request_(tiny_sdxl: Path) -> ResolvedRequest:
    wish = GenerationRequest(
        prompt="a navy jacket",
        model=str(tiny_sdxl),
        steps=4,
        seed=3,
        width=64,
        height=64,
        upscale=2,
        detail=0.5,
    )
    return resolve(wish)


@pytest.fixture
def model(request_: ResolvedRequest) -> LoadedModel:
    return load(ModelConfig.of(request_))


def picture(size: tuple[int, int]) -> Image.Image:
    return Image.radial_gradient("L").resize(size).convert("RGB")


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (100, 300), (65, 64)])
def test_tiles_cover_every_pixel_and_overlap(size: tuple[int, int]) -> None:
    seen = np.zeros((size[1], size[0]), int)
    for left, top, right, bottom in detail.tiles(size, (64, 64)):
        assert (right - left, bottom - top) == (64, 64)
        seen[top:bottom, left:right] += 1
    assert seen.min() >= 1
    if size[0] > 64 and size[1] > 64:
        assert seen.max() >= 2


def test_blended_tiles_of_one_colour_show_no_seam() -> None:
    sums = np.zeros((128, 128, 1))
    weights = np.zeros((128, 128, 1))
    for box in detail.tiles((128, 128), (64, 64)):
        share = detail._ramp(box, (128, 128))
        assert share.min() > 0
        sums[box[1] : box[3], box[0] : box[2]] += 100 * share
        weights[box[1] : box[3], box[0] : box[2]] += share
    assert np.allclose(sums / weights, 100)


def test_the_picture_changes_keeps_its_size_and_comes_out_the_same_again(
    model: LoadedModel, request_: ResolvedRequest
) -> None:
    large = picture((128, 96))
    one, other = (detail.add(model, request_, large) for _ in range(2))
    assert one.size == large.size
    assert one.tobytes() == other.tobytes() != large.tobytes()


def test_how_much_is_drawn_is_what_the_request_says(model: LoadedModel, request_: ResolvedRequest) -> None:
    large = picture((96, 96))
    little, much = (
        detail.add(model, replace(request_, detail=strength), large).tobytes() for strength in (0.25, 1.0)
    )
    assert little != much


def test_a_picture_no_larger_than_a_tile_stays(model: LoadedModel, request_: ResolvedRequest) -> None:
    small = picture((64, 64))
    assert detail.add(model, request_, small) is small


def test_it_can_be_cancelled(model: LoadedModel, request_: ResolvedRequest) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        detail.add(model, request_, picture((128, 128)), cancel=cancel)
