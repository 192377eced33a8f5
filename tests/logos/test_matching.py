"""A logo is found where it is, told from an altered one, and not found where it is not."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora.logos import compositing, geometry, matching
from sdxl_lora.logos.raster import Logo
from tests.logos.marks import PEAK, svg

MARKS = Path(__file__).parents[2] / "benchmarks" / "marks"
MARK = Logo.read(PEAK, "peak.svg")
RING = Logo.read(
    svg('<circle cx="50" cy="50" r="38" fill="none" stroke="#fff" stroke-width="14"/>'), "ring.svg"
)
PLACE = geometry.rectangle((140, 120), 110, 110 / MARK.aspect, 4)


def cloth() -> NDArray[np.uint8]:
    """Folded grey-blue cloth with a weave, 256 px."""
    x, y = np.meshgrid(np.arange(256), np.arange(256))
    light = 1 + 0.15 * np.sin(x / 30 + y / 60) + np.random.default_rng(1).normal(0, 0.02, (256, 256))
    return np.clip(np.array((150, 165, 185)) * light[..., None], 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def printed() -> NDArray[np.uint8]:
    return compositing.composite(cloth(), MARK, PLACE)


def test_a_true_logo_is_found_where_it_is(printed: NDArray[np.uint8]) -> None:
    seen = matching.find(printed, MARK)
    assert seen.verdict == "match"
    assert seen.corners is not None
    assert np.abs(seen.corners - PLACE).max() < 6
    assert "alike" in seen.reason


def test_where_it_should_be_is_enough_to_look_at(printed: NDArray[np.uint8]) -> None:
    assert matching.find(printed, MARK, near=PLACE + 4).verdict == "match"
    assert matching.find(printed, MARK, near=PLACE + np.array((-40, 60))).verdict == "not found"
    assert matching.find(cloth(), MARK, near=PLACE).verdict == "not found"


def test_another_logo_and_bare_cloth_are_not_it(printed: NDArray[np.uint8]) -> None:
    assert matching.find(printed, RING).verdict == "not found"
    assert matching.find(cloth(), MARK).verdict == "not found"


def test_other_colours_are_an_altered_logo() -> None:
    green = Logo.read(PEAK.replace(b"#c8102e", b"#b0671a"), "green.svg")
    seen = matching.find(compositing.composite(cloth(), green, PLACE), MARK, near=PLACE)
    assert seen.verdict == "altered"
    assert "a colour is off by" in seen.reason


def test_other_proportions_are_an_altered_logo() -> None:
    wide = geometry.rectangle((140, 120), 140, 95)
    seen = matching.find(compositing.composite(cloth(), MARK, wide), MARK, near=wide)
    assert (seen.verdict, "stretched" in seen.reason) == ("altered", True)


def test_a_missing_part_is_an_altered_logo() -> None:
    part = PEAK.replace(b'<circle cx="82" cy="20" r="9" fill="#1f2a44"/>', b"").replace(b"L5", b"")
    bare = Logo.read(part.replace(b"58 42 66 30 95 70Z", b"66 70Z"), "half.svg")
    width = 110 * bare.aspect * (bare.box[3] - bare.box[1]) / (MARK.aspect * (MARK.box[3] - MARK.box[1]))
    there = geometry.rectangle((140 - (110 - width) / 2, 124), width, width / bare.aspect, 4)
    assert matching.find(compositing.composite(cloth(), bare, there), MARK, near=PLACE).verdict != "match"


def melted(logo: Logo) -> Logo:
    """With rounded corners and filled gaps."""
    drawn = logo.drawn(600)
    size = int(min(drawn.shape[:2]) * 0.16) | 1
    soft = np.dstack([cv2.medianBlur(np.ascontiguousarray(part), size) for part in cv2.split(drawn)])
    file = io.BytesIO()
    Image.fromarray(soft).save(file, "PNG")
    return Logo.read(file.getvalue(), "melted")


@pytest.mark.parametrize(("mark", "side"), [("crest", 70), ("crest", 150), ("hallmond", 240)])
def test_a_melted_logo_is_an_altered_one_however_near_its_shape_is(mark: str, side: int) -> None:
    logo = Logo.open(MARKS / f"{mark}.svg")
    place = geometry.rectangle((128, 128), side, side / logo.aspect)
    other = compositing.composite(cloth(), melted(logo), place)
    true = matching.find(compositing.composite(cloth(), logo, place), logo, near=place)
    assert true.verdict == "match", true.reason
    assert matching.find(other, logo, near=place).verdict == "altered"


@pytest.mark.parametrize("side", [100, 200])
def test_a_wordmark_of_a_few_pixels_is_too_small_to_be_judged_true_or_melted(side: int) -> None:
    logo = Logo.open(MARKS / "hallmond.svg")
    place = geometry.rectangle((128, 128), side, side / logo.aspect)
    for shown in (logo, melted(logo)):
        seen = matching.find(compositing.composite(cloth(), shown, place), logo, near=place)
        assert seen.verdict == "too small"
        assert seen.reason.endswith("px small; it is judged from 24 px on")
    assert matching.find(cloth(), logo, near=place).verdict == "not found"


def test_a_hairline_is_too_small_to_be_judged() -> None:
    line = Logo.read(svg('<rect width="100" height="3"/>'), "line.svg")
    place = geometry.rectangle((128, 128), 30, 30 / line.aspect)
    assert matching.compare(compositing.composite(cloth(), line, place), line, place).verdict != "match"
    assert matching.find(cloth(), line, near=geometry.rectangle((128, 128), 20, 1)).verdict == "too small"


def test_a_true_logo_of_a_picture_that_was_made_smaller_and_saved_as_jpeg_is_the_logo() -> None:
    printed = Image.fromarray(compositing.composite(cloth(), MARK, PLACE))
    file = io.BytesIO()
    printed.resize((192, 192), Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    small = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    assert matching.find(small, MARK, near=PLACE * 192 / 256).verdict == "match"


def test_what_stands_between_its_parts_is_seen_however_faint_it_is() -> None:
    dark = np.full((256, 256, 3), (28, 34, 60), np.uint8)
    logo = Logo.open(MARKS / "riverline.svg")
    place = geometry.rectangle((128, 128), 180, 180 / logo.aspect)
    printed = compositing.composite(dark, logo, place)
    assert matching.find(printed, logo, near=place).verdict == "match"
    printed[124:134, 38:218] = (12, 12, 12)  # between its two lines
    seen = matching.find(printed, logo, near=place)
    assert (seen.verdict, "something else is on it" in seen.reason) == ("altered", True)


def test_a_mirrored_logo_is_said_to_be_mirrored() -> None:
    flipped = PEAK.replace(
        b'<path fill="#c8102e"', b'<g transform="matrix(-1 0 0 1 100 0)"><path fill="#c8102e"'
    )
    mirrored = Logo.read(flipped.replace(b"</svg>", b"</g></svg>"), "flipped.svg")
    seen = matching.find(
        compositing.composite(cloth(), mirrored, geometry.rectangle((140, 120), 110, 110 / MARK.aspect)), MARK
    )
    assert (seen.verdict, "mirrored" in seen.reason) == ("altered", True)


@pytest.mark.parametrize("side", [16, 40])
def test_pictures_too_small_to_tell_have_no_logo(side: int) -> None:
    assert matching.find(np.full((side, side, 3), 90, np.uint8), MARK).verdict == "not found"


def test_on_patterned_cloth_a_true_logo_is_known_by_the_cloth_as_it_was() -> None:
    striped = cloth()
    striped[(np.arange(256) // 9 % 2).astype(bool)] = (240, 235, 220)
    wordmark = Logo.open(MARKS / "hallmond.svg")
    for logo, place in (
        (MARK, PLACE),
        (wordmark, geometry.rectangle((128, 128), 240, 240 / wordmark.aspect)),
    ):
        printed = compositing.composite(striped, logo, place)
        seen = matching.find(printed, logo, near=place, bare=striped)
        assert seen.verdict == "match", seen.reason
        assert matching.find(striped, logo, near=place, bare=striped).verdict == "not found"
