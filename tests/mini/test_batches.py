"""Batches of the UNet: whole pictures and windows take turns, and say where they were cut from."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from sdxl_lora.mini.batches import BatchSource, window_corner
from sdxl_lora.mini.dataset import render_set
from sdxl_lora.mini.latents import rendered_scenes
from sdxl_lora.mini.loss_weights import loss_weights
from sdxl_lora.mini.settings import PROFILES, BuildFolder

SIDE = 8  # cells of a latent of a 64 px picture


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> BatchSource:
    folder = BuildFolder(root=tmp_path_factory.mktemp("build"))
    render_set(folder.pictures / "train", 12, size=64, seed=1, workers=1)
    (folder.stage("latents") / "train").mkdir()
    scenes = rendered_scenes(folder)
    numbers = np.random.default_rng(0).standard_normal((len(scenes), 4, SIDE, SIDE)).astype(np.float16)
    weights = np.stack([loss_weights(scene, SIDE) for scene in scenes])
    np.savez(folder.stage("latents") / "train" / "0000.npz", latents=numbers, weights=weights)
    return BatchSource(folder, PROFILES["smoke"])


def test_every_third_step_shows_four_times_as_many_windows_of_a_quarter(source: BatchSource) -> None:
    for step in (0, 1, 3):
        assert source.draw(step, 0, 3).latents.shape == (3, 4, SIDE, SIDE)
    assert source.draw(2, 0, 3).latents.shape == (12, 4, SIDE // 2, SIDE // 2)


def test_without_windows_every_step_shows_whole_pictures(source: BatchSource) -> None:
    whole = object.__new__(BatchSource)
    whole.__dict__.update(source.__dict__, settings=replace(source.settings, unet_windows=False))
    assert whole.draw(2, 0, 3).latents.shape == (3, 4, SIDE, SIDE)


def test_sizes_say_in_pixels_what_was_cut_where(source: BatchSource) -> None:
    assert source.draw(0, 0, 2).sizes.tolist() == [[64, 64, 0, 0, 64, 64]] * 2
    batch = source.draw(2, 0, 3)
    for latent, (height, width, top, left, *target) in zip(
        batch.latents, batch.sizes.int().tolist(), strict=True
    ):
        assert (height, width, target) == (64, 64, [32, 32])
        rows, columns = slice(top // 8, top // 8 + 4), slice(left // 8, left // 8 + 4)
        wholes = torch.from_numpy(source.latents[:, :, rows, columns]).float() * source.factor
        assert (wholes == latent).flatten(1).all(1).any()


@pytest.mark.parametrize("step", [4, 5])
def test_a_step_of_a_worker_is_the_same_whenever_it_is_asked_for(source: BatchSource, step: int) -> None:
    first, again, other = source.draw(step, 1, 3), source.draw(step, 1, 3), source.draw(step, 0, 3)
    assert first.captions == again.captions
    assert torch.equal(first.noise, again.noise)
    assert torch.equal(first.latents, again.latents)
    assert not torch.equal(first.noise, other.noise)


@pytest.mark.parametrize(
    ("box", "fits"),
    [
        ((slice(1, 3), slice(5, 8)), lambda top, left: top <= 1 and left >= 4),
        ((slice(0, 8), slice(2, 4)), lambda top, left: top == 0 and left <= 2),
    ],
)
def test_a_window_holds_the_emblem_or_as_much_of_it_as_fits(
    box: tuple[slice, slice], fits: Callable[[int, int], bool]
) -> None:
    weights = np.ones((SIDE, SIDE), np.float16)
    weights[box] = 12
    corners = [window_corner(weights, 4, np.random.default_rng(seed)) for seed in range(40)]
    assert all(fits(top, left) and 0 <= top <= 4 and 0 <= left <= 4 for top, left in corners)
    assert len(set(corners)) > 1
