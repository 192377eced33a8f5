"""A taste is learned only where held-out votes show it, can be nothing else, and never outweighs a gate."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from sdxl_lora.errors import DataError
from sdxl_lora.feedback.preference import learn, order
from sdxl_lora.scoring.card import Gate, ScoreCard

DIMENSIONS = 64


def votes(
    number: int, *, taste: bool, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Unit features, votes by a hidden direction (or by nothing), and the direction."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(number, DIMENSIONS)) * np.linspace(3, 0.3, DIMENSIONS)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    direction = np.zeros(DIMENSIONS)
    direction[:8] = rng.normal(size=8)
    liked = features @ direction > np.median(features @ direction) if taste else rng.random(number) > 0.5
    return features, liked, direction


def test_a_taste_is_found_in_sixty_votes_and_foretells_new_pictures() -> None:
    features, liked, direction = votes(60, taste=True)
    found = learn(features, list(liked))
    assert found.report.on
    assert found.report.reason.startswith("on: places an approved picture before a rejected one")
    fresh, _, _ = votes(400, taste=True, seed=1)
    chances = found.predict(fresh)
    assert np.corrcoef(chances, fresh @ direction)[0, 1] > 0.5
    assert ((chances > 0) & (chances < 1)).all()


@pytest.mark.parametrize("seed", range(3))
def test_votes_without_a_taste_leave_it_off(seed: int) -> None:
    features, liked, _ = votes(60, taste=False, seed=seed)
    found = learn(features, list(liked))
    assert not found.report.on
    assert "no better than guessing" in found.report.reason
    assert (found.predict(features) == 0.5).all()


def test_too_few_votes_of_a_kind_say_which_are_missing() -> None:
    features, _, _ = votes(20, taste=True)
    found = learn(features, [True] * 17 + [False] * 3)
    assert not found.report.on
    assert found.report.reason == (
        "off: 17 approvals and 3 rejections; from 8 of each it can learn (rejections are missing)"
    )


def test_the_same_votes_teach_the_same() -> None:
    features, liked, _ = votes(60, taste=True)
    one, other = learn(features, list(liked)), learn(features, list(liked))
    assert one.weights is not None
    assert other.weights is not None
    assert (one.weights == other.weights).all()


def test_votes_that_do_not_fit_are_refused() -> None:
    features, liked, _ = votes(20, taste=True)
    with pytest.raises(DataError, match="19 votes do not fit"):
        learn(features, list(liked[:-1]))
    features[3, 4] = math.nan
    with pytest.raises(DataError, match="not finite"):
        learn(features, list(liked))


def test_gates_come_before_taste_and_taste_before_the_score() -> None:
    features, liked, direction = votes(60, taste=True)
    found = learn(features, list(liked))
    best, worst = np.argmax(features @ direction), np.argmin(features @ direction)
    rows = features[[best, worst, best, best]]
    no = (Gate(name="colour", passed=False, reason=""),)
    judged = [
        ScoreCard(score=0.1, scorer="x", text=""),
        ScoreCard(score=0.9, scorer="x", text=""),
        ScoreCard(score=0.9, scorer="x", text="", gates=no),
        ScoreCard(score=math.nan, scorer="x", text=""),
    ]
    assert order(judged, rows, found) == [0, 1, 2, 3]


def test_while_it_is_off_the_score_decides() -> None:
    features, _, _ = votes(3, taste=True)
    off = learn(features, [True, False, True])
    judged = [ScoreCard(score=score, scorer="x", text="") for score in (0.1, 0.9, 0.5)]
    assert order(judged, features, off) == [1, 2, 0]
