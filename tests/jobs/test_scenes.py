"""A scene behind a product: drawn by a model, with the product's whole pixels exactly as they were."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.errors import PromptError
from sdxl_lora.jobs import scenes
from sdxl_lora.jobs.edits import Source
from sdxl_lora.jobs.events import Recorded
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.models import registry


def product(size: tuple[int, int]) -> Image.Image:
    pixels = np.zeros((size[1], size[0], 4), np.uint8)
    middle = np.s_[size[1] // 4 : -(size[1] // 4), size[0] // 4 : -(size[0] // 4)]
    pixels[middle] = np.random.default_rng(0).integers(0, 256, pixels[middle].shape, np.uint8)
    pixels[middle][..., 3] = 255
    return Image.fromarray(pixels)


def source(image: Image.Image) -> Source:
    return Source(picture=inputs.keep(image).hash, width=image.width, height=image.height, made_from="")


def test_its_pixels_are_those_of_the_photo_where_they_were(home: Path) -> None:
    own = registry.describe("mini").defaults.width
    alone = product((2 * own, 2 * own - 40))
    request = scenes.before(source(alone), alone, "a beach", shadow=True)
    *_, made = Studio(home).run(request)
    assert isinstance(made, Recorded)
    with Image.open(made.record.path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    high, wide = (pixels.shape[0] - alone.height) // 2, (pixels.shape[1] - alone.width) // 2
    shown = pixels[high : high + alone.height, wide : wide + alone.width]
    whole = np.asarray(alone)[..., 3] == 255
    assert (shown[whole] == np.asarray(alone)[whole][:, :3]).all()
    assert len(np.unique(shown[~whole], axis=0)) > 50  # something was drawn there
    assert made.record.request.prompt == "a beach"


@pytest.mark.parametrize("size", [(64, 48), (300, 100), (97, 131), (4_000, 3_000)])
def test_any_picture_gets_a_scene_that_the_model_can_draw(home: Path, size: tuple[int, int]) -> None:
    own = registry.describe("mini").defaults.width
    request = scenes.before(source(product((64, 64))), product(size), "a beach")
    assert request.width is not None
    assert request.height is not None
    assert own <= max(request.width, request.height) <= 2 * own
    assert max(request.width, request.height) <= 2 * min(request.width, request.height) + 8
    frame = inputs.size(request.product)
    assert frame == (request.width * request.upscale, request.height * request.upscale)


def test_a_scene_without_words_is_one_line() -> None:
    with pytest.raises(PromptError, match="say what should be behind the product"):
        scenes.before(source(product((64, 64))), product((64, 64)), " ")
