"""Masks say what part of a picture counts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.data.geometry import place
from sdxl_lora.data.masks import Masks, open_masks
from sdxl_lora.errors import DataError

SIZE = (64, 64)  # px


def save(path: Path, marked: tuple[slice, slice], size: tuple[int, int] = SIZE) -> Path:
    pixels = np.zeros(size, np.uint8)
    pixels[marked] = 255
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def masks(tmp_path: Path) -> Masks:
    """Row 0 has a mask on its upper left quarter, row 1 none."""
    save(tmp_path / "a.png", (slice(0, 32), slice(0, 32)))
    return open_masks(tmp_path, ["a.jpg", "shop/b.jpg"], [SIZE, SIZE], 0.1)


def test_what_is_white_counts_more_and_every_picture_counts_the_same(masks: Masks) -> None:
    weights = masks.weights([0, 1], [place(SIZE, SIZE)] * 2, 8)
    assert weights.shape == (2, 1, 8, 8)
    assert weights.mean(dim=(1, 2, 3)).tolist() == pytest.approx([1, 1])
    assert (weights[0, 0, 0, 0] / weights[0, 0, 7, 7]).item() == pytest.approx(10)
    assert (weights[1] == 1).all()


def test_a_mask_is_flipped_and_cropped_like_its_picture(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (slice(0, 64), slice(0, 64)), (64, 128))
    masks = open_masks(tmp_path, ["a.jpg"], [(64, 128)], 0.0)
    for flip, white in ((False, slice(0, 4)), (True, slice(4, 8))):
        [[middle]] = masks.weights([0], [place((64, 128), SIZE, flip=flip, shift=(0, 0.5))], 8)
        assert (middle[:, white] == 2).all()
        assert middle.sum() == 64


def test_where_a_crop_shows_nothing_white_all_of_it_counts(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (slice(0, 64), slice(0, 8)), (64, 128))
    masks = open_masks(tmp_path, ["a.jpg"], [(64, 128)], 0.0)
    assert (masks.weights([0], [place((64, 128), (64, 64), shift=(0, 0.99))], 8) == 1).all()


def test_another_mask_is_another_data_set(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (slice(0, 32), slice(0, 32)))
    before = open_masks(tmp_path, ["a.jpg"], [SIZE], 0.1).fingerprint()
    assert open_masks(tmp_path, ["a.jpg"], [SIZE], 0.2).fingerprint() != before
    save(tmp_path / "a.png", (slice(0, 32), slice(0, 40)))
    assert open_masks(tmp_path, ["a.jpg"], [SIZE], 0.1).fingerprint() != before


def test_what_is_wrong_with_masks_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        open_masks(tmp_path / "none", ["a.jpg"], [SIZE], 0.1)
    with pytest.raises(DataError, match=r"no mask for any picture; the first would be called a\.png"):
        open_masks(tmp_path, ["x/a.jpg"], [SIZE], 0.1)
    save(tmp_path / "a.png", (slice(0, 8), slice(0, 8)), (64, 32))
    with pytest.raises(DataError, match=r"32x64 px and its picture a\.jpg 64x64"):
        open_masks(tmp_path, ["a.jpg"], [SIZE], 0.1)
    save(tmp_path / "a.png", (slice(0, 0), slice(0, 0)))
    with pytest.raises(DataError, match="black all over"):
        open_masks(tmp_path, ["a.jpg"], [SIZE], 0.1)
