"""A picture that shows nothing is told from one that shows something."""

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.scoring.checks import blank_reason


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_black_is_numerical_trouble(mode: str) -> None:
    assert "the picture is black" in (blank_reason(Image.new(mode, (16, 16))) or "")


def test_any_other_flat_colour_is_flat() -> None:
    assert "one flat colour" in (blank_reason(Image.new("RGB", (16, 16), (200, 10, 10))) or "")


def test_rounding_noise_is_still_flat() -> None:
    noise = np.random.default_rng(0).integers(0, 3, (16, 16, 3), dtype=np.uint8)
    assert blank_reason(Image.fromarray(noise)) is not None


def test_one_faint_dot_is_a_picture() -> None:
    image = Image.new("RGB", (16, 16), (255, 255, 255))
    image.putpixel((3, 3), (255, 250, 255))
    assert blank_reason(image) is None
