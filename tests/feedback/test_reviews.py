"""Votes on real records teach a preference, which chooses among attempts only while it is on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.errors import ImageError
from sdxl_lora.feedback.reviews import Reviews
from sdxl_lora.generation import resolve
from sdxl_lora.records import Record, Store
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.card import Gate, ScoreCard
from sdxl_lora.search import Attempt

REQUEST = GenerationRequest(prompt="a cap", seed=1, slots=(("brand", "Velora"),))


def picture(seed: int, bright: bool) -> Image.Image:
    """Noise on a bright or a dark ground: the taste of these tests."""
    noise = np.random.default_rng(seed).integers(0, 60, (40, 40, 3))
    return Image.fromarray((noise + (190 if bright else 0)).astype(np.uint8))


@pytest.fixture
def reviews(home: Path) -> Reviews:
    return Reviews(home)


def record(home: Path, seed: int, bright: bool) -> Record:
    with Store(home) as store:
        return store.add(picture(seed, bright), request=REQUEST)


def attempt(number: int, bright: bool, score: float, failed: bool = False) -> Attempt:
    gates = (Gate(name="colour", passed=not failed, reason=""),)
    return Attempt(
        number=number,
        request=resolve(REQUEST),
        image=picture(900 + number, bright),
        judgement=ScoreCard(score=score, scorer="x", text="", gates=gates),
        accepted=False,
        best=False,
        change="",
        kept=False,
        verdict="",
        steps=1,
        seconds=0.0,
    )


def test_enough_votes_choose_among_attempts_and_a_reset_forgets_them(home: Path, reviews: Reviews) -> None:
    attempts = [attempt(1, False, 0.9), attempt(2, True, 0.1), attempt(3, True, 0.5, failed=True)]
    assert reviews.favourite(attempts, "Velora") is None
    for seed in range(24):
        reviews.vote(record(home, seed, bright=seed % 2 == 0), approved=seed % 2 == 0)
    report = reviews.preference("Velora").report
    assert (report.on, report.approvals, report.rejections) == (True, 12, 12)
    assert reviews.favourite(attempts, "Velora") == attempts[1]
    assert not reviews.preference("another").report.on
    reviews.reset("Velora")
    assert not reviews.preference("Velora").report.on
    assert reviews.favourite(attempts, "Velora") is None


def test_a_vote_is_kept_with_its_brand_and_can_be_taken_back(home: Path, reviews: Reviews) -> None:
    made = record(home, 1, bright=True)
    reviews.vote(made, approved=False, tags=["wrong colour"], text="too bright")
    [vote] = reviews.votes("Velora")
    assert (vote.picture_id, vote.tags, vote.text) == (made.id, ("wrong colour",), "too bright")
    assert np.linalg.norm(vote.features) == pytest.approx(1, abs=1e-5)
    assert reviews.vote_on(made) == vote
    reviews.describe(made, tags=["blurry"], text="and dark")
    [vote] = reviews.votes("Velora")
    assert (vote.approved, vote.tags, vote.text) == (False, ("blurry",), "and dark")
    reviews.withdraw(made)
    assert reviews.votes("Velora") == []
    assert reviews.vote_on(made) is None
    reviews.describe(made, tags=[], text="no vote, nothing to describe")
    assert reviews.votes("Velora") == []


def test_a_picture_that_is_gone_cannot_be_voted_on(home: Path, reviews: Reviews) -> None:
    made = record(home, 1, bright=True)
    with pytest.raises(ImageError, match="may have been deleted"):
        reviews.vote(replace(made, path=home / "nowhere.png"), approved=True)
