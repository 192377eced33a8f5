import numpy as np
import pytest
from PIL import Image

from sdxl_lora.editing.plates import without_product
from tests.editing.photos import WALL, garment


def test_the_product_is_gone_and_its_place_has_the_colours_around_it() -> None:
    photo, truth = garment()
    plate = np.asarray(without_product(photo), float)
    assert np.abs(plate[truth].mean(axis=0) - WALL).max() < 12
    assert np.abs(plate[truth] - WALL).max() < 60  # nothing navy is left


def test_what_is_far_from_the_product_stays() -> None:
    photo, _ = garment()
    plate = np.asarray(without_product(photo))
    assert (plate[:20] == np.asarray(photo)[:20]).all()


@pytest.mark.parametrize("size", [(64, 64), (321, 97), (800, 1_000)])
def test_a_scene_without_a_product_stays_as_it_is(size: tuple[int, int]) -> None:
    plain = Image.new("RGB", size, "teal")
    assert without_product(plain).tobytes() == plain.tobytes()
