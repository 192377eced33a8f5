"""The gap between generated pictures and renders, on pictures whose gap is known."""

import json
import random
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sdxl_lora.mini import gap
from sdxl_lora.mini.critic import cross_examine
from sdxl_lora.mini.gap import (
    BARS,
    Regions,
    background_mottle,
    background_sharpness,
    edge_sharpness,
    measure_gap,
)
from sdxl_lora.mini.judge import Judge
from sdxl_lora.mini.renderer import coverage, render
from sdxl_lora.mini.scene import Scene, sample_scene
from sdxl_lora.mini.verdict import format_table

SIZE = 64
Pictures = NDArray[np.uint8]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = random.Random(3)
    return [sample_scene(rng) for _ in range(24)]


@pytest.fixture(scope="module")
def renders(scenes: list[Scene]) -> Pictures:
    return np.stack([render(scene, SIZE) for scene in scenes])


@pytest.fixture(scope="module")
def again(scenes: list[Scene]) -> Pictures:
    """Renders of the same words with other seeds."""
    return np.stack([render(replace(scene, seed=scene.seed + 1), SIZE) for scene in scenes])


@pytest.fixture(scope="module")
def regions(scenes: list[Scene]) -> Regions:
    return Regions.of(scenes, SIZE)


def blurred(pictures: Pictures) -> Pictures:
    return np.stack([cv2.GaussianBlur(picture, (0, 0), 0.8) for picture in pictures]).astype(np.uint8)


def noisy(pictures: Pictures) -> Pictures:
    noise = np.random.default_rng(0).normal(0, 4, pictures.shape)
    return np.clip(pictures + noise, 0, 255).astype(np.uint8)


def test_renders_of_the_same_words_are_as_sharp_as_each_other(
    renders: Pictures, again: Pictures, regions: Regions
) -> None:
    ratio = edge_sharpness(again, renders, regions)
    assert ratio.value == pytest.approx(1, abs=0.15)
    assert ratio.ci95 is not None
    assert ratio.ci95[0] < ratio.value < ratio.ci95[1]


def test_pictures_compared_with_themselves_have_no_gap(renders: Pictures, regions: Regions) -> None:
    assert edge_sharpness(renders, renders, regions).value == 1
    assert background_sharpness(renders, renders, regions).value == 1
    assert background_mottle(renders, renders, regions).value == 1


def test_blurred_pictures_are_softer_on_edges(renders: Pictures, again: Pictures, regions: Regions) -> None:
    assert edge_sharpness(blurred(again), renders, regions).value < 0.5


def test_noise_shows_on_the_background(renders: Pictures, again: Pictures, regions: Regions) -> None:
    assert background_sharpness(noisy(again), renders, regions).value > 5


def clouded(pictures: Pictures) -> Pictures:
    """With low waves of 16 px, 6 sRGB steps high."""
    wave = np.sin(np.arange(SIZE) * 2 * np.pi / 16)
    clouds = 6 * (wave[:, None] * wave[None, :])[None, :, :, None]
    return np.clip(pictures + clouds, 0, 255).astype(np.uint8)


def test_clouds_on_the_background_are_mottle_and_the_grain_of_8_bits_is_not(
    renders: Pictures, again: Pictures, regions: Regions
) -> None:
    even = background_mottle(again, renders, regions)
    assert even.value == pytest.approx(1, abs=0.4)
    assert background_mottle(clouded(again), renders, regions).value > 1.5 * even.value
    coarse = (again // 2) * 2
    assert background_mottle(coarse, renders, regions).value == pytest.approx(even.value, rel=0.15)
    assert background_sharpness(coarse, renders, regions).value > 1.5


def test_a_gradient_is_no_mottle(renders: Pictures, regions: Regions) -> None:
    rising = np.broadcast_to(np.linspace(100, 163, SIZE)[None, :, None, None], renders.shape).astype(np.uint8)
    assert background_mottle(rising, np.full_like(rising, 128), regions).value < 3
    assert background_mottle(clouded(rising), rising, regions).value > 5


def test_where_nothing_is_plain_background_there_is_no_ratio(scenes: list[Scene], regions: Regions) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (len(scenes), SIZE, SIZE, 3)).astype(np.uint8)
    ratio = background_sharpness(noise, noise, regions)
    assert np.isnan(ratio.value)
    assert ratio.pictures == 0
    assert background_mottle(noise, noise, regions).pictures == 0


def test_coverage_is_the_garment_and_not_the_backdrop() -> None:
    tee = Scene(garment="t-shirt", colour="black", setting="white", seed=5)
    covered = coverage(tee, 96)
    picture = render(tee, 96).mean(2)
    assert covered[48, 48] == 1
    assert covered[0, 0] == 0
    assert picture[covered == 1].mean() < 80 < 200 < picture[covered == 0].mean()


def test_a_critic_tells_blurred_pictures_from_renders_and_looks_at_edges(
    renders: Pictures, again: Pictures, regions: Regions
) -> None:
    examined = cross_examine(blurred(again), renders, steps=40)
    assert examined.accuracy > 0.8
    assert examined.ci95[0] > 0.5
    assert examined.judged == 2 * len(renders)
    assert examined.saliency[regions.near].mean() > examined.saliency[regions.far].mean()


def test_a_critic_cannot_tell_renders_from_renders(renders: Pictures, again: Pictures) -> None:
    low, high = cross_examine(again, renders, steps=40).ci95
    assert low < 0.6
    assert high > 0.4


def test_a_critic_leaves_the_random_numbers_of_others_alone(renders: Pictures) -> None:
    torch.manual_seed(3)
    cross_examine(renders[:4], renders[4:8], steps=1)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))


def test_the_report_has_every_bar_and_a_second_set_of_renders_beside_it(
    scenes: list[Scene], renders: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(
        gap, "cross_examine", partial(cross_examine, steps=2)
    )  # how well is not the point here
    untrained = Judge()  # normalising by each batch: with its running statistics features would be zero
    table = measure_gap(untrained, blurred(renders), renders, scenes, tmp_path)
    assert set(BARS) <= set(table)
    assert "mottle on background" in table
    distance: Any = table["Frechet distance, judge's features"]["generated"]
    assert distance > 0
    assert json.loads(json.dumps(table)) == table
    assert (tmp_path / "critic.jpg").stat().st_size > 0
    printed = format_table(table)
    assert "at least 0.85" in printed
    assert "at most 75.0%" in printed
    assert len(printed.splitlines()) == 2 + len(table)


def test_a_report_of_an_earlier_version_is_still_printed() -> None:
    printed = format_table({"garment": {"generated": 0.99, "renders": 1.0, "pictures": 300, "bar": 0.95}})
    assert "| garment | 99.0% |  | 100.0% | at least 95.0% | 300 |" in printed
