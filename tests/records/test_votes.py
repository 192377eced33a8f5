"""Votes outlive pictures, are one per picture and brand, and can be taken back."""

from pathlib import Path

import pytest

from sdxl_lora.errors import NotFoundError
from sdxl_lora.records.votes import Votes

ONE, OTHER = "20261122-101112-000001-abcdef", "20261122-101113-000001-abcdef"


def test_a_vote_is_kept_with_what_it_was_about(home: Path) -> None:
    with Votes(home) as votes:
        votes.cast(
            ONE,
            approved=False,
            model="mini-CLIP",
            features=[0.6, -0.8],
            brand=" Northpeak ",
            tags=["wrong colour"],
            text="ジャケット",
        )
    with Votes(home) as votes:
        [vote] = votes.of_brand("Northpeak")
    assert (vote.picture_id, vote.approved, vote.brand) == (ONE, False, "Northpeak")
    assert (vote.tags, vote.text) == (("wrong colour",), "ジャケット")
    assert (vote.model, vote.features) == ("mini-CLIP", (0.6, -0.8))


def test_a_second_vote_replaces_the_first_of_that_brand_only(home: Path) -> None:
    with Votes(home) as votes:
        for brand, approved in (("A", True), ("B", True), ("A", False)):
            votes.cast(ONE, approved=approved, model="m", features=[1.0], brand=brand)
        assert votes.brands() == {"A": 1, "B": 1}
        assert [vote.approved for vote in votes.of_brand("A")] == [False]


def test_votes_of_another_clip_are_left_out_where_asked(home: Path) -> None:
    with Votes(home) as votes:
        votes.cast(ONE, approved=True, model="small", features=[1.0])
        votes.cast(OTHER, approved=True, model="large", features=[1.0, 0.0])
        assert [vote.picture_id for vote in votes.of_brand(model="large")] == [OTHER]


def test_votes_can_be_withdrawn_and_reset(home: Path) -> None:
    with Votes(home) as votes:
        for picture in (ONE, OTHER):
            votes.cast(picture, approved=True, model="m", features=[1.0], brand="A")
        votes.withdraw(ONE, "A")
        votes.withdraw(ONE, "A")
        assert votes.brands() == {"A": 1}
        votes.reset("A")
        assert votes.of_brand("A") == []


def test_only_pictures_can_be_voted_on(home: Path) -> None:
    with Votes(home) as votes, pytest.raises(NotFoundError, match="vote on one of the gallery"):
        votes.cast("../x", approved=True, model="m", features=[1.0])


def test_what_a_vote_says_is_found_and_replaced(home: Path) -> None:
    with Votes(home) as votes:
        votes.cast(ONE, approved=False, model="m", features=[1.0], brand="A")
        votes.describe(ONE, "A", tags=["blurry"], text="and dark")
        votes.describe(OTHER, "A", tags=["cropped"], text="no vote")
        found = votes.find(ONE, " A ")
        assert found is not None
        assert (found.approved, found.tags, found.text) == (False, ("blurry",), "and dark")
        assert votes.find(ONE, "B") is None
        assert votes.find(OTHER, "A") is None
