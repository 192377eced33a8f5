"""The invisible mark: what it leaves alone, and what it outlives."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.provenance import detection, pattern, watermark
from sdxl_lora.records.iptc import SourceType
from tests.provenance import shared

GENERATED, COMPOSITE = SourceType.GENERATED, SourceType.COMPOSITE


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def jpeg(image: Image.Image, quality: int = 75) -> Image.Image:
    return Image.open(io.BytesIO(shared.file_of(image.convert("RGB"), "JPEG", quality=quality)))


def scaled(image: Image.Image, scale: float) -> Image.Image:
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def cropped(image: Image.Image) -> Image.Image:
    """A tenth off both sides, unevenly."""
    left, top = round(image.width * 0.07), round(image.height * 0.02)
    return image.crop((left, top, left + round(image.width * 0.9), top + round(image.height * 0.9)))


ATTACKS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "nothing": lambda image: image,
    "JPEG 75": jpeg,
    "half the size": lambda image: scaled(image, 0.5),
    "cropped": cropped,
    "cropped, halved, JPEG 75": lambda image: jpeg(scaled(cropped(image), 0.5)),
    "odd size": lambda image: scaled(image, 0.817),
    "twice the size": lambda image: scaled(image, 2.0),
    "brighter": lambda image: image.point(lambda value: min(255, round(value * 1.1 + 6))),
}


@pytest.fixture(scope="module")
def marked() -> dict[tuple[int, int], Image.Image]:
    sizes = ((256, 256), (320, 240))
    return {size: watermark.embed(shared.photo(*size, seed=size[1]), GENERATED) for size in sizes}


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_found_after(attack: str, marked: dict[tuple[int, int], Image.Image]) -> None:
    for size, image in marked.items():
        found = detection.look(ATTACKS[attack](image))
        assert (found.found, found.kind) == (True, GENERATED), (size, found)


def test_the_scale_of_a_picture_is_found_with_it(marked: dict[tuple[int, int], Image.Image]) -> None:
    for scale in (1.0, 0.5, 0.817):
        assert detection.look(scaled(marked[320, 240], scale)).scale == pytest.approx(scale, rel=0.01)


def test_a_picture_without_it_is_not_taken_for_one() -> None:
    for seed in range(4):
        found = detection.look(shared.photo(seed=seed))
        assert not found.found
        assert found.z < detection.THRESHOLD - 0.5
    regular = np.indices((256, 256)).sum(axis=0) // 8 % 2 * 200  # a checked cloth
    for image in (regular, np.zeros((200, 300)), np.full((64, 64), 255)):
        assert not detection.look(Image.fromarray(image.astype(np.uint8))).found


def test_the_threshold_is_below_one_in_a_thousand_by_the_bound() -> None:
    """Of all scales that are tried with the largest picture, twice: its middle, and all of it shrunk."""
    scales = 2 * np.log(detection.SCALES[1] / detection.SCALES[0]) / (2 / 1536)
    assert detection.chance(round(scales)) < 1e-3


def test_what_an_edited_photo_carries_says_so() -> None:
    found = detection.look(watermark.embed(shared.photo(), COMPOSITE))
    assert (found.found, found.kind) == (True, COMPOSITE)


def test_it_cannot_be_seen(marked: dict[tuple[int, int], Image.Image]) -> None:
    for size, image in marked.items():
        difference = array(image) - array(shared.photo(*size, seed=size[1]))
        assert np.abs(difference).max() <= 20
        assert 10 * np.log10(255**2 / np.square(difference).mean()) >= 40.5
        grey_only = np.ptp(difference, axis=-1)
        assert np.percentile(grey_only, 99) <= 1  # the same in all colours, so that none shifts


def test_the_same_picture_gets_the_same_pixels() -> None:
    one, other = (watermark.embed(shared.photo(), GENERATED) for _ in range(2))
    assert one.tobytes() == other.tobytes()


def test_pure_white_stays_pure_white() -> None:
    pixels = array(shared.photo()).clip(0, 254)
    pixels[:, :80] = 255
    image = Image.fromarray(pixels.astype(np.uint8))
    made = watermark.embed(image, GENERATED)
    assert (array(made)[:, :80] == 255).all()
    assert detection.look(made).found


def test_pixels_that_must_stay_do() -> None:
    image = shared.photo()
    changed = np.zeros((256, 256), bool)
    changed[60:220, 40:230] = True
    made = watermark.embed(image, COMPOSITE, changed=changed)
    assert (array(made) == array(image))[~changed].all()
    assert detection.look(made).kind == COMPOSITE
    assert detection.look(made).found


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_mode_is_marked_and_transparency_stays(mode: str) -> None:
    image = shared.photo()
    if mode == "RGBA":
        alpha = Image.new("L", image.size, 0)
        alpha.paste(255, (40, 40, 230, 230))
        image.putalpha(alpha)
    made = watermark.embed(image if mode == "RGBA" else image.convert(mode), GENERATED)
    assert made.mode == (mode if mode in ("L", "RGBA") else "RGB")
    assert detection.look(made).found
    if mode == "RGBA":
        before, after = np.asarray(image), np.asarray(made)
        assert (before[..., 3] == after[..., 3]).all()
        assert (before[before[..., 3] == 0] == after[before[..., 3] == 0]).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 64), (8, 8)])
def test_pictures_that_are_too_small_for_it_break_nothing(size: tuple[int, int]) -> None:
    image = watermark.embed(Image.effect_noise(size, 60).convert("RGB"), GENERATED)
    assert image.size == size
    detection.look(image)


def test_a_large_picture_is_looked_at_in_its_middle_and_then_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(detection, "_SIDE", 300)
    assert detection.look(watermark.embed(shared.photo(512, 400), GENERATED)).found
    small = watermark.embed(shared.photo(256, 256, seed=2), GENERATED)
    padded = Image.new("RGB", (420, 500), "white")
    padded.paste(small, (0, 0))  # outside the middle
    found = detection.look(padded)
    assert found.found
    assert found.scale == pytest.approx(1, rel=0.01)


@pytest.mark.slow
def test_a_picture_of_many_megapixels_is_marked_and_found() -> None:
    assert detection.look(watermark.embed(shared.photo(4000, 3000), GENERATED)).found


def test_the_pattern_is_the_same_for_ever() -> None:
    """Pictures that were marked by this version must be found by every later one."""
    for kind, phases in {GENERATED: (3.881117, 0.277113), COMPOSITE: (2.028682, 5.608714)}.items():
        waves = pattern.pattern(kind)
        assert (len(waves.phases), pattern.PERIOD) == (662, 128)
        assert waves.phases[:2] == pytest.approx(phases, abs=1e-6)
        assert (waves.rows[:2].tolist(), waves.columns[:2].tolist()) == ([-21, -21], [1, 2])
