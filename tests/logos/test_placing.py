"""Named positions are found on the outline of a garment; free ones are checked."""

import numpy as np
import pytest

from sdxl_lora.errors import LogoError, UnknownNameError
from sdxl_lora.logos import geometry, placing
from sdxl_lora.logos.silhouette import Silhouette
from tests.logos import garments


def place(garment: str, position: str, aspect: float = 2.0, **how: float) -> geometry.Corners:
    return placing.at(position, Silhouette.of(garments.mask(garment)), aspect, **how)


# (garment, position): centre of the logo, px of 400, and how far off it may be
EXPECTED = {
    ("t-shirt", "chest"): (200, 105, 25),
    ("t-shirt", "left-chest"): (234, 95, 20),
    ("t-shirt", "right-chest"): (166, 95, 20),
    ("t-shirt", "back"): (200, 110, 25),
    ("t-shirt", "left-sleeve"): (300, 115, 20),
    ("t-shirt", "right-sleeve"): (100, 115, 20),
    ("t-shirt", "hem"): (235, 328, 20),
    ("hoodie", "chest"): (200, 145, 30),
    ("hoodie", "left-sleeve"): (300, 225, 30),
    ("trousers", "left-thigh"): (236, 152, 15),
    ("trousers", "right-thigh"): (164, 152, 15),
    ("trousers", "hem"): (245, 350, 20),
    ("bag", "front"): (200, 255, 15),
}


@pytest.mark.parametrize(("garment", "position"), EXPECTED)
def test_a_position_is_where_a_tailor_would_look_for_it(garment: str, position: str) -> None:
    x, y, tolerance = EXPECTED[garment, position]
    assert np.linalg.norm(place(garment, position).mean(axis=0) - (x, y)) <= tolerance


def test_a_logo_keeps_its_shape_and_lies_on_the_garment_wherever_it_is() -> None:
    on = garments.mask("t-shirt")
    for position in ("chest", "left-chest", "left-sleeve", "hem"):
        corners = place("t-shirt", position)
        top, right, bottom, left = geometry.lengths(corners)
        assert (top, right) == (pytest.approx(bottom), pytest.approx(left))
        assert top / right == pytest.approx(2.0)
        assert on[geometry.covered(corners, on.shape)].mean() > 0.95


def test_a_logo_grows_and_moves_with_the_garment() -> None:
    large = placing.at("chest", Silhouette.of(garments.mask("t-shirt")), 2.0)
    small = placing.at("chest", Silhouette.of(garments.mask("t-shirt", scale=0.5, shift=60)), 2.0)
    np.testing.assert_allclose(small, large * 0.5 + 60, atol=3)


def test_a_sleeve_that_hangs_aslant_turns_its_logo() -> None:
    top_left, top_right = place("hoodie", "left-sleeve")[:2]
    assert (
        top_right[1] < top_left[1] - 1
    )  # the wearer's left sleeve hangs outwards on the right of the picture


def test_width_and_angle_are_the_users() -> None:
    corners = place("t-shirt", "chest", width=0.3, angle=90.0)
    torso = Silhouette.of(garments.mask("t-shirt")).torso[1]
    assert geometry.lengths(corners)[0] == pytest.approx(0.3 * torso)
    assert corners[1][1] > corners[0][1] + 1  # its upper edge runs downwards


def test_a_grey_mask_and_stains_and_holes_in_it_change_nothing() -> None:
    clean = garments.mask("t-shirt")
    stained = clean.astype(np.float32) * 0.9
    stained[5:9, 5:9] = 1.0
    stained[200:220, 190:210] = 0.0
    clean_corners = placing.at("chest", Silhouette.of(clean), 2.0)
    np.testing.assert_allclose(placing.at("chest", Silhouette.of(stained), 2.0), clean_corners, atol=1)


@pytest.mark.parametrize(
    ("garment", "position", "words"),
    [
        ("trousers", "chest", "no chest was found: this looks like trousers"),
        ("bag", "left-thigh", "no two legs were found"),
        ("bag", "left-sleeve", "no sleeve was found"),
    ],
)
def test_what_a_garment_does_not_have_is_said_in_one_line(garment: str, position: str, words: str) -> None:
    with pytest.raises(LogoError, match=words):
        place(garment, position)


def test_a_logo_larger_than_its_place_is_refused() -> None:
    with pytest.raises(LogoError, match=r"larger than the garment's chest, 1.. px wide; make it narrower"):
        place("t-shirt", "chest", width=1.6)
    with pytest.raises(LogoError, match="px small there"):
        place("t-shirt", "chest", width=0.01)
    with pytest.raises(UnknownNameError, match="did you mean 'left-chest'"):
        place("t-shirt", "left chest")


def test_no_garment_is_said() -> None:
    nothing = np.zeros((40, 40), bool)
    stain = nothing.copy()
    stain[3, 3] = True
    for mask in (nothing, stain):
        with pytest.raises(LogoError, match="no garment was found"):
            Silhouette.of(mask)
    with pytest.raises(LogoError, match="height and width"):
        Silhouette.of(np.zeros((4, 4, 3), bool))


def test_a_free_place_must_be_in_the_picture_and_on_the_garment() -> None:
    garment = Silhouette.of(garments.mask("t-shirt"))
    shape = garment.mask.shape
    placing.freely((200, 200), 80, 2.0, shape, garment=garment, angle=30)
    for centre, width, words in (
        ((900, 200), 80, "outside the picture"),
        ((390, 200), 80, "sticks out of the picture"),
        ((200, 200), 2, "px small"),
        ((200, 200), 390, r"larger than the garment, 3..x3.. px"),
        ((40, 300), 50, "beside the garment"),
    ):
        with pytest.raises(LogoError, match=words):
            placing.freely(centre, width, 2.0, shape, garment=garment)


def test_four_corners_are_taken_as_they_are_unless_they_cross() -> None:
    points = [(100, 100), (300, 110), (290, 200), (105, 190)]
    np.testing.assert_array_equal(placing.between(points, (400, 400)), points)
    for wrong, words in (
        (points[:3], "four corners"),
        ([points[0], points[2], points[1], points[3]], "do not cross"),
        (points[::-1], "top left, top right"),
        ([(0, 0), (1, 0), (1, 1), (0, 1)], "px small"),
        ([(float("nan"), 0), *points[1:]], "four corners"),
    ):
        with pytest.raises(LogoError, match=words):
            placing.between(wrong, (400, 400))
