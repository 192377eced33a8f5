"""The garment is found before a plain backdrop, and only there."""

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.editing.colour import difference
from sdxl_lora.evaluation.colour import garment_colour, garment_mask
from sdxl_lora.evaluation.pictures import Picture
from tests.evaluation.drawing import garment, noisy


def picture(image: Image.Image) -> Picture:
    return Picture(np.asarray(image.convert("RGB")))


def test_the_mask_covers_the_garment_and_nothing_else() -> None:
    mask, _ = garment_mask(np.asarray(garment("navy", side=256)))
    assert mask is not None
    expected = np.zeros((256, 256), bool)
    expected[64:193, 64:193] = True
    assert (mask == expected).mean() > 0.995


def test_the_colour_is_that_of_the_cloth_not_of_its_logo() -> None:
    shirt = garment("#204080", side=256)
    shirt.paste("white", (110, 110, 150, 150))
    plain = garment_colour(picture(garment("#204080", side=256)))
    with_logo = garment_colour(picture(shirt))
    assert plain.lab is not None
    assert with_logo.lab is not None
    assert difference(plain.lab, with_logo.lab) < 1


def test_another_colour_is_far_and_another_backdrop_is_not() -> None:
    navy, red = (garment_colour(picture(garment(colour))).lab for colour in ("navy", "red"))
    on_beige = garment_colour(picture(garment("navy", backdrop="#e8dcc8"))).lab
    assert navy is not None
    assert red is not None
    assert on_beige is not None
    assert difference(navy, red) > 30
    assert difference(navy, on_beige) < 1


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image.new("RGB", (64, 64), "white"), "nothing stands out"),
        (noisy(1), "no plain backdrop"),
        (garment("navy", side=64, backdrop="navy"), "nothing stands out"),
    ],
)
def test_without_a_garment_there_is_a_reason_and_no_colour(image: Image.Image, reason: str) -> None:
    found = garment_colour(picture(image))
    assert found.lab is None
    assert reason in found.reason
