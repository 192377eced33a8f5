"""Pictures for the data tests."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def noise() -> Callable[..., Image.Image]:
    """A picture of noise: `noise(height, width, seed)`."""

    def make(height: int = 40, width: int = 30, seed: int = 0) -> Image.Image:
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    return make


def encoded(image: Image.Image, form: str = "PNG", **keywords: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **keywords)
    return file.getvalue()
