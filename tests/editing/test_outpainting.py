"""A widened frame keeps the picture to the bit, and what is new begins with the colours of its edge."""

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.editing import outpainting
from sdxl_lora.errors import ImageError, RequestError

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))


@pytest.mark.parametrize("anchor", ["start", "middle", "end"])
@pytest.mark.parametrize("ratio", [16 / 9, 1.0, 9 / 16, 3.0])
def test_every_pixel_is_kept_and_the_mask_is_the_rest(ratio: float, anchor: outpainting.Anchor) -> None:
    canvas, mask = outpainting.widened(NOISE, ratio, anchor)
    assert canvas.size == mask.size
    assert canvas.width / canvas.height == pytest.approx(ratio, rel=0.01)
    kept = np.asarray(mask) == 0
    assert (np.asarray(canvas)[kept] == np.asarray(NOISE).reshape(-1, 3)).all()


def test_new_parts_have_the_colours_of_the_edge() -> None:
    picture = Image.new("RGB", (100, 100), "white")
    picture.paste("red", (50, 0, 100, 100))
    canvas, _ = outpainting.widened(picture, 2.0)
    assert np.abs(np.asarray(canvas)[50, 2].astype(int) - 255).max() <= 2
    assert np.abs(np.asarray(canvas)[50, -2].astype(int) - (255, 0, 0)).max() <= 2


def test_a_shape_that_is_there_or_too_far_away_is_refused() -> None:
    for ratio, said in (
        (4 / 3, "has that shape already"),
        (1.34, "has that shape"),
        (20.0, "more than 4 times"),
    ):
        with pytest.raises(ImageError, match=said):
            outpainting.widened(NOISE, ratio)


@pytest.mark.parametrize("text", ["", "wide", "16", "0:9", "-1:2", "1:0", "16:9:4", "99999:1"])
def test_a_shape_is_two_numbers(text: str) -> None:
    with pytest.raises(RequestError, match="is not of the form W:H"):
        outpainting.ratio_of(text)


def test_shapes_are_read_as_people_write_them() -> None:
    assert [outpainting.ratio_of(text) for text in ("16:9", "16 x 9", "4/5", "1.91:1")] == [
        16 / 9,
        16 / 9,
        0.8,
        1.91,
    ]
