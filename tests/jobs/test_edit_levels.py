"""Levels with edits: the best of several, never worse than the plain edit, and outside a mask the picture itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.jobs.attempts import plan, run_attempts
from sdxl_lora.jobs.events import Recorded
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.request import GenerationRequest
from sdxl_lora.search import Attempt
from sdxl_lora.search.calibration import Calibrations
from sdxl_lora.search.levels import LEVELS
from tests.jobs.test_attempts import CALIBRATED

# draft in every run, the dearer ones with the slow tests
EACH = [level if level == "draft" else pytest.param(level, marks=pytest.mark.slow) for level in LEVELS]


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8))


@pytest.fixture
def studio(home: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setenv("SDXL_LORA_WATERMARK", "off")  # what is kept is marked, attempts are not
    return Studio(home)


def mask() -> np.ndarray:
    white = np.zeros((64, 80), np.uint8)
    white[16:48, 24:56] = 255
    return white


def edit(photo: Image.Image, *, part: bool) -> GenerationRequest:
    request = GenerationRequest(
        prompt="a navy cap",
        model="mini",
        steps=4,
        seed=5,
        precision="fp32",
        start_picture=inputs.keep(photo).hash,
        strength=0.6,
    )
    return replace(request, mask=inputs.keep(Image.fromarray(mask())).hash) if part else request


def made(studio: Studio, request: GenerationRequest, level: str) -> tuple[list[Attempt], Recorded]:
    how = plan(studio, request, level=LEVELS[level], min_score=0.99)  # no attempt will do: all are made
    events = list(run_attempts(studio, request, how))
    attempts = [event for event in events if isinstance(event, Attempt)]
    [recorded] = [event for event in events if isinstance(event, Recorded)]
    return attempts, recorded


def score(made: Recorded) -> float:
    card = made.record.card
    assert card is not None
    assert card.score is not None
    return card.score


@pytest.mark.parametrize("part", [False, True], ids=["whole", "part"])
@pytest.mark.parametrize("level", EACH)
def test_an_edit_at_a_level_is_the_best_of_whole_pictures_and_never_below_the_plain_one(
    studio: Studio, photo: Image.Image, level: str, part: bool
) -> None:
    request = edit(photo, part=part)
    *_, plain = studio.run(request)
    assert isinstance(plain, Recorded)
    attempts, recorded = made(studio, request, level)
    assert len(attempts) == LEVELS[level].max_attempts
    assert not any(attempt.sketch for attempt in attempts)
    with Image.open(plain.record.path) as picture:
        assert picture.tobytes() == attempts[0].image.tobytes()  # type: ignore[union-attr]  # it is whole
    scores = [found.score for attempt in attempts if (found := attempt.judgement) and found.score is not None]
    assert len(scores) == len(attempts)
    assert score(recorded) == max(scores) >= score(plain)


@pytest.mark.parametrize("level", EACH)
def test_pixels_outside_a_mask_are_the_photos_in_every_attempt_and_in_the_file(
    studio: Studio, photo: Image.Image, level: str
) -> None:
    attempts, recorded = made(studio, edit(photo, part=True), level)
    outside = mask() == 0
    wanted = np.asarray(photo)[outside]
    for attempt in attempts:
        assert (np.asarray(attempt.image)[outside] == wanted).all()
    with Image.open(recorded.record.path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert (pixels[outside] == wanted).all()
    assert (pixels[~outside] != np.asarray(photo)[~outside]).any()


def test_an_edit_makes_no_sketches_where_they_were_measured(studio: Studio, photo: Image.Image) -> None:
    Calibrations(studio.store.home).keep(CALIBRATED)
    request = replace(edit(photo, part=False), steps=20)
    assert plan(studio, request).policy.sketching is None
    assert plan(studio, replace(request, start_picture="", strength=None)).policy.sketching is not None
