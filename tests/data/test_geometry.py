"""Sizes and crops, against torchvision's arithmetic and by hand."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms.functional import hflip

from sdxl_lora.data.geometry import buckets, cut, nearest_bucket, place
from sdxl_lora.errors import RequestError


@pytest.mark.parametrize("size", [(90, 70), (70, 111), (64, 64), (33, 200), (525, 525)])
@pytest.mark.parametrize("flip", [False, True])
def test_the_square_centre_crop_is_torchvisions(size, flip):
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    resized = transforms.Resize(64, interpolation=transforms.InterpolationMode.LANCZOS)(image)
    resized = hflip(resized) if flip else resized
    expected = transforms.ToTensor()(transforms.CenterCrop(64)(resized)) * 2 - 1
    placement = place(size, (64, 64), flip=flip)
    assert torch.allclose(cut(image, placement), expected, atol=1e-6)
    assert placement.top == max(0, round((resized.height - 64) / 2.0))
    assert placement.left == max(0, round((resized.width - 64) / 2.0))


def test_a_flip_comes_before_the_crop_and_the_corner_counts_from_the_flipped_left():
    """The seed's script flipped after cropping and told SDXL crop_left = width."""
    ramp = np.tile(np.arange(128, dtype=np.uint8)[None, :, None], (64, 1, 3))
    placement = place((64, 128), (64, 64), flip=True, shift=(0.0, 0.0))
    assert placement.left == 0
    pixels = (cut(Image.fromarray(ramp), placement) + 1) * 127.5
    assert pixels[0, 0, 0] == pytest.approx(
        127, abs=0.5
    )  # the right edge of the original is now the left one


def test_time_ids_hold_original_size_corner_and_target():
    assert place((100, 300), (64, 128), shift=(0.0, 0.5)).time_ids() == (100, 300, 0, 32, 64, 128)


def test_a_shift_reaches_both_ends_of_the_room():
    lefts = {place((64, 66), (64, 64), shift=(0.0, s)).left for s in (0.0, 0.4, 0.99)}
    assert lefts == {0, 1, 2}


def test_buckets_divide_stay_within_the_area_and_hold_the_square():
    sizes = buckets(1024, 64)
    assert (1024, 1024) in sizes
    assert (1152, 896) in sizes
    assert all(
        h % 64 == 0 and w % 64 == 0 and h * w <= 1024 * 1024 and max(h, w) <= 2 * min(h, w) for h, w in sizes
    )
    assert [(w, h) for h, w in sizes[::-1]] == sizes  # symmetric


def test_the_nearest_bucket_is_nearest_in_aspect_ratio():
    sizes = buckets(1024, 64)
    assert nearest_bucket((525, 525), sizes) == (1024, 1024)
    height, width = nearest_bucket((1000, 700), sizes)
    assert height / width == pytest.approx(1000 / 700, rel=0.1)


@pytest.mark.parametrize(("wrong", "nearest"), [(1000, 1024), (500, 512), (10, 64)])
def test_a_resolution_the_model_cannot_divide_names_the_nearest(wrong, nearest):
    with pytest.raises(RequestError, match=f"resolution {wrong} is not a multiple of 64, .*use {nearest}"):
        buckets(wrong, 64)
