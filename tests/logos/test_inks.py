"""Colours and softness of a logo's parts are found through blur, thin strokes and what lies over them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sdxl_lora.logos import inks

RED, BLUE, CLOTH = (0.8, 0.1, 0.15), (0.1, 0.2, 0.7), (0.6, 0.62, 0.58)
Plane = NDArray[np.float32]


def stripes(width: int) -> Plane:
    """Two parts [60, 80, 2] of upright strokes, `width` px wide, in turns."""
    parts = np.zeros((60, 80, 2), np.float32)
    for number, left in enumerate(range(10, 70, 3 * width)):
        parts[10:50, left : left + width, number % 2] = 1
    return parts


def shown(parts: Plane, blur: float) -> tuple[Plane, Plane]:
    """(the parts on cloth as a picture has them, the cloth)."""
    soft = inks.blurred(parts, blur)
    cloth = np.broadcast_to(np.array(CLOTH, np.float32), (60, 80, 3))
    noise = np.random.default_rng(0).normal(0, 0.01, (60, 80, 3))
    mixed = soft @ np.array((RED, BLUE)) + cloth * (1 - soft.sum(-1, keepdims=True)) + noise
    return np.asarray(mixed, np.float32), np.asarray(cloth, np.float32)


@pytest.mark.parametrize("width", [2, 6])
@pytest.mark.parametrize("blur", [0.0, 0.9])
def test_strokes_have_their_inks_colour_however_thin_and_soft_they_are(width: int, blur: float) -> None:
    parts = stripes(width)
    seen, cloth = shown(parts, blur)
    found = inks.found(parts, seen, cloth, np.full((2, 3), 0.5, np.float32))
    assert found.blur == blur
    assert np.abs(found.colours - (RED, BLUE)).max() < 0.03
    assert np.abs(inks.mixed(parts, found, cloth) - seen).mean() < 0.02


def test_what_is_missing_pulls_at_no_colour() -> None:
    parts = stripes(3)
    seen, cloth = shown(parts, 0.0)
    seen[:, 60:] = cloth[:, 60:]  # one of four
    found = inks.found(parts, seen, cloth, np.full((2, 3), 0.5, np.float32))
    assert np.abs(found.colours - (RED, BLUE)).max() < 0.06


def test_a_drawing_of_nothing_has_the_colours_that_were_guessed() -> None:
    cloth = np.zeros((9, 9, 3), np.float32)
    guess = np.full((1, 3), 0.25, np.float32)
    assert (inks.found(np.zeros((9, 9, 1), np.float32), cloth, cloth, guess).colours == guess).all()
