"""The scoring CLIP's picture tower learns against a locked text tower."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sdxl_lora.mini.attributes import CLASSES, NONE, AttributeHeads
from sdxl_lora.mini.renderer import emblem_mask
from sdxl_lora.mini.scene import Scene
from sdxl_lora.mini.vision import COVERED, PATCH_NAMES, SHIFT, moved, patch_loss, sine_places

LOGO = Scene(garment="t-shirt", colour="navy", emblem="star", emblem_colour="white", emblem_position="centre")


def one_hot_heads() -> AttributeHeads:
    """Heads that read class i of both attributes from features i and 100 + i."""
    heads = AttributeHeads(200, PATCH_NAMES)
    with torch.no_grad():
        for name, start in (("emblem", 0), ("emblem_colour", 100)):
            head = heads[name]
            assert isinstance(head, nn.Linear)
            head.bias.zero_()
            head.weight.zero_()
            for i in range(len(head.weight)):
                head.weight[i, start + i] = 30
    return heads


def states_that_say(emblem: str, colour: str) -> torch.Tensor:
    """Patch states (1, 256, 200) of a 16 x 16 grid: the emblem where LOGO has it, none elsewhere."""
    states = torch.zeros(1, 256, 200)
    covered = torch.from_numpy(emblem_mask(LOGO, 16) > COVERED).flatten()
    for name, start, said in (("emblem", 0, emblem), ("emblem_colour", 100, colour)):
        states[0, covered, start + CLASSES[name].index(said)] = 1
        states[0, ~covered, start + CLASSES[name].index(NONE)] = 1
    return states


def test_patches_that_name_the_emblem_above_them_cost_nothing() -> None:
    right = patch_loss(one_hot_heads(), states_that_say("star", "white"), [LOGO])
    assert right.item() == pytest.approx(0, abs=1e-6)


def test_patches_that_name_another_emblem_cost() -> None:
    wrong = patch_loss(one_hot_heads(), states_that_say("circle", "white"), [LOGO])
    assert wrong.item() > 1


def test_patches_of_a_plain_garment_are_none() -> None:
    plain = replace(LOGO, emblem=None, emblem_colour=None, emblem_position=None)
    claimed = patch_loss(one_hot_heads(), states_that_say("star", "white"), [LOGO, plain][1:])
    assert torch.isfinite(claimed)


def test_moved_pictures_keep_size_and_content() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    other = moved(pictures, np.random.default_rng(1))
    assert other.shape == pictures.shape
    inner = pictures[:, SHIFT:-SHIFT, SHIFT:-SHIFT]
    side = inner.shape[1]
    places = range(2 * SHIFT + 1)
    assert any((other[:, y : y + side, x : x + side] == inner).all() for y in places for x in places)


def test_neighbouring_patches_start_with_similar_places() -> None:
    places = torch.nn.functional.normalize(sine_places(16, 128), dim=1)
    likeness = (places @ places.T)[5 * 16 + 5].reshape(16, 16)
    assert likeness[5, 5] == pytest.approx(1)
    assert likeness[5, 6] > likeness[5, 8] > likeness[5, 15]
    assert likeness[6, 5] == pytest.approx(likeness[5, 6].item())
